"""A full disk at the end of a run, below its logs, behind the standard output: one line, nothing is lost."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import pytest
from full_disk import largest_file
from tiny_runs import arguments_of, write_data
from torch import nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.errors import InputError
from elmo.io.model_directory import save_model
from elmo.io.official import write_official
from experiments import convert, train
from experiments.config.command import run_command
from experiments.config.schema import SCHEMAS
from experiments.logging.run_logger import RunLogger
from experiments.logging.tensorboard_sink import TensorBoardSink
from tasks.language_model.reports import LanguageModelReports

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def full_output(*, buffered: bool) -> Iterator[None]:
    """A standard output without space; without a buffer, as PYTHONUNBUFFERED makes it."""
    with FULL.open("wb", buffering=-1 if buffered else 0) as raw:
        stream = io.TextIOWrapper(raw, write_through=not buffered)
        with redirect_stdout(stream):
            yield


def test_a_run_whose_model_does_not_fit_ends_in_a_line_and_saves_it_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files, whole, cut = write_data(tmp_path), tmp_path / "whole", tmp_path / "cut"
    name = "language_model, sentences, full, tanh"
    assert run_command(train.main, config_name="train", arguments=arguments_of(name, whole, files)) == 0
    save = LanguageModelReports.save_model

    def save_on_a_full_disk(reports: LanguageModelReports, path: Path) -> None:
        with largest_file(1000):
            save(reports, path)

    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(LanguageModelReports, "save_model", save_on_a_full_disk)
        assert run_command(train.main, config_name="train", arguments=arguments_of(name, cut, files)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{cut / 'model'}: no space left to write it")
    assert f"resume={cut}" in line
    assert not (cut / "model").exists()
    assert run_command(train.main, config_name="train", arguments=[f"resume={cut}"]) == 0
    assert (cut / "model" / "model.safetensors").read_bytes() == (
        whole / "model" / "model.safetensors"
    ).read_bytes()
    figures, expected = (json.loads((run / "metrics.json").read_text()) for run in (cut, whole))
    assert figures["test/perplexity"] == expected["test/perplexity"]


def test_a_model_that_does_not_fit_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with largest_file(1000), pytest.raises(InputError, match=r"^model: no space left to write it"):
        save_model(Path("model"), config={}, model=nn.Linear(50, 50))
    bilm = CharCnnLstm(
        character_embedding_size=4,
        filters=[[1, 8]],
        num_highways=1,
        activation="relu",
        cell_size=16,
        projection_size=8,
        num_layers=1,
        cell_clip=3.0,
        projection_clip=3.0,
        skip_connected=True,
        dropout=0.1,
    )
    write_official(bilm, Path("options.json"), Path("weights.hdf5"))
    arguments = ["to=model", "options=options.json", "weights=weights.hdf5", "model=model"]
    with largest_file(1000):
        assert run_command(convert.main, config_name="convert", arguments=arguments) == 2
    assert capsys.readouterr().err.startswith("model: no space left to write it")
    assert sorted(path.name for path in Path().iterdir()) == ["options.json", "weights.hdf5"]


def test_a_run_goes_on_without_tensorboard_on_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    sink = TensorBoardSink(path=Path("tensorboard"), config={})
    with RunLogger(metrics_log_path=Path("log"), metrics_path=Path("figures"), sinks=[sink]) as logger:
        with largest_file(3000), caplog.at_level(logging.WARNING):
            for step in range(100):
                logger.log(step, {"loss": 1.0})
                with suppress(OSError):  # so that the writing thread has met the limit
                    sink._writer.flush()
        logger.log(100, {"loss": 1.0})
    (record,) = caplog.records
    assert record.getMessage().startswith("TensorBoard failed (File too large); going on without it")
    assert len(Path("log").read_text().splitlines()) == 101


@needs_full
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_command_tells_of_a_full_output(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    def never(config: object, overrides: list[str]) -> None:
        raise AssertionError

    with full_output(buffered=True):
        assert run_command(never, config_name=name, arguments=["--help"]) == 2
    assert capsys.readouterr().err == (
        "standard output: no space left to write it; free some space or choose another place\n"
    )


@needs_full
@pytest.mark.parametrize("buffered", [True, False])
def test_what_a_command_prints_to_a_full_output_ends_it_in_a_line(
    buffered: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def main(config: object, overrides: list[str]) -> None:
        print("an answer")
        done.append(True)
        print("more", flush=True)
        done.append(False)

    arguments = ["to=model", "options=a", "weights=b", "model=c"]
    with full_output(buffered=buffered):
        assert run_command(main, config_name="convert", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("standard output: no space left to write it")
    assert done == ([True] if buffered else [])
