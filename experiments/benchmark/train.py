"""Measures the training of a biLM beside the machine's own limits: `experiments.benchmark train`."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elmo.device import choose_device
from elmo.errors import InputError
from elmo.files import atomic_write, json_text
from experiments.benchmark.made_up_text import write_text
from experiments.benchmark.presets import ORIGINAL_TOKENS, PRESETS
from experiments.benchmark.schema import BenchmarkTrainConfig, Preset
from experiments.benchmark.train_rows import (
    Figures,
    RefusedError,
    Row,
    measure_row,
    median_figures,
    ratios_beside,
    speed_beside,
)
from experiments.config.command import INCOMPLETE
from experiments.config.save import plain_config
from experiments.logging.progress import Progress, make_progress, summary_table
from experiments.training.precision import has_bfloat16

PARTS = ("data", "CNN", "LSTM", "softmax", "clipping", "optimizer", "other")
_STEPS_OF_TEXT = 100  # a made-up text is read again and again
BESIDE = "beside"  # the name of the outside command's measurements


def train(config: BenchmarkTrainConfig) -> int:
    """Measure all rows in turns, round by round; print and write their medians; 1 if a row is refused.

    What is measured is kept after each measurement, also if the benchmark is interrupted; the same command
    with the same `output` goes on from there.
    """
    rows = _rows(config)
    record = _Record(config)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="benchmark-") as scratch,
            make_progress(config.progress.value, title="measuring") as progress,
        ):
            _measure(config, rows, record, Path(scratch), progress)
    finally:
        if record.measured:
            _print(config, rows, record)
    for reason in record.refused.values():
        print(f"refused: {reason}")
    return INCOMPLETE if record.refused else 0


def _rows(config: BenchmarkTrainConfig) -> list[Row]:
    device = choose_device(config.device)
    precisions = [precision.value for precision in config.precisions]
    if "bf16" in precisions and not has_bfloat16(device):
        print(f"bf16 is left out: {device} has no instructions for it")
        precisions.remove("bf16")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    many = device.type == "cpu" and cores > 1
    processes = config.processes or (["1x1", f"1x{cores}"] if many else ["1x1"])
    presets = [preset.value for preset in config.presets]
    return [Row(*parts) for parts in itertools.product(presets, precisions, processes)]


class _Record:
    """What was measured: of each row by round, and of the command beside it."""

    def __init__(self, config: BenchmarkTrainConfig) -> None:
        self.path = None if config.output is None else Path(config.output)
        settings = plain_config(config)
        self.settings = {
            name: settings[name] for name in settings if name not in ("rounds", "output", "progress")
        }
        self.measured: dict[str, dict[int, Figures]] = {}
        self.refused: dict[str, str] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            saved: Any = json.loads(path.read_text(encoding="utf-8"))
            measured = {
                name: {int(n): dict(one) for n, one in found.items()}
                for name, found in saved["measured"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"output={path}: exists and is no benchmark's; nothing is overwritten"
            ) from error
        if saved["settings"] != self.settings:
            raise InputError(f"output={path}: of a benchmark with other settings; give another file")
        self.measured = measured

    def add(self, name: str, number: int, figures: Figures) -> None:
        """Keep a measurement of a round."""
        self.measured.setdefault(name, {})[number] = figures

    def has(self, name: str, number: int) -> bool:
        return name in self.refused or number in self.measured.get(name, {})

    def speeds(self, name: str) -> dict[int, float]:
        """Tokens per second by round."""
        return {number: one["tokens_per_second"] for number, one in self.measured.get(name, {}).items()}

    def write(self, rows: Sequence[Row]) -> None:
        """Write all as JSON, and the medians as CSV."""
        if self.path is None:
            return
        medians = {
            row.name: median_figures(self.measured[row.name].values())
            for row in rows
            if row.name in self.measured
        }
        content = {
            "medians": medians,
            "settings": self.settings,
            "measured": self.measured,
            "refused": self.refused,
        }
        with atomic_write(self.path) as aside:
            aside.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")
        names = sorted({name for figures in medians.values() for name in figures})
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([*Row._fields, *names])
        writer.writerows(
            [*row, *(medians[row.name].get(name, "") for name in names)]
            for row in rows
            if row.name in medians
        )
        with atomic_write(self.path.with_suffix(".csv")) as aside:
            aside.write_text(table.getvalue(), encoding="utf-8")


def _measure(
    config: BenchmarkTrainConfig, rows: Sequence[Row], record: _Record, scratch: Path, progress: Progress
) -> None:
    names = [*(row.name for row in rows), *([] if config.beside is None else [BESIDE])]
    texts = {preset: _texts(config, Preset(preset), scratch) for preset in {row.preset for row in rows}}
    profile = None if config.profile is None else Path(config.profile)
    for done, (number, name) in enumerate(itertools.product(range(config.rounds), names)):
        progress.show(done / (config.rounds * len(names)), f"round {number + 1} of {config.rounds}, {name}")
        if record.has(name, number):
            continue
        if name == BESIDE:
            assert config.beside is not None
            record.add(BESIDE, number, {"tokens_per_second": speed_beside(config.beside)})
        else:
            row = rows[names.index(name)]
            overrides = [*row.arguments(texts[row.preset], config.device, scratch), *config.overrides]
            try:
                figures = measure_row(
                    row, overrides, seconds=config.seconds, scratch=scratch, profile=profile
                )
                record.add(name, number, figures)
            except RefusedError as error:
                record.refused[name] = str(error)
        record.write(rows)


def _texts(config: BenchmarkTrainConfig, preset: Preset, scratch: Path) -> list[str]:
    """The overrides that give a preset its text and vocabulary."""
    common = ["data=text", "tokenizer=whitespace"]
    if config.text is not None:
        given = [] if config.vocabulary is None else [f"vocabulary.path='{config.vocabulary}'"]
        return [*common, f"data.train='{config.text}'", *given]
    training = PRESETS[preset]
    num_types = config.num_types or training.num_types
    directory = scratch / f"text-{num_types}-{training.words_per_step}"
    directory.mkdir(exist_ok=True)
    text, vocabulary = write_text(
        directory, num_types=num_types, num_words=_STEPS_OF_TEXT * training.words_per_step
    )
    return [*common, f"data.train={text}", "data.split_every=100", f"vocabulary.path={vocabulary}"]


def _print(config: BenchmarkTrainConfig, rows: Sequence[Row], record: _Record) -> None:
    found = [
        (row, median_figures(record.measured[row.name].values()))
        for row in rows
        if row.name in record.measured
    ]
    summary_table(
        [
            [
                *row,
                round(figures["tokens_per_second"]),
                figures["flops_per_second"] / 1e9,
                figures["peak_flops_per_second"] / 1e9,
                f"{figures['of_peak']:.0%}",
                *(f"{figures.get(f'share/{part}', 0.0):.0%}" for part in PARTS),
                round(figures["memory_bytes"] / 2**20),
                f"{figures['estimate_to_measured']:.2f}",
            ]
            for row, figures in found
        ],
        columns=[
            *("preset", "precision", "processes", "tokens/s", "GFLOP/s", "peak", "of it"),
            *PARTS,
            *("MiB", "estimated/measured"),
        ],
    )
    for row, figures in found:
        if row.preset == Preset.original.value:
            hours = ORIGINAL_TOKENS / figures["tokens_per_second"] / 3600
            print(f"{row.name}: experiment=elmo_original would take {hours:,.1f} hours at this speed")
        ratios = ratios_beside(record.speeds(row.name), record.speeds(BESIDE))
        if ratios:
            theirs = statistics.median(record.speeds(BESIDE).values())
            each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            print(
                f"{row.name}: {statistics.median(ratios):.2f} times the {theirs:,.0f} tokens/s of the command"
                f" beside it, the median of {each}"
            )
