"""Logs a run's figures to TensorBoard event files."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.errors import InputError


class TensorBoardSink:
    """Writes scalars, tables, pictures, and the config with the final figures as TensorBoard's "HParams".

    TensorBoard hides events of steps after `resumed_step`, as they will happen again.

    Args:
        path: the directory of event files.
        config: plain containers.
        resumed_step: the step that the run goes on from; None: it is new.

    Every method, and the constructor, raises OSError when the disk is full.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, *, path: Path, config: Mapping[str, Any], resumed_step: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "logger.tensorboard=true: it is not installed; `pip install tensorboard` or switch it off"
            ) from error
        _silence_writing_threads()
        self._config = dict(_leaves(config))
        purge_step = None if resumed_step is None else resumed_step + 1
        self._writer = SummaryWriter(str(path), purge_step=purge_step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def summarize(self, step: int, figures: Mapping[str, float]) -> None:
        from torch.utils.tensorboard.summary import hparams

        self.log(step, figures)
        writer: Any = self._writer.file_writer
        for summary in hparams(self._config, dict(figures)):
            writer.add_summary(summary)

    def show_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        lines = [columns, ["---"] * len(columns), *rows]  # TensorBoard shows text as Markdown
        self._writer.add_text(name, "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))

    def show_picture(self, name: str, path: Path) -> None:
        from matplotlib.image import imread

        self._writer.add_image(f"plots/{name}", imread(path), dataformats="HWC")

    def keep_model(self, path: Path) -> None:
        """Nothing: TensorBoard keeps no models."""

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


def _leaves(config: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """The values of nested mappings by their dotted keys; what is no number or text, as text."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value if isinstance(value, (bool, int, float, str)) else str(value)
