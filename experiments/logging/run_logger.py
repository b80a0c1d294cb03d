"""Logs a run's metrics: always to metrics.jsonl and metrics.json, and to W&B and TensorBoard if wanted."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from elmo.errors import InputError
from elmo.files import atomic_write, json_text
from elmo.json_file import parse_json
from experiments.io.run_directory import RunDirectory

LOG = logging.getLogger(__name__)


class Sink(Protocol):
    """A destination of metrics besides the files."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def summarize(self, step: int, figures: Mapping[str, float]) -> None: ...

    def show_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...

    def show_picture(self, name: str, path: Path) -> None: ...

    def keep_model(self, path: Path) -> None: ...

    def close(self, *, failed: bool) -> None: ...


class RunLogger:
    """Writes each event to metrics.jsonl at once, the final figures to metrics.json, and both to the sinks.

    A value that is not finite is written as `null`, as JSON has no notation for it; sinks get it as it is.

    Args:
        metrics_log_path: metrics.jsonl, appended to.
        metrics_path: metrics.json.
        resumed_step: the step that the run goes on from; later events, which will happen again, are cut.
        is_evaluated: whether the scores of that step count; if not, they are cut as well.
        sinks: closed in their order by `close`.
    """

    def __init__(
        self,
        *,
        metrics_log_path: Path,
        metrics_path: Path,
        resumed_step: int | None = None,
        is_evaluated: bool = True,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.metrics_path = metrics_path
        self.sinks = list(sinks)
        self._last_step = resumed_step or 0
        self._closed = False
        try:
            if resumed_step is not None and metrics_log_path.exists():
                cut_metrics(metrics_log_path, resumed_step, is_evaluated=is_evaluated)
            self._file = metrics_log_path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"{metrics_log_path}: cannot be written ({error.strerror})") from error

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Appends one event, e.g. `log(20, {"tokens": 12_800, "seconds": 1.9, "train/loss": 6.2})`.

        Raises:
            InputError: the disk is full.
        """
        event = {"step": step, **values}
        try:
            self._file.write((json_text(_finite(event)) + "\n").encode())
        except OSError as error:
            raise InputError(f"{self._file.name}: cannot be written ({error.strerror})") from error
        self._last_step = step
        self._tell(lambda sink: sink.log(step, values))

    def summarize(self, figures: Mapping[str, float]) -> None:
        """Writes the run's final figures.

        Raises:
            InputError: the disk is full.
        """
        with atomic_write(self.metrics_path) as aside:
            aside.write_text(json_text(_finite(figures), indent=2) + "\n", encoding="utf-8")
        self._tell(lambda sink: sink.summarize(self._last_step, figures))

    def show_tables(self, tables: Mapping[str, tuple[list[str], list[list[Any]]]]) -> None:
        """Gives larger results, columns and rows by name, to the sinks."""
        for name, (columns, rows) in tables.items():
            self._tell(partial(_show_table, name=name, columns=columns, rows=rows))

    def show_pictures(self, path: Path) -> None:
        """Gives the pictures in a directory to the sinks, by their names."""
        for picture_path in sorted(path.glob("*.png")):
            self._tell(partial(_show_picture, path=picture_path))

    def keep_model(self, path: Path) -> None:
        """Gives the model directory to the sinks that keep models."""
        self._tell(lambda sink: sink.keep_model(path))

    def close(self, *, failed: bool = False) -> None:
        """Ends all that is open; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._file.close()
        self._tell(lambda sink: sink.close(failed=failed))

    def _tell(self, action: Callable[[Sink], None]) -> None:
        """Do this for each sink; one that cannot write, as on a full disk, is left out from then on."""
        for sink in list(self.sinks):
            try:
                action(sink)
            except OSError as error:
                self.sinks.remove(sink)
                _warn(type(sink).__name__.removesuffix("Sink"), error)

    def __enter__(self) -> RunLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)


def open_run_logger(
    run: RunDirectory,
    *,
    wandb: str,
    tensorboard: bool,
    project: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] = (),
    config: Mapping[str, Any],
    resumed_step: int | None = None,
    is_evaluated: bool = True,
) -> RunLogger:
    """The logger of a run, with the sinks that are wanted.

    Args:
        run: its directory, whose name is the run's name.
        wandb: `auto`, `online`, `offline` or `disabled`.
        tensorboard: whether event files are written.
        project, entity, group, job_type, tags: of the W&B run; where they are missing, its environment
            variables hold.
        config: the whole config as plain containers, for W&B and TensorBoard.
        resumed_step, is_evaluated: see `RunLogger`.

    Raises:
        InputError: TensorBoard is wanted and not installed.
    """
    sinks: list[Sink] = []
    if wandb != "disabled":
        from experiments.logging.wandb_sink import WandbSink

        sinks.append(
            WandbSink(
                mode=wandb,
                run=run,
                project=project,
                entity=entity,
                group=group,
                job_type=job_type,
                tags=tags,
                config=config,
                resumed=resumed_step is not None,
            )
        )
    if tensorboard:
        from experiments.logging.tensorboard_sink import TensorBoardSink

        try:
            sinks.append(TensorBoardSink(path=run.tensorboard_path, config=config, resumed_step=resumed_step))
        except OSError as error:
            _warn("TensorBoard", error)
    return RunLogger(
        metrics_log_path=run.metrics_log_path,
        metrics_path=run.metrics_path,
        resumed_step=resumed_step,
        is_evaluated=is_evaluated,
        sinks=sinks,
    )


def cut_metrics(path: Path, last_step: int, *, is_evaluated: bool = True) -> None:
    """Rewrites metrics.jsonl without events after `last_step` and lines that a kill left unfinished.

    Without `is_evaluated` the scores of `last_step` go as well: a kill came before the checkpoint had them.
    """
    with path.open("rb") as lines, atomic_write(path) as aside, aside.open("wb") as kept:
        kept.writelines(line for line in lines if _is_kept(line, last_step, is_evaluated))


def _is_kept(line: bytes, last_step: int, is_evaluated: bool) -> bool:
    try:
        event = parse_json(line, name="line")
    except InputError:
        return False
    if not isinstance(event, dict) or not line.endswith(b"\n"):
        return False
    if event.get("step") == last_step and not is_evaluated:
        return any(key.startswith("train/") for key in event)
    step = event.get("step")
    return isinstance(step, int) and step <= last_step


def _show_table(sink: Sink, name: str, columns: list[str], rows: list[list[Any]]) -> None:
    sink.show_table(name, columns, rows)


def _show_picture(sink: Sink, path: Path) -> None:
    sink.show_picture(path.stem, path)


def _warn(name: str, error: OSError) -> None:
    LOG.warning("%s failed (%s); going on without it", name, error.strerror or error)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
