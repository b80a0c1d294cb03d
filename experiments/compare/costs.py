"""What runs have cost: parameters, time and memory, from their final figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from experiments.compare.comparison import Costs
from experiments.compare.reading import seconds_of
from experiments.io.run_record import RunRecord


def costs_of(runs: Sequence[RunRecord]) -> Costs:
    """The costs of a group's runs."""
    seconds = [seconds_of(run) for run in runs]
    peaks = [_peak(run) for run in runs]
    return Costs(
        parameters_trained=_largest([run.figures.get("facts/parameters_trained") for run in runs]),
        parameters_frozen=_largest([run.figures.get("facts/parameters_frozen") for run in runs]),
        seconds=sum(seconds) / len(seconds) if seconds else None,
        hours=sum(seconds) / 3600,
        peak_memory_bytes=_largest(peaks),
    )


def devices_of(runs: Sequence[RunRecord]) -> str:
    """The names of the devices that the runs were computed on, the most frequent first."""
    found = Counter(device_of(run) for run in runs)
    return ", ".join(name for name, _ in found.most_common()) or "unknown"


def device_of(run: RunRecord) -> str:
    """The name of a run's GPU, or of its processor with the number of threads; of its last start."""
    if not run.starts:
        return "unknown"
    start = run.starts[-1]
    if str(start.get("device")).startswith(("cuda", "mps")) and start.get("accelerators"):
        return str(start["accelerators"][0].get("name"))
    processor, threads = str(start.get("cpu", "unknown CPU")), start.get("threads")
    return f"{processor} ({threads} thread{'' if threads == 1 else 's'})" if threads else processor


def _peak(run: RunRecord) -> float | None:
    on_accelerator = run.figures.get("peak_accelerator_memory_bytes")
    return run.figures.get("peak_memory_bytes") if on_accelerator is None else on_accelerator


def _largest(values: Sequence[float | None]) -> int | None:
    """The largest value; None if one is unknown."""
    known = [value for value in values if value is not None]
    return int(max(known)) if known and len(known) == len(values) else None
