"""Measures the speed of preparing a corpus: `experiments.benchmark prepare`."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.schema import BenchmarkPrepareConfig
from experiments.io.environment import peak_memory_bytes
from experiments.logging.progress import make_progress, summary_table
from experiments.logging.report import write_figures
from tasks.language_model.preparation import prepare_corpus
from tasks.sources.shared.split import SPLITS


def prepare(config: BenchmarkPrepareConfig) -> None:
    """Prepare a corpus in a temporary directory, and print the time of each split."""
    source, tokenizer = REGISTRY.build("data", config.data), REGISTRY.build("tokenizer", config.tokenizer)
    source.check(SPLITS)
    cache_path = Path(config.cache_dir)  # on the same disk as in training
    try:
        cache_path.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".benchmark-", dir=cache_path)
    except OSError as error:
        raise InputError(f"cache_dir={cache_path}: cannot be written ({error.strerror})") from error
    figures: dict[str, float] = {}
    with scratch as scratch_path:
        for split in SPLITS:
            measured = _measure(config, source, tokenizer, Path(scratch_path), split)
            figures |= {f"{split}/{quantity}": value for quantity, value in measured.items()}
    figures["peak_memory_bytes"] = peak_memory_bytes()
    _print(figures, SPLITS)
    if config.output is not None:
        write_figures(Path(config.output), figures)


def _measure(
    config: BenchmarkPrepareConfig, source: Any, tokenizer: Any, path: Path, split: Any
) -> dict[str, float]:
    """The time that preparing a split takes, as training would wait for it.

    The speed per core is tokens per second of processor time, of this process and its workers.
    """
    with make_progress(config.progress.value, title=f"preparing {split}") as progress:
        start, busy_start = time.perf_counter(), _processor_seconds()
        corpus = prepare_corpus(
            source,
            tokenizer,
            cache_path=path,
            split=split,
            num_workers=config.num_workers,
            progress=lambda tokens, sentences, fraction: progress.update(
                fraction=fraction or 0.0, tokens=tokens, sentences=sentences
            ),
        )
        seconds, busy_seconds = time.perf_counter() - start, _processor_seconds() - busy_start
    return {
        "tokens": corpus.num_tokens,
        "seconds": seconds,
        "tokens_per_second": corpus.num_tokens / seconds,
        "tokens_per_second_per_core": corpus.num_tokens / busy_seconds,
    }


def _processor_seconds() -> float:
    """Processor time of this process and of its finished child processes."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _print(figures: Mapping[str, float], splits: Sequence[str]) -> None:
    speeds = ("tokens_per_second", "tokens_per_second_per_core")
    rows: list[list[str | int | float | None]] = [
        [
            split,
            figures[f"{split}/tokens"],
            figures[f"{split}/seconds"],
            *(round(figures[f"{split}/{speed}"]) for speed in speeds),
        ]
        for split in splits
    ]
    summary_table(rows, columns=["split", "tokens", "seconds", "tokens/s", "tokens/s per core"])
    print(f"peak memory {figures['peak_memory_bytes'] / 2**20:,.0f} MiB")
