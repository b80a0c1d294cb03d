"""The learning-rate range test: its sweep, its figures, its files, and that it makes no run."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tiny_runs import RUNS, TINY, write_data

from experiments import find_lr
from experiments.config.command import CONF_PATH, run_command
from experiments.training.learning_rate_range import ExponentialSweep, Step, figures_of

SIGNATURE = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


def arguments_of(name: str, files: dict[str, Path], tmp_path: Path) -> list[str]:
    overrides = [option.format_map(files) if "{" in option else option for option in RUNS[name]]
    trainer = ["trainer.batch_size=4", "trainer.num_threads=1", "trainer.device=cpu", "logger.progress=none"]
    return [*overrides, *trainer, f"cache_dir={tmp_path}/cache"]


@pytest.mark.parametrize("name", ["language_model, stream, adaptive", "text_classification, words"])
def test_the_rate_is_swept_and_a_table_a_picture_and_a_suggestion_are_left_but_no_run(
    name: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        *arguments_of(name, files, tmp_path),
        "name=swept",
        "num_steps=40",
        "lowest=1e-5",
        "highest=100",
    ]
    assert run_command(find_lr.main, config_name="find_lr", arguments=arguments) == 0
    output = tmp_path / "find_lr" / "swept"
    with (output / "learning_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "learning_rate", "loss", "smoothed_loss"]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[-1] <= 100 * 1.001
    assert all(
        after / before == pytest.approx(1e7 ** (1 / 39)) for before, after in itertools.pairwise(rates)
    )
    figures = json.loads((output / "figures.json").read_text())
    assert rates[0] < figures["suggested_learning_rate"] <= figures["learning_rate_of_lowest_loss"] / 10
    assert figures["has_fallen"]
    assert (output / "learning_rates.png").read_bytes().startswith(SIGNATURE)
    assert (
        f"suggested: optimizer.learning_rate={figures['suggested_learning_rate']:.2g}"
        in capsys.readouterr().out
    )
    assert {path.name for path in tmp_path.iterdir()} <= {"find_lr", "cache"}
    before = (output / "figures.json").read_bytes()
    again = [*arguments, "output=find_lr/swept"]
    assert run_command(find_lr.main, config_name="find_lr", arguments=again) == 2
    assert capsys.readouterr().err.startswith("output=find_lr/swept: exists already; nothing is overwritten")
    assert (output / "figures.json").read_bytes() == before


def test_a_sweep_ends_where_the_loss_diverges_even_if_it_is_no_number(
    files: dict[str, Path], tmp_path: Path
) -> None:
    options = ["highest=1000", "num_steps=60", "trainer.clip_norm=null", f"output={tmp_path}/diverged"]
    arguments = [*arguments_of("language_model, sentences, adaptive", files, tmp_path), *options]
    assert run_command(find_lr.main, config_name="find_lr", arguments=arguments) == 0
    lines = (tmp_path / "diverged" / "learning_rates.csv").read_text().splitlines()
    assert 10 < len(lines) < 60


def test_the_learning_rate_grows_by_the_same_factor_from_the_lowest_to_the_highest() -> None:
    schedule = ExponentialSweep(lowest=0.001, highest=10.0, num_steps=5, learning_rate=0.5)
    rates = [0.5 * schedule.factor(step, progress=0.0) for step in range(5)]
    assert rates == pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0])


def test_the_suggestion_is_before_the_lowest_loss() -> None:
    losses = [5.0, 5.0, 4.8, 3.0, 2.5, 2.4, 2.6, 6.0]
    steps = [Step(i + 1, 10.0 ** (i - 4), loss, loss) for i, loss in enumerate(losses)]
    figures = figures_of(steps)
    assert figures["learning_rate_of_lowest_loss"] == pytest.approx(10.0)
    assert figures["learning_rate_of_steepest_fall"] == pytest.approx(0.1)
    assert figures["suggested_learning_rate"] == pytest.approx(0.1)
    assert not figures_of([step._replace(smoothed_loss=float(step.step)) for step in steps])["has_fallen"]


def test_its_root_has_the_values_of_a_run() -> None:
    with initialize_config_dir(str(CONF_PATH), version_base="1.3"):
        sweep, run = (OmegaConf.to_container(compose(name)) for name in ("find_lr", "train"))
    assert isinstance(sweep, dict) and isinstance(run, dict)
    assert {key: sweep[key] for key in run} == run
    assert sweep.keys() - run.keys() == {"lowest", "highest", "num_steps", "output"}


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("highest=1e-7", "highest: expected more than lowest (1e-06), got 1e-07"),
        ("num_steps=2", "num_steps: expected at least 3"),
        ("resume=somewhere", "resume: belongs to a run, and a sweep makes none"),
        ("output_dir=somewhere", "output_dir: belongs to a run, and a sweep makes none"),
        ("dry_run=true", "dry_run: belongs to a run, and a sweep makes none"),
        ("highst=3", "highst: unknown key; nearest: highest"),
        ("softmax=sampeld", "softmax: unknown option 'sampeld'; nearest: sampled"),
    ],
)
def test_its_faults_are_a_line_each(
    override: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*TINY, f"cache_dir={tmp_path}", override]
    assert run_command(find_lr.main, config_name="find_lr", arguments=arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
    assert list(tmp_path.iterdir()) == []
