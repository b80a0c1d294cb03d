"""What every command does: its exit code, and its end when nobody reads what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.config.arguments import read_arguments
from experiments.config.command import while_read

CLOSED_STREAMS = {"stdout": "--help", "stderr": "no_such_key=1"}


def test_the_directory_of_a_sweeps_job_is_given_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = Path("runs", "heads", "head=cnn,seed=2")
    job.mkdir(parents=True)
    given = read_arguments([f"run={job}", "seed=1,2", "resume=runs/absent=1", f"x='{job}'"]).overrides
    assert given == [f"run='{job}'", "seed=1,2", "resume=runs/absent=1", f"x='{job}'"]
    assert OverridesParser.create().parse_override(given[0]).value() == str(job)


@pytest.mark.parametrize("closed", CLOSED_STREAMS)
def test_a_command_whose_reader_has_gone_ends_silently(closed: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    command = [sys.executable, "-m", "experiments.train", CLOSED_STREAMS[closed]]
    done = subprocess.run(command, **streams, check=False)  # type: ignore[call-overload]
    os.close(writer)
    assert (done.returncode, done.stdout or b"", done.stderr or b"") == (141, b"", b"")


def test_a_command_without_a_standard_output_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it where it was closed from the start
    assert while_read(lambda: 3) == 3


def test_another_broken_pipe_is_not_kept_silent(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        while_read(work)
