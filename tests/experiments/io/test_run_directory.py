"""Run directories: never overwritten, claimed by one process, named on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from elmo.errors import InputError
from experiments.io.run_directory import RunDirectory, create_run_directory

OTHER_PROCESS = """
import sys
from pathlib import Path
from elmo.errors import InputError
from experiments.io.run_directory import create_run_directory
try:
    create_run_directory(Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


def finished_run(path: Path) -> RunDirectory:
    run = create_run_directory(path)
    run.metrics_log_path.write_text('{"step": 1}\n')
    return run


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path / "runs" / "first")
    assert run.path.is_dir()
    assert run.checkpoints_path == tmp_path / "runs" / "first" / "checkpoints"


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    assert not RunDirectory(tmp_path / "runs").path.exists()


def test_a_directory_with_another_run_is_refused(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"output_dir=.*run: holds another run; resume=.*run goes on"):
        create_run_directory(run.path)
    assert run.metrics_log_path.read_text() == '{"step": 1}\n'


def test_a_directory_with_only_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"1")
    with pytest.raises(InputError, match="holds another run"):
        create_run_directory(tmp_path)


def test_a_start_that_failed_before_its_first_step_may_be_repeated(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path / "run")
    run.config_path.write_text("seed: 1\n")
    run.metrics_log_path.touch()
    assert create_run_directory(run.path).path == run.path


def test_a_resumed_run_keeps_its_directory(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    assert create_run_directory(run.path, resumed=True).path == run.path


@pytest.mark.parametrize("exists", [True, False])
def test_resuming_where_no_run_is_fails(tmp_path: Path, exists: bool) -> None:
    path = tmp_path if exists else tmp_path / "absent"
    with pytest.raises(InputError, match=r"resume=.*: (holds no run to resume|no such directory)"):
        create_run_directory(path, resumed=True)
    assert path.exists() == exists


def test_a_file_in_the_way_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match=r"output_dir=.*: cannot be written"):
            create_run_directory(path)


def test_an_unwritable_parent_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"output_dir=/proc/runs/first: cannot be written"):
        create_run_directory(Path("/proc/runs/first"))


def test_a_directory_in_use_by_another_process_is_refused(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path / "run")
    command = [sys.executable, "-W", "error", "-c", OTHER_PROCESS, str(run.path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    (line,) = result.stdout.splitlines()
    assert "a running process is writing there" in line
