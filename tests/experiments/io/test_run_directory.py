"""Run directories: never overwritten, claimed by one process, named on."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from places import ROOT

from elmo.errors import InputError
from experiments.io.run_directory import RunDirectory, claim_directory, open_run_directory

OTHER_PROCESS = """
import sys
from pathlib import Path
from elmo.errors import InputError
from experiments.io.run_directory import open_run_directory
try:
    with open_run_directory(Path(sys.argv[1])):
        print("taken")
except InputError as error:
    print(error)
"""


def stopped_run(path: Path) -> RunDirectory:
    with open_run_directory(path) as run:
        run.metrics_log_path.write_text('{"step": 1}\n')
        (run.checkpoints_path / "step-0000001").mkdir(parents=True)
    return run


def refuse(path: Path, message: str, *, resumed: bool = False) -> None:
    with pytest.raises(InputError, match=message), open_run_directory(path, resumed=resumed):
        pass


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    with open_run_directory(tmp_path / "runs" / "first") as run:
        assert run.path.is_dir()
    assert run.checkpoints_path == tmp_path / "runs" / "first" / "checkpoints"


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    assert not RunDirectory(tmp_path / "runs").path.exists()


def test_a_directory_with_another_run_is_refused(tmp_path: Path) -> None:
    run = stopped_run(tmp_path / "run")
    refuse(run.path, r"output_dir=.*run: holds another run; resume=.*run goes on")
    assert run.metrics_log_path.read_text() == '{"step": 1}\n'


def test_a_directory_with_only_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"1")
    refuse(tmp_path, "holds another run")


def test_a_run_that_was_killed_before_its_first_checkpoint_is_begun_anew(tmp_path: Path) -> None:
    with open_run_directory(tmp_path / "run") as run:
        run.config_path.write_text("seed: 1\n")
        run.metrics_log_path.write_text('{"step": 1}\n')
        (run.checkpoints_path / ".step-0000002.host-1.tmp").mkdir(parents=True)
        run.tensorboard_path.mkdir()
    refuse(run.path, "holds no checkpoint to go on from; begin anew by the run's own command", resumed=True)
    with open_run_directory(run.path) as again:
        assert again.path == run.path
        assert not again.metrics_log_path.exists() and not again.tensorboard_path.exists()


def test_a_claimed_directory_is_nobody_elses(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claim_directory, [tmp_path / "runs" / "name"] * 8))
    numbered = [f"name-{number}" for number in range(2, 9)]
    assert sorted(path.name for path in claimed) == ["name", *numbered]
    assert all(path.is_dir() for path in claimed)
    for place in ("/proc/runs/name", "/dev/full/name"):
        with pytest.raises(InputError, match=f"output_dir={place}: cannot be written"):
            claim_directory(Path(place))


def test_a_resumed_run_keeps_its_directory(tmp_path: Path) -> None:
    run = stopped_run(tmp_path / "run")
    with open_run_directory(run.path, resumed=True) as resumed:
        assert resumed.path == run.path


@pytest.mark.parametrize("exists", [True, False])
def test_resuming_where_no_run_is_fails(tmp_path: Path, exists: bool) -> None:
    path = tmp_path if exists else tmp_path / "absent"
    refuse(path, r"resume=.*: (holds no checkpoint to go on from|no such directory)", resumed=True)
    assert path.exists() == exists
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        refuse(path, r"output_dir=.*: cannot be written")


def test_an_unwritable_parent_is_an_input_error() -> None:
    refuse(Path("/proc/runs/first"), r"output_dir=/proc/runs/first: cannot be written")


def test_a_directory_in_use_by_another_process_is_refused_until_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", OTHER_PROCESS, str(tmp_path / "run")]

    def other_process() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout

    with open_run_directory(tmp_path / "run"):
        (line,) = other_process().splitlines()
        assert "a running process is writing there" in line
    assert other_process() == "taken\n"
