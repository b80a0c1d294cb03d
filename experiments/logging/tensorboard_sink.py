"""Logs a run's figures to TensorBoard event files."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.errors import InputError


class TensorBoardSink:
    """Writes scalars; TensorBoard hides events of steps after `resumed_step`, as they will happen again.

    Every method, and the constructor, raises OSError when the disk is full.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, *, path: Path, resumed_step: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "logger.tensorboard=true: it is not installed; `pip install tensorboard` or switch it off"
            ) from error
        _silence_writing_threads()
        purge_step = None if resumed_step is None else resumed_step + 1
        self._writer = SummaryWriter(str(path), purge_step=purge_step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def summarize(self, step: int, figures: Mapping[str, float]) -> None:
        self.log(step, figures)

    def show_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        lines = [columns, ["---"] * len(columns), *rows]  # TensorBoard shows text as Markdown
        self._writer.add_text(name, "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))

    def close(self, *, failed: bool) -> None:
        self._writer.close()


def _silence_writing_threads() -> None:
    """What a thread of TensorBoard cannot write is raised by the next call; the thread needs no traceback."""
    tell = threading.excepthook

    def tell_others(failure: threading.ExceptHookArgs) -> None:
        is_of_writer = type(failure.thread).__module__.startswith("tensorboard")
        if not (is_of_writer and isinstance(failure.exc_value, OSError)):
            tell(failure)

    threading.excepthook = tell_others
