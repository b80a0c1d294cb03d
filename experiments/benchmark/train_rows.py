"""The rows of `experiments.benchmark train`: what each of them runs, and its figures."""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from elmo.errors import InputError
from experiments.benchmark.presets import PRESETS
from experiments.benchmark.schema import Preset

Figures = dict[str, float]
_SUMMED = ("flops_per_second", "peak_flops_per_second", "memory_bytes", "estimated_memory_bytes")
_OF_TORCHRUN = re.compile(r"[WE]\d{4} \d\d:")
_LATER = 10**9  # steps until what a measured training shall not do


class RefusedError(InputError):
    """A row that cannot be measured, with the reason that its process has told."""


class Row(NamedTuple):
    """A training to measure.

    Attributes:
        processes: their number x the threads of each.
    """

    preset: str
    precision: str
    processes: str

    @property
    def name(self) -> str:
        return " ".join(self)

    def arguments(self, texts: Sequence[str], device: str, scratch: Path) -> list[str]:
        """The overrides of `experiments.train`."""
        return [
            *PRESETS[Preset(self.preset)].overrides,
            *texts,
            f"trainer.precision={self.precision}",
            f"trainer.num_threads={self.processes.split('x')[1]}",
            f"trainer.device={device}",
            *(f"trainer.{key}={_LATER}" for key in ("max_steps", "evaluate_every", "save_every")),
            *("trainer.save_every_minutes=null", "trainer.log_every=10", "trainer.patience=null"),
            *("logger=none", "logger.progress=none"),
            f"output_dir={scratch / 'run'}",
            f"cache_dir={scratch / 'cache'}",
        ]


def measure_row(
    row: Row, overrides: Sequence[str], *, seconds: float, scratch: Path, profile: Path | None
) -> Figures:
    """The figures of a row, measured once in new processes; RefusedError if they do not get there."""
    for old in scratch.glob("figures-*.json"):
        old.unlink()
    num_processes, threads = row.processes.split("x")
    command = [sys.executable, "-m"]
    if num_processes != "1":
        command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}", "-m"]
    trace = "" if profile is None else str(profile / row.name.replace(" ", "_"))
    command += ["experiments.benchmark.train_worker", str(scratch), str(seconds), trace, *overrides]
    ran = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": threads}, capture_output=True, text=True
    )
    found = [json.loads(path.read_text()) for path in sorted(scratch.glob("figures-*.json"))]
    if ran.returncode or len(found) != int(num_processes):
        raise RefusedError(f"{row.name}: {_last_line(ran.stderr)}")
    return joined(found)


def joined(found: Sequence[Figures]) -> Figures:
    """The figures of all processes: the first one's, but for what each has of its own."""
    return {**found[0], **{name: sum(figures[name] for figures in found) for name in _SUMMED}}


def median_figures(measurements: Iterable[Figures]) -> Figures:
    """The medians of several measurements, with what follows from them."""
    found = list(measurements)
    figures = {
        name: statistics.median(one[name] for one in found)
        for name in found[0]
        if all(name in one for one in found)
    }
    figures["of_peak"] = statistics.median(
        one["flops_per_second"] / one["peak_flops_per_second"] for one in found
    )
    figures["estimate_to_measured"] = statistics.median(
        one["estimated_memory_bytes"] / one["memory_bytes"] for one in found
    )
    return figures


def speed_beside(command: str) -> float:
    """The tokens/s that an outside command prints: the last figure before `tokens/s`."""
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    told = re.findall(r"([\d,]*\.?\d+) tokens/s", ran.stdout)
    if ran.returncode or not told:
        raise InputError(
            f"beside: expected a command that prints `N tokens/s`; it ended with code {ran.returncode} and"
            f" {_last_line(ran.stderr or ran.stdout)!r}"
        )
    return float(told[-1].replace(",", ""))


def ratios_beside(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Our speed as a multiple of the other's, of each round that has both."""
    return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())]


def _last_line(text: str) -> str:
    """The last line, of a process or of those that torchrun has started, whose own words follow theirs."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = list(itertools.takewhile(lambda line: not _OF_TORCHRUN.match(line), lines)) or lines
    return told[-1] if told else "nothing was said"
