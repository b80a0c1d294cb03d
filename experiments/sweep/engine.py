"""Runs the jobs of a sweep until each has finished or failed: what is done is skipped, the rest goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, Protocol

from omegaconf import DictConfig

from elmo.errors import InputError
from elmo.files import atomic_write, json_text
from experiments.io.run_directory import RunDirectory, is_in_use
from experiments.io.run_record import FAILURE, RunRecord, read_run
from experiments.sweep.launchers.launcher import OUTPUT_FILE, Ended, Launcher, Run
from experiments.sweep.overrides import value_text
from experiments.sweep.record import JobRecord
from experiments.training.stop import Stop

State = Literal["waiting", "running", "finished", "failed", "unfinished", "blocked"]
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0  # for the jobs of a sweep that was killed a moment ago


@dataclass
class Job:
    """A job and how far it is.

    Attributes:
        record: its name, axes and overrides.
        path: its directory.
        settings: further overrides that its launch adds, such as the number of threads.
        needs: the jobs whose models it starts from.
        state: `blocked` if one of these has failed.
        reason: why it failed.
        run: its record, of a job that has finished.
        config: as it was composed, once it has been checked.
    """

    record: JobRecord
    path: Path
    settings: list[str] = field(default_factory=list)
    needs: list[Job] = field(default_factory=list)
    state: State = "waiting"
    reason: str | None = None
    run: RunRecord | None = None
    config: DictConfig | None = None

    def read(self) -> None:
        """Take the state from the directory."""
        found = _read(self.path)
        self.run = found if found is not None and found.state == "finished" else None
        self.state = "waiting" if found is None else found.state
        self.reason = str(found.failure.get("reason")) if found is not None and found.failure else None


class Watcher(Protocol):
    """What is told of the jobs' states."""

    def tell(self, job: Job) -> None:
        """The state of a job has changed."""

    def update(self, jobs: Sequence[Job]) -> None:
        """So far are the jobs, and as many run as can."""


class Engine:
    """Runs jobs side by side, those that others need before these.

    A job that fails stops no other; its reason is noted in its directory, and the next start tries again.

    Args:
        jobs: in the order in which they are started.
        launcher: starts them; closed by the caller.
        run: the training.
        options: further arguments of each, such as `--config-dir=...`.
        stop: ends the sweep: no further job is started, and the running ones are asked to stop.
        watcher: is told of each change, and every fifth of a second how far all are.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        launcher: Launcher,
        run: Run,
        options: Sequence[str],
        stop: Stop,
        watcher: Watcher,
    ) -> None:
        self.jobs = list(jobs)
        self._launcher, self._run, self._options = launcher, run, list(options)
        self._stop, self._watcher = stop, watcher
        self._log_sizes: dict[Path, int] = {}

    def run(self) -> None:
        """Run until every job has finished or failed, or the sweep is to stop.

        Raises:
            InputError: another process writes into the directory of a job.
        """
        for job in self.jobs:
            if job.state != "finished":
                await_free(job.path)
        waiting = [job for job in self.jobs if job.state != "finished"]
        is_stopping = False
        while waiting or self._running():
            if self._stop.reason is not None and not is_stopping:
                is_stopping = True
                waiting.clear()
                self._launcher.interrupt()
            for job in list(_startable(waiting)):
                if self._launcher.has_room():
                    waiting.remove(job)
                    self._start(job)
            for job in [job for job in waiting if any(_is_lost(other) for other in job.needs)]:
                waiting.remove(job)
                self._block(job)
            self._watcher.update(self.jobs)
            for ended in self._launcher.wait(_POLL_SECONDS):
                self._conclude(ended)
        self._watcher.update(self.jobs)

    def _running(self) -> list[Job]:
        return [job for job in self.jobs if job.state == "running"]

    def _start(self, job: Job) -> None:
        job.path.mkdir(parents=True, exist_ok=True)
        self._log_sizes[job.path] = _size(job.path / OUTPUT_FILE)
        job.state = "running"
        self._launcher.start(self._run, arguments_of(job, self._options), job.path)
        self._watcher.tell(job)

    def _conclude(self, ended: Ended) -> None:
        job = next(job for job in self.jobs if job.path == ended.path)
        job.read()
        if job.state == "finished":
            (job.path / FAILURE).unlink(missing_ok=True)
        elif self._stop.reason is not None:
            job.state = "unfinished"
        else:
            told = last_line(job.path / OUTPUT_FILE, self._log_sizes[job.path])
            job.reason = ended.reason or reason_of(ended.exit_code, told)
            job.state = "failed"
            note_failure(job.path, reason=job.reason, exit_code=ended.exit_code)
        self._watcher.tell(job)

    def _block(self, job: Job) -> None:
        failed = [other.record.name for other in job.needs if _is_lost(other)]
        job.state, job.reason = "blocked", f"waits for {', '.join(failed)}, which failed"
        self._watcher.tell(job)


def arguments_of(job: Job, options: Sequence[str]) -> list[str]:
    """The arguments of `experiments.train` that begin a job, or go on with it from its last checkpoint."""
    place = value_text(str(job.path))
    if RunDirectory(job.path).has_checkpoint():
        # Its own config is the root, and not that of another run which the sweep repeats.
        kept = [option for option in options if option.startswith("--config-dir")]
        return [f"resume={place}", "plugins=run", *kept]
    return [*job.record.overrides, *job.settings, f"output_dir={place}", *options]


def await_free(path: Path) -> None:
    """Wait until no process writes into a job's directory: one of a sweep that was killed is about to end.

    Raises:
        InputError: it goes on writing.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while path.is_dir() and is_in_use(path):
        if time.monotonic() > end:
            raise InputError(f"{path}: a running process is writing there; wait for it, or stop it")
        time.sleep(0.1)


def reason_of(exit_code: int, told: str) -> str:
    """Why a job failed, in words.

    Args:
        exit_code: of its process; negative: the signal that killed it.
        told: the last line that it printed.
    """
    if exit_code >= 0:
        return told or f"it ended with exit code {exit_code} and said nothing"
    with suppress(ValueError):
        number = signal.Signals(-exit_code)
        if number is signal.SIGKILL:
            return (
                "killed by SIGKILL, which the system does when memory runs out; fewer jobs at a time or a"
                " smaller trainer.batch_size need less"
            )
        return f"killed by {number.name}" + (f"; its last line: {told}" if told else "")
    return f"killed by signal {-exit_code}"


def note_failure(path: Path, *, reason: str, exit_code: int) -> None:
    """Write failure.json into a job's directory; the number of attempts is one more than it says so far."""
    found = _read(path)
    before = (found.failure or {}).get("attempts", 0) if found is not None else 0
    note: dict[str, Any] = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "reason": reason,
        "exit_code": exit_code,
        "attempts": (before if isinstance(before, int) else 0) + 1,
    }
    with atomic_write(path / FAILURE) as aside:
        aside.write_text(json_text(note, indent=2) + "\n", encoding="utf-8")


def _startable(waiting: Sequence[Job]) -> Iterator[Job]:
    return (job for job in waiting if all(other.state == "finished" for other in job.needs))


def _is_lost(job: Job) -> bool:
    return job.state in ("failed", "blocked")


def _read(path: Path) -> RunRecord | None:
    """What a job has left; None if nothing, or what cannot be read: it is run again."""
    try:
        return read_run(path)
    except InputError:
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def last_line(path: Path, start: int) -> str:
    """The last line of a file that is not empty, of those behind byte `start`."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(start, _size(path) - 10_000))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    return next((line[:500] for line in reversed(lines) if line), "")
