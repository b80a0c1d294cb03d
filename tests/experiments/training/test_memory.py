"""A run that cannot fit is stopped before its first step, and a dry run tells what a run would take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_runs import arguments_of, write_data

from experiments import run, train
from experiments.config.command import run_command
from experiments.training import memory
from tasks.language_model.model import LanguageModelTraining

LANGUAGE_MODEL = "language_model, sentences, adaptive"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    "name", [LANGUAGE_MODEL, "text_classification, frozen biLM", "question_answering, words"]
)
def test_a_dry_run_prints_the_facts_and_the_time_and_leaves_no_directory(
    name: str, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "run"
    arguments = [*arguments_of(name, directory, files), "dry_run=true"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "parameters trained" in told
    assert ("parameters frozen 0" in told) == ("frozen" not in name)
    for fact in ("steps 12", "estimated memory", "memory of cpu", "seconds per step 0.", "hours "):
        assert fact in told
    assert not directory.exists()


def test_a_dry_run_from_python_returns_its_facts(files: dict[str, Path], tmp_path: Path) -> None:
    facts = run([*arguments_of(LANGUAGE_MODEL, tmp_path / "run", files), "dry_run=true"])
    assert facts["steps"] == "12"
    assert facts["parameters"] == facts["parameters trained"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("dry", [True, False])
def test_a_run_that_cannot_fit_is_refused_before_its_first_step_unless_told_otherwise(
    dry: bool,
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "device_bytes", lambda device: 10 * 2**20)
    arguments = [
        *arguments_of(LANGUAGE_MODEL, tmp_path / "run", files),
        "trainer.max_steps=2",
        f"dry_run={dry}",
    ]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("estimated memory ") and "but cpu has 0.0 GiB: choose a smaller" in line
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert (
        run_command(train.main, config_name="train", arguments=[*arguments, "trainer.check_memory=false"])
        == 0
    )
    assert (tmp_path / "run" / "metrics.json").exists() == (not dry)


def test_the_estimate_counts_weights_gradients_and_what_the_optimizer_keeps(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimates = {}
    monkeypatch.setattr(memory, "_resident_bytes", lambda: 0)
    for optimizer in ("adamw", "adagrad"):
        arguments = arguments_of(LANGUAGE_MODEL, tmp_path / "run", files)
        facts = run([*arguments, f"optimizer={optimizer}", "dry_run=true"])
        estimates[optimizer] = facts["estimated memory bytes"]
        weights = 4 * facts["parameters"]
    # Adagrad made its values when it was built: they are in what the process has taken
    assert estimates["adamw"] - estimates["adagrad"] == 2 * weights
    assert estimates["adamw"] > 3 * weights


def _cuda_error(batch: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 1.00 GiB free.")


def _too_large(batch: object) -> None:
    torch.empty(2**60)


@pytest.mark.parametrize("loss", [_cuda_error, _too_large])
@pytest.mark.parametrize("dry", [True, False])
def test_memory_that_is_refused_in_a_step_is_a_line_with_the_estimate_and_what_to_lower(
    dry: bool,
    loss: Callable[[object], None],
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LanguageModelTraining, "loss", lambda self, batch: loss(batch))
    arguments = [*arguments_of(LANGUAGE_MODEL, tmp_path / "run", files), f"dry_run={dry}"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("out of memory: ") and "allocate" in line
    assert "; the estimate was " in line and "; cpu has " in line
    assert line.endswith(memory.LESS) and "trainer.batch_size" in line


def test_another_error_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory.told_out_of_memory(torch.device("cpu")):
        torch.ones(2).view(3)


def test_the_memory_of_a_container_is_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", (tmp_path / "absent", limit))
    limit.write_text("max\n")
    whole = memory.device_bytes(torch.device("cpu"))
    assert whole is not None and whole > 2**28
    limit.write_text(f"{2**28}\n")
    assert memory.device_bytes(torch.device("cpu")) == 2**28


def test_a_dry_run_of_a_run_that_has_begun_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"resume={tmp_path}", "dry_run=true"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("dry_run: a run that has begun has its facts in its directory")
