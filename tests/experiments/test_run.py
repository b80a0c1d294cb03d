"""`experiments.run`: training from Python, in a notebook, again and again, beside other uses of Hydra."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from places import ROOT
from tiny_runs import arguments_of, write_data

import experiments
from elmo.errors import InputError

NAME = "language_model, sentences, full, tanh"


class CellOutput(io.StringIO):
    """What stands for standard output in a notebook: no terminal, no file descriptor, no buffer."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def overrides(tmp_path: Path, files: dict[str, Path]) -> list[str]:
    return [
        *arguments_of(NAME, tmp_path / "run", files),
        "trainer.max_steps=2",
        "trainer.evaluate_every=null",
    ]


@pytest.fixture(autouse=True)
def hydra_is_as_before() -> Iterator[None]:
    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    yield
    assert (GlobalHydra.instance().hydra, HydraConfig.instance().cfg) == before


def test_it_returns_the_figures_and_the_directory_of_the_run(overrides: list[str], tmp_path: Path) -> None:
    figures = experiments.run(overrides)
    assert figures.path == tmp_path / "run"
    assert dict(figures) == json.loads((figures.path / "metrics.json").read_text())
    assert figures["test/perplexity"] > 1
    saved = (figures.path / "overrides.yaml").read_text()
    assert "- trainer.max_steps=2\n" in saved


def test_it_runs_again_and_resumes_in_one_process(overrides: list[str], tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        first = experiments.run(overrides)
        again = experiments.run([*overrides, f"output_dir={tmp_path / 'again'}"])
        assert again["test/perplexity"] == first["test/perplexity"]
        longer = experiments.run([f"resume={first.path}", "trainer.max_steps=3", "logger.progress=none"])
        assert (longer.path, longer["train/steps"]) == (first.path, 3)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_it_runs_in_a_notebook(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cell = CellOutput()
    monkeypatch.setattr("sys.stdout", cell)
    monkeypatch.setattr("sys.stderr", cell)

    async def run_cell() -> float:
        return float(experiments.run([*overrides, "logger.progress=auto"])["train/steps"])

    assert asyncio.run(run_cell()) == 2
    assert "parameters" in cell.getvalue()
    assert "perplexity" in cell.getvalue()
    assert capfd.readouterr() == ("", "")


def test_it_runs_in_a_thread_that_is_not_the_main_one(overrides: list[str]) -> None:
    steps: list[float] = []
    thread = threading.Thread(target=lambda: steps.append(experiments.run(overrides)["train/steps"]))
    thread.start()
    thread.join()
    assert steps == [2]


def test_faults_are_raised_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as caught:
        experiments.run(["encoder=elmo_tny", "trainer.max_step=3"])
    assert str(caught.value).splitlines() == [
        "encoder: unknown option 'elmo_tny'; nearest: elmo_tiny, elmo",
        "trainer.max_step: unknown key; nearest: max_steps, max_epochs",
    ]
    with pytest.raises(InputError, match=r"data\.train"):
        experiments.run(["data=text", "logger=none"])
    with pytest.raises(InputError, match=r"^--multirun: belongs to the command line; this is a single run"):
        experiments.run(["-m", "seed=1,2"])
    with pytest.raises(InputError, match=r"^--config-dir: no directory absent"):
        experiments.run(["--config-dir=absent"])
    assert capsys.readouterr() == ("", "")


def test_it_takes_options_from_a_directory_of_the_users_own(overrides: list[str]) -> None:
    conf = ROOT / "tests" / "support" / "gru_plugin" / "conf"
    others = [override for override in overrides if not override.startswith("encoder")]
    figures = experiments.run([*others, "plugins=[gru_plugin]", "encoder=gru_tiny", f"--config-dir={conf}"])
    assert figures["train/steps"] == 2


def test_a_program_that_uses_hydra_itself_keeps_its_own(overrides: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("answer: 42\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        experiments.run(overrides)
        assert hydra.compose("mine").answer == 42
        assert str(hydra.version.getbase()) == "1.2"


def test_the_working_directory_is_searched_for_plug_ins_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(InputError, match=r"data\.train"):
        experiments.run(["data=text"])
    assert str(Path.cwd()) not in sys.path
    with pytest.raises(InputError, match="plugins: cannot import absent_plugin"):
        experiments.run(["plugins=[absent_plugin]"])
    assert sys.path[-1] == str(Path.cwd())  # behind all others: it hides no package
