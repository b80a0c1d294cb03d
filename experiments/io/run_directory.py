"""The directory that holds all of a run: where each thing lies, and that no other run is ever overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from elmo.errors import InputError


class RunDirectory:
    """The places of a run's files below `path`. Making the object touches no file.

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

    def holds_run(self) -> bool:
        """Whether a run has left results here; a config alone, of a failed start, does not count."""
        files = (self.metrics_log_path, self.metrics_path)
        directories = (self.checkpoints_path, self.model_path, self.predictions_path)
        return any(path.is_file() and path.stat().st_size > 0 for path in files) or any(
            path.is_dir() and any(path.iterdir()) for path in directories
        )


def create_run_directory(path: Path, *, resumed: bool = False) -> RunDirectory:
    """Makes `path` and claims it for this process, until it ends.

    Raises:
        InputError: another run's results are in it and it is not resumed, a running process has claimed it,
            there is nothing to resume, or it cannot be written.
    """
    run, key = RunDirectory(path), "resume" if resumed else "output_dir"
    if resumed and not path.is_dir():
        raise InputError(
            f"resume={path}: no such directory; give the output directory of a run that has begun"
        )
    _make(path, key)
    if resumed and not run.holds_run():
        raise InputError(
            f"resume={path}: holds no run to resume; give the output directory of a run that has begun"
        )
    if not resumed and run.holds_run():
        raise InputError(
            f"output_dir={path}: holds another run; resume={path} goes on with it, or give another output_dir"
        )
    if not _claim(path, key):
        raise InputError(
            f"{key}={path}: a running process is writing there; wait for it or give another output_dir"
        )
    return run


def _make(path: Path, key: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _cannot_be_written(path, key, error) from error


def _cannot_be_written(path: Path, key: str, error: OSError) -> InputError:
    return InputError(f"{key}={path}: cannot be written ({error.strerror}); give a directory that can")


def _claim(path: Path, key: str) -> bool:
    """Whether no other process has claimed the directory; the system ends a claim with its process."""
    try:
        descriptor = os.open(path / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _cannot_be_written(path, key, error) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return False
    except OSError:
        return True  # A file system without locks: nothing can be known.
    return True
