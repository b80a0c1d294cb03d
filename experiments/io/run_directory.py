"""The directory of a run: the paths of its files, and protection against overwriting another run."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.files import file_lock

STATE_FILE = "state.json"  # of a checkpoint


def is_checkpoint(place: str) -> bool:
    """Whether it is the path of a checkpoint, or of a link that stands for one."""
    return (Path(place) / STATE_FILE).is_file()


class RunDirectory:
    """The paths of a run's files below `path`; the constructor touches no file.

    Processes other than the first of a distributed run build it from the path that the first one chose.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "config.yaml"
        self.overrides_path = path / "overrides.yaml"
        self.environment_path = path / "environment.json"
        self.metrics_log_path = path / "metrics.jsonl"
        self.metrics_path = path / "metrics.json"
        self.checkpoints_path = path / "checkpoints"
        self.model_path = path / "model"
        self.predictions_path = path / "predictions"
        self.plots_path = path / "plots"
        self.wandb_path = path / "wandb"
        self.tensorboard_path = path / "tensorboard"

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint, so that the run can go on."""
        return any(self.checkpoints_path.glob("step-*"))

    def holds_run(self) -> bool:
        """Whether a run has left results here; what it logged before its first checkpoint does not count."""
        results = (self.model_path, self.predictions_path)
        return (
            self.has_checkpoint()
            or (self.metrics_path.is_file() and self.metrics_path.stat().st_size > 0)
            or any(path.is_dir() and any(path.iterdir()) for path in results)
        )

    def remove_start(self) -> None:
        """Removes the log of a start that was killed before its first checkpoint."""
        if self.metrics_log_path.is_file():
            self.metrics_log_path.unlink()
            shutil.rmtree(self.tensorboard_path, ignore_errors=True)

    def figures_of(self, step: int) -> dict[str, Any] | None:
        """The figures of a run that ended at this step; None if they are missing: they are its last file."""
        try:
            figures = dict(json.loads(self.metrics_path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return figures if self.model_path.is_dir() and figures.get("train/steps") == step else None


def claim_directory(path: Path) -> Path:
    """Creates `path`, or `path-2`, `path-3`, ... if it exists: the directory is this process's alone.

    Raises:
        InputError: it cannot be created.
    """
    for number in itertools.count(1):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_be_written(f"output_dir={candidate}", error) from error
    raise AssertionError("there is always another number")


def is_in_use(path: Path) -> bool:
    """Whether a running process writes into the run directory."""
    try:
        with file_lock(path / ".lock"):
            return False
    except BlockingIOError:
        return True
    except OSError:  # a directory that can only be read
        return False


@contextmanager
def hold_directory(path: Path, *, told: str, key: str = "output_dir") -> Iterator[None]:
    """Creates a directory and keeps it for this process, by a file lock.

    Args:
        path: of the directory.
        told: what messages call it.
        key: by which the user gives another one.

    Raises:
        InputError: a running process writes there, or it cannot be written.
    """
    with ExitStack() as held:
        try:
            path.mkdir(parents=True, exist_ok=True)
            held.enter_context(file_lock(path / ".lock"))
        except BlockingIOError as error:
            raise InputError(
                f"{told}: a running process is writing there; wait for it or give another {key}"
            ) from error
        except OSError as error:
            raise _cannot_be_written(told, error) from error
        yield


@contextmanager
def open_run_directory(path: Path, *, resumed: bool = False) -> Iterator[RunDirectory]:
    """Creates or resumes the run directory `path`, with a file lock against other processes.

    What a start left that was killed before its first checkpoint is removed: the run begins anew.

    Raises:
        InputError: another run's results are in it and it is not resumed, a running process writes there,
            there is nothing to resume, or it cannot be written.
    """
    run, key = RunDirectory(path), "resume" if resumed else "output_dir"
    if resumed and not run.has_checkpoint():
        raise InputError(f"resume={path}: {_what_is_there(run)}")
    with hold_directory(path, told=f"{key}={path}"):
        if not resumed and run.holds_run():
            raise InputError(
                f"output_dir={path}: holds another run; resume={path} goes on with it, or give another"
                " output_dir"
            )
        if not resumed:
            run.remove_start()
        yield run


def _what_is_there(run: RunDirectory) -> str:
    """What to do about a directory without a checkpoint."""
    if not run.path.is_dir():
        return "no such directory; give the output directory of a run that has begun"
    if run.holds_run():
        return "holds no checkpoint to go on from; init_from takes its model"
    return (
        "holds no checkpoint to go on from; begin anew by the run's own command, which may have"
        f" output_dir={run.path}; with resume=auto it goes on or begins anew by itself"
    )


def _cannot_be_written(told: str, error: OSError) -> InputError:
    return InputError(f"{told}: cannot be written ({error.strerror}); give a directory that can")
