"""Predict new text with a trained model: `python -m experiments.predict run=DIR input=FILE output=FILE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from elmo.errors import InputError
from elmo.files import json_text, partial_path, refuse_existing, utf8_output, write_partial
from experiments.config.choices import Progress
from experiments.config.command import INCOMPLETE, run_command
from experiments.config.schema import PredictConfig
from experiments.io.line_reader import STANDARD_STREAM

if TYPE_CHECKING:
    from experiments.io.record_reader import RecordReader
    from tasks.task import ExplainingPredictor, Predictor

Show = Callable[[Sequence["_Line"], Sequence[Mapping[str, Any]]], None]
WINDOW_BYTES = 1_000_000  # approximate limit of the input that is held at once


class _Line(NamedTuple):
    """A line of the input: the model's input, or the error if the line has none."""

    number: int
    num_bytes: int
    input: Any
    error: str | None


def main(config: PredictConfig, overrides: list[str]) -> int:
    """Write a line of JSON for every line of the input; returns 1 if some of them have no prediction."""
    from experiments.io.line_reader import LineReader
    from experiments.io.record_reader import MAX_LINE_BYTES, RecordReader
    from experiments.logging.progress import make_progress
    from tasks.task import TablePredictor

    for path in (config.output, config.page_path()):
        if path not in (None, STANDARD_STREAM):
            refuse_existing(Path(path))
    source = LineReader(config.input, max_bytes=MAX_LINE_BYTES)
    predictor, batch_size = _load(config)
    table = predictor.table if isinstance(predictor, TablePredictor) else None
    reader = RecordReader(source, format=config.format.value, table=table)
    lines = _at_least_one(_read(reader, predictor), reader.name)
    num_answers = num_errors = 0
    with ExitStack() as stack:
        output = stack.enter_context(_opened(config.output))
        progress = make_progress(_progress_kind(config), title="predicting", unit="lines")
        stack.enter_context(progress)
        show = stack.enter_context(_explained(config, predictor)) if config.explain else None
        for window in _windows(lines, max_lines=batch_size):
            readable = [line for line in window if line.error is None]
            answers = predictor.predict([line.input for line in readable]) if readable else []
            _write(output, window, answers)
            if show is not None:
                show(readable, answers)
            num_answers, num_errors = num_answers + len(answers), num_errors + len(window) - len(answers)
            progress.update(fraction=reader.fraction, tokens=num_answers + num_errors)
    print(f"{num_answers:,} lines answered, {num_errors:,} not", file=sys.stderr)
    return INCOMPLETE if num_errors else 0


def _load(config: PredictConfig) -> tuple[Any, int]:
    """The run's predictor, and its batch size."""
    from elmo.device import choose_device
    from elmo.io.model_directory import read_model
    from elmo.registry import REGISTRY
    from experiments.training.process import set_up_process
    from tasks.task import ExplainingPredictor, Setup

    device = choose_device(config.device)
    set_up_process(num_threads=config.num_threads, device=device)
    saved = read_model(Path(config.run))
    setup = Setup(
        nodes=saved.config,
        vocabulary={},
        batch_size=config.batch_size or saved.config["batch_size"],
        seed=0,
        device=device,
        cache_path=Path(os.devnull),  # no data is prepared
        report=lambda tokens, sentences, fraction: None,
    )
    predictor = REGISTRY.build("task", saved.config["task"]).predictor(saved, setup, name=config.run)
    if config.explain and not isinstance(predictor, ExplainingPredictor):
        task = saved.config["task"]["type"]
        raise InputError(f"explain: the task of {config.run}, {task}, does not explain; leave it out")
    return predictor, setup.batch_size


def _read(reader: RecordReader, predictor: Predictor) -> Iterator[_Line]:
    """The lines of the input; faults of a line are printed to standard error."""
    from experiments.logging.explanation import printable

    for number, size, raw in reader:
        try:
            yield _Line(number, size, predictor.read(reader.record(raw)), None)
        except InputError as error:
            print(printable(f"{reader.name}:{number}: {error}"), file=sys.stderr, flush=True)
            yield _Line(number, size, None, str(error))


def _at_least_one(lines: Iterator[_Line], name: str) -> Iterator[_Line]:
    first = next(lines, None)
    if first is None:
        raise InputError(f"{name}: no text to predict")
    return chain([first], lines)


def _windows(lines: Iterator[_Line], *, max_lines: int) -> Iterator[list[_Line]]:
    """Windows of lines that are predicted together; their ends depend on the lines alone."""
    window: list[_Line] = []
    num_bytes = 0
    for line in lines:
        window.append(line)
        num_bytes += line.num_bytes
        if len(window) == max_lines or num_bytes >= WINDOW_BYTES:
            yield window
            window, num_bytes = [], 0
    if window:
        yield window


def _write(output: TextIO, window: Sequence[_Line], answers: Sequence[Mapping[str, Any]]) -> None:
    """Write the window's lines of JSON: a prediction, or the line's error."""
    remaining = iter(answers)
    for line in window:
        row = next(remaining) if line.error is None else {"error": line.error}
        output.write(json_text({"line": line.number, **row}) + "\n")
    output.flush()


@contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    """The output; a file is `output.partial` until the end, and stays that if the command is interrupted."""
    if output == STANDARD_STREAM:
        yield utf8_output()
        return
    try:
        with write_partial(Path(output)) as file:
            yield file
    except KeyboardInterrupt:
        if partial_path(Path(output)).exists():
            print(f"{partial_path(Path(output))} keeps what is done", file=sys.stderr)
        raise


def _progress_kind(config: PredictConfig) -> str:
    """No progress bar where predictions are printed to the terminal anyway."""
    shown = config.explain or (config.output == STANDARD_STREAM and sys.stdout.isatty())
    return "none" if shown and config.progress is Progress.auto else config.progress.value


@contextmanager
def _explained(config: PredictConfig, predictor: ExplainingPredictor) -> Iterator[Show]:
    """A function that shows the saliency of a window's words."""
    from experiments.logging.explanation import ExplanationPage, TerminalExplanations

    terminal = TerminalExplanations(sys.stderr if config.output == STANDARD_STREAM else sys.stdout)
    places: list[TerminalExplanations | ExplanationPage] = [terminal]

    def show(lines: Sequence[_Line], answers: Sequence[Mapping[str, Any]]) -> None:
        explained = predictor.explain([line.input for line in lines])
        for line, answer, saliencies in zip(lines, answers, explained, strict=True):
            for place in places:
                place.add(f"line {line.number}: {_in_short(answer)}", saliencies)

    path = config.page_path()
    if path is None:
        yield show
        return
    with write_partial(Path(path)) as file:
        page = ExplanationPage(file, title=f"Predictions of {config.run} on {config.input}")
        places.append(page)
        yield show
        page.close()


def _in_short(answer: Mapping[str, Any]) -> str:
    """A prediction's plain values as text."""
    parts = []
    for key, value in answer.items():
        if isinstance(value, (str, int)):
            parts.append(f"{key} {value}")
        elif isinstance(value, float):
            parts.append(f"{key} {value:.3g}")
        elif isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            parts.append(f"{key} {', '.join(value) or 'none'}")
    return "; ".join(parts)


def command() -> int:
    """`elmo-predict`, which is `python -m experiments.predict`: the exit code."""
    return run_command(main, config_name="predict")


if __name__ == "__main__":
    sys.exit(command())
