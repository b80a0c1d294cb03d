"""Shows evaluations: a progress display of their own while they run, and their scores when they are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

from experiments.logging.progress import Progress, make_progress
from experiments.training.stop import Stop


class Evaluations:
    """The display of one evaluation after the other; a stop that is requested ends the one that runs.

    Args:
        kind: see `make_progress`.
        stop: of the run.
        adjust_threads: see `watch_threads`.
    """

    def __init__(self, kind: str, stop: Stop, *, adjust_threads: Callable[[], object]) -> None:
        self._kind, self._stop, self._adjust_threads = kind, stop, adjust_threads
        self._shown: Progress | None = None

    def tell(self, split: str, done: int, total: int) -> None:
        """Show how far the evaluation of a split is, in units of the task.

        Raises:
            KeyboardInterrupt: a stop was requested.
        """
        if self._shown is None:
            self._shown = make_progress(self._kind, title=f"scoring {split}", transient=True)
        self._shown.update(fraction=done / total)
        if done >= total:
            self.close()
        self._stop.obey()
        self._adjust_threads()

    def close(self) -> None:
        """End the display of an evaluation, if there is one."""
        if self._shown is not None:
            self._shown.close()
        self._shown = None

    def __enter__(self) -> Evaluations:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def print_scores(step: int, epochs: float, scores: Mapping[str, float], *, is_best: bool) -> None:
    """Print the scores of an evaluation in a line."""
    said = ", ".join(f"{name} {number(value)}" for name, value in scores.items())
    print(f"step {step:,}, epoch {epochs:.2f}: {said}{'; the best so far' if is_best else ''}", flush=True)


def number(value: float) -> str:
    """A number in four digits, or as many as its integer part has."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
