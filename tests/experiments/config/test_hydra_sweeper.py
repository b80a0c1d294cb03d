"""A sweeper of Hydra's that searches: it is given each job's objective, and may take intervals."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from tiny_runs import arguments_of, write_data

from experiments import train
from experiments.config.command import run_command

NAME = "text_classification, words"
RATE = "optimizer.learning_rate"


class EndsSweeper(Sweeper):
    """Runs a job at each end of an interval, and one in the middle; keeps what the jobs return."""

    objectives: tuple[float, ...] = ()

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[float]:
        parsed = OverridesParser.create().parse_overrides(arguments)
        (swept,) = [override for override in parsed if override.is_interval_sweep()]
        fixed = [str(override.input_line) for override in parsed if override is not swept]
        interval: Any = swept.value()
        points = [interval.start, interval.end, (interval.start + interval.end) / 2]
        assert self.launcher is not None
        jobs = [[*fixed, f"{swept.key_or_group}={point}"] for point in points]
        found: Sequence[Any] = self.launcher.launch(jobs, initial_job_idx=0)
        EndsSweeper.objectives = tuple(job.return_value for job in found)
        return list(EndsSweeper.objectives)


@pytest.fixture(autouse=True)
def sweeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`hydra/sweeper=ends`, as an installed package of plug-ins would bring it."""
    monkeypatch.setattr(EndsSweeper, "__module__", "hydra_plugins.ends")
    target = "hydra_plugins.ends.EndsSweeper"
    monkeypatch.setitem(Plugins.instance().class_name_to_class, target, EndsSweeper)
    if "hydra_plugins" not in sys.modules:  # no plug-in is installed
        monkeypatch.setitem(sys.modules, "hydra_plugins", ModuleType("hydra_plugins"))
    monkeypatch.setitem(sys.modules, "hydra_plugins.ends", sys.modules[__name__])
    ConfigStore.instance().store(group="hydra/sweeper", name="ends", node={"_target_": target})
    yield
    del ConfigStore.instance().repo["hydra"]["sweeper"]["ends.yaml"]


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "data").mkdir()
    given = arguments_of(NAME, tmp_path / "run", write_data(tmp_path / "data"))
    return [text for text in given if not text.startswith((f"{RATE}=", "output_dir="))]


def sweep(*arguments: str) -> int:
    return run_command(train.main, config_name="train", arguments=["-m", *arguments])


def test_a_searching_sweeper_gets_intervals_and_each_jobs_score_on_dev(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sweep(*arguments, "hydra/sweeper=ends", f"{RATE}=interval(0.0001,0.1)", "name=swept") == 0
    scores = [
        json.loads((tmp_path / "runs" / f"swept-{number}" / "metrics.json").read_text())["dev/accuracy"]
        for number in range(3)
    ]
    assert EndsSweeper.objectives == tuple(scores)


def test_the_ends_of_an_interval_are_checked_before_a_job_starts(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sweep(*arguments, "hydra/sweeper=ends", f"{RATE}=interval(-1,0.1)") == 2
    assert capsys.readouterr().err.startswith(f"{RATE}: expected more than 0")
    assert sweep(*arguments, f"{RATE}=interval(0.1,0.2)") == 2  # Hydra's own sweeper runs lists of values
    assert capsys.readouterr().err.startswith(f"{RATE}: an interval has no list of values")
    assert not (tmp_path / "runs").exists()


def test_an_objective_that_is_no_number_fails_the_job(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["-m", *arguments, "hydra/sweeper=ends", f"{RATE}=interval(0.1,0.2)"]
    assert run_command(lambda config, overrides: math.nan, config_name="train", arguments=given) == 2
    assert "the objective is not a number" in capsys.readouterr().err
