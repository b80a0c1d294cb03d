"""Progress displays, as a bar or as lines of text, and small tables of results."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import TextIO

import rich.progress
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

WINDOW_SECONDS = 30.0
_POINT_SECONDS = 0.1  # between two points of the window
PLAIN_EVERY_SECONDS = 10.0
Cell = str | int | float | None


class Speed:
    """Tokens per second and time left, over the last 30 seconds, so that a slow start does not count."""

    def __init__(self, *, start_tokens: int, start_fraction: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._points = deque([(clock(), start_tokens, start_fraction)])

    def add(self, tokens: int, fraction: float) -> None:
        now = self._clock()
        if len(self._points) > 1 and now - self._points[-2][0] < _POINT_SECONDS:
            self._points.pop()  # its place is taken: a window of few points, however often this is called
        self._points.append((now, tokens, fraction))
        while len(self._points) > 2 and now - self._points[1][0] >= WINDOW_SECONDS:
            self._points.popleft()

    def tokens_per_second(self) -> float:
        (began, first, _), (ended, last, _) = self._points[0], self._points[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def seconds_left(self) -> float | None:
        """None until it can be estimated."""
        (began, _, first), (ended, _, last) = self._points[0], self._points[-1]
        return (1.0 - last) * (ended - began) / (last - first) if last > first else None


class Progress(ABC):
    """A progress display: call `update` as often as you like, and `close` at the end."""

    def __init__(self, *, speed: Speed, unit: str) -> None:
        self._speed, self._unit = speed, unit

    def update(
        self,
        *,
        fraction: float,
        tokens: int | None = None,
        step: int | None = None,
        sentences: int | None = None,
        loss: float | None = None,
    ) -> None:
        """Show how far the work is.

        Args:
            fraction: of the whole, 0 to 1.
            tokens: done so far, or whatever else is the unit; None: only the share and the time are shown.
            step: the training step.
            sentences: done so far.
            loss: of the last step, in nats.
        """
        self._speed.add(tokens or 0, fraction)
        speed = f"{self._speed.tokens_per_second():,.0f} {self._unit}/s"
        parts = [
            f"step {step:,}" if step is not None else "",
            f"{tokens:,} {self._unit}" if tokens is not None else "",
            f"{sentences:,} sentences" if sentences is not None else "",
            speed if tokens is not None else "",
            f"loss {loss:.3f}" if loss is not None else "",
            _duration_left(self._speed.seconds_left()),
        ]
        self.show(fraction, ", ".join(part for part in parts if part))

    @abstractmethod
    def show(self, fraction: float, state: str) -> None:
        """Show how far the work is, in words of the caller's own."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RichProgress(Progress):
    """A bar that is redrawn in place; what is printed meanwhile appears above it."""

    def __init__(self, *, title: str, speed: Speed, unit: str, console: Console, transient: bool) -> None:
        super().__init__(speed=speed, unit=unit)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(bar_width=20),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[state]}", markup=False),
            console=console,
            transient=transient,
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),  # What goes into a file must stay there.
        )
        self._task = self._bar.add_task(title, total=1.0, state="")
        self._bar.start()

    def show(self, fraction: float, state: str) -> None:
        self._bar.update(self._task, completed=fraction, state=state)

    def close(self) -> None:
        self._bar.stop()


class PlainProgress(Progress):
    """A line of plain text every ten seconds at most, and the last state once more at the end."""

    def __init__(
        self,
        *,
        title: str,
        speed: Speed,
        unit: str,
        file: TextIO,
        clock: Callable[[], float],
        transient: bool,
    ) -> None:
        super().__init__(speed=speed, unit=unit)
        self._transient = transient
        self._title, self._file, self._clock = title, file, clock
        self._shown_at = clock()
        self._waiting = ""

    def show(self, fraction: float, state: str) -> None:
        self._waiting = f"{self._title}: {fraction:4.0%}, {state}"
        if self._clock() - self._shown_at >= PLAIN_EVERY_SECONDS:
            self._print()

    def close(self) -> None:
        """Writes what has not been shown yet."""
        if not self._transient:
            self._print()

    def _print(self) -> None:
        if self._waiting:
            print(self._waiting, file=self._file, flush=True)
        self._waiting, self._shown_at = "", self._clock()


class NoProgress(Progress):
    """Shows nothing."""

    def show(self, fraction: float, state: str) -> None:
        pass

    def close(self) -> None:
        pass


def make_progress(
    kind: str,
    *,
    title: str,
    unit: str = "tokens",
    start_tokens: int = 0,
    start_fraction: float = 0.0,
    transient: bool = False,
    file: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """The progress display of a kind.

    Args:
        kind: `rich`, `plain`, `none`, or `auto`: rich on a terminal, otherwise plain.
        title: what runs, e.g. `training`.
        unit: what is counted.
        start_tokens: tokens done before, of a run that goes on; they are not part of its speed.
        start_fraction: the fraction done before.
        transient: leave nothing behind at the end, but for the lines that are printed by then.
        file: where to; by default standard error.
        clock: seconds, for tests.
    """
    file = file or sys.stderr
    speed = Speed(start_tokens=start_tokens, start_fraction=start_fraction, clock=clock)
    if kind == "none":
        return NoProgress(speed=speed, unit=unit)
    console = _console(file)
    if kind == "rich" or (kind == "auto" and console.is_terminal and not console.is_dumb_terminal):
        return RichProgress(title=title, speed=speed, unit=unit, console=console, transient=transient)
    return PlainProgress(title=title, speed=speed, unit=unit, file=file, clock=clock, transient=transient)


@lru_cache(maxsize=1)
def _console(file: TextIO) -> Console:
    """One console for a file, as a bar may run within another one only on the same console."""
    return Console(file=file)


def summary_table(
    rows: Sequence[Sequence[Cell]], *, columns: Sequence[str], title: str = "", file: TextIO | None = None
) -> None:
    """Prints a small table to `file`, by default standard output: drawn on a terminal, plain text elsewhere.

    Text stands left, numbers right: integers with separators, others with one decimal; None is an empty cell.
    """
    file = file or sys.stdout
    console = Console(file=file)
    texts = [[_cell(cell) for cell in row] for row in rows]
    right = [any(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]
    if not console.is_terminal or console.is_dumb_terminal:
        print("\n".join([title] * bool(title) + _plain_lines([list(columns), *texts], right)), file=file)
        return
    table = Table(title=title or None, title_justify="left")
    for column, is_right in zip(columns, right, strict=True):
        table.add_column(column, justify="right" if is_right else "left")
    for row in texts:
        table.add_row(*map(Text, row))
    console.print(table)


def _plain_lines(rows: list[list[str]], right: list[bool]) -> list[str]:
    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(right))]

    def padded(text: str, column: int) -> str:
        space = " " * (widths[column] - cell_len(text))
        return space + text if right[column] else text + space

    return ["  ".join(padded(text, column) for column, text in enumerate(row)).rstrip() for row in rows]


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _duration_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
