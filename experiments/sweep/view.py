"""Shows how far a sweep is: a line for each job that ends, and how many are done, the best, the time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple

from experiments.logging.progress import make_progress
from experiments.sweep.engine import Job


class Best(NamedTuple):
    """The job with the best value of the metric by which its trainer selects."""

    job: Job
    metric: str
    value: float


class View:
    """A display of a sweep; a context manager that leaves only the lines.

    Args:
        kind: as that of `make_progress`.
        num_slots: jobs that run at a time, for the time left.
        clock: seconds, for tests.
    """

    def __init__(self, kind: str, *, num_slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = make_progress(kind, title="sweep", transient=True)
        self._num_slots, self._clock = num_slots, clock
        self._started: dict[str, float] = {}
        self._seconds: list[float] = []
        self._shown: tuple[float, str] | None = None

    def __enter__(self) -> View:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def tell(self, job: Job) -> None:
        """Print a line about a job whose state has changed."""
        self._note_time(job)
        line = line_of(job)
        if line:
            print(line, flush=True)

    def update(self, jobs: Sequence[Job]) -> None:
        """Show the states of the jobs."""
        done = sum(job.state in ("finished", "failed", "blocked") for job in jobs)
        shown = (done / max(1, len(jobs)), self.state(jobs))
        if shown != self._shown:  # a line of text in a file says something new
            self._bar.show(*shown)
        self._shown = shown

    def state(self, jobs: Sequence[Job]) -> str:
        """The counts, the best job so far, and the time left."""
        counts = Counter[str](job.state for job in jobs)
        parts = [f"{counts['finished']} of {len(jobs)} done"]
        parts += [f"{counts[state]} {state}" for state in ("running", "failed", "blocked") if counts[state]]
        best = best_of(jobs)
        if best is not None:
            parts.append(f"best {best.metric} {best.value:.4g} ({best.job.record.name})")
        left = self._seconds_left(jobs)
        if left:
            minutes = round(left / 60)
            parts.append(f"about {minutes} min left" if minutes else "less than a minute left")
        return ", ".join(parts)

    def _note_time(self, job: Job) -> None:
        name = job.record.name
        if job.state == "running":
            self._started[name] = self._clock()
        elif job.state == "finished" and name in self._started:
            self._seconds.append(self._clock() - self._started[name])

    def _seconds_left(self, jobs: Sequence[Job]) -> float | None:
        """By the mean time of the jobs that have finished; None before the first."""
        if not self._seconds:
            return None
        mean, now = sum(self._seconds) / len(self._seconds), self._clock()
        waiting = sum(job.state == "waiting" for job in jobs) * mean
        started = [self._started[job.record.name] for job in jobs if job.state == "running"]
        running = sum(max(0.0, mean - (now - begun)) for begun in started)
        return (waiting + running) / max(1, min(self._num_slots, len(started) or 1))


def line_of(job: Job) -> str:
    """What is said of a job whose state has changed; nothing of one that has begun."""
    if job.state == "finished" and job.run is not None:
        metric, value = metric_of(job), value_of(job)
        told = "" if value is None else f": {metric} {value:.4g}"
        seconds = job.run.figures.get("seconds")
        return f"done    {job.record.name}{told}" + ("" if seconds is None else f", {seconds:,.0f} s")
    if job.state in ("failed", "blocked"):
        return f"{job.state:<7} {job.record.name}: {job.reason}"
    return f"stopped {job.record.name}" if job.state == "unfinished" else ""


def metric_of(job: Job) -> str | None:
    """The metric by which a job's trainer selects; None before it has begun."""
    trainer = job.run.config.get("trainer") if job.run is not None else None
    metric = trainer.get("metric") if isinstance(trainer, dict) else None
    return metric if isinstance(metric, str) else None


def value_of(job: Job) -> float | None:
    """The final value of that metric, on the dev split; None without one."""
    return job.run.figures.get(metric_of(job) or "") if job.run is not None else None


def best_of(jobs: Sequence[Job]) -> Best | None:
    """The best of the jobs that have finished; None if there is none, or if they have several metrics."""
    found = [
        Best(job, metric, value)
        for job in jobs
        if job.record.role == "job" and (metric := metric_of(job)) and (value := value_of(job)) is not None
    ]
    if len({best.metric for best in found}) != 1:
        return None
    run = found[0].job.run
    sign = 1 if run is not None and run.config["trainer"].get("metric_goal") == "maximize" else -1
    return max(found, key=lambda best: sign * best.value)
