"""The directory of a run: the paths of its files, and protection against overwriting another run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from elmo.errors import InputError
from elmo.files import file_lock


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

    def holds_run(self) -> bool:
        """Whether a run has left results here; a config alone, of a failed start, does not count."""
        files = (self.metrics_log_path, self.metrics_path)
        directories = (self.checkpoints_path, self.model_path, self.predictions_path)
        return any(path.is_file() and path.stat().st_size > 0 for path in files) or any(
            path.is_dir() and any(path.iterdir()) for path in directories
        )


@contextmanager
def open_run_directory(path: Path, *, resumed: bool = False) -> Iterator[RunDirectory]:
    """Creates or resumes the run directory `path`, with a file lock against other processes.

    Raises:
        InputError: another run's results are in it and it is not resumed, a running process writes there,
            there is nothing to resume, or it cannot be written.
    """
    run, key = RunDirectory(path), "resume" if resumed else "output_dir"
    if resumed and not run.holds_run():
        found = "holds no run to resume" if path.is_dir() else "no such directory"
        raise InputError(f"resume={path}: {found}; give the output directory of a run that has begun")
    with ExitStack() as held:
        try:
            path.mkdir(parents=True, exist_ok=True)
            held.enter_context(file_lock(path / ".lock"))
        except BlockingIOError as error:
            raise InputError(
                f"{key}={path}: a running process is writing there; wait for it or give another output_dir"
            ) from error
        except OSError as error:
            raise InputError(
                f"{key}={path}: cannot be written ({error.strerror}); give a directory that can"
            ) from error
        if not resumed and run.holds_run():
            raise InputError(
                f"output_dir={path}: holds another run; resume={path} goes on with it, or give another"
                " output_dir"
            )
        yield run
