"""A progress bar for sentences that are being embedded."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

_WIDTH = 20  # characters
_REDRAWN_EVERY = 0.1  # seconds


def with_progress_bar(
    found: Iterator[tuple[int, np.ndarray]], lengths: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields what `found` yields, and shows the share of the words that is done on standard error.

    The line is redrawn after a carriage return, which terminals and notebooks understand alike.

    Args:
        found: the index and the vectors of sentences, in any order.
        lengths: the number of words of each sentence.
    """
    began = shown = time.monotonic()
    done, total = 0, sum(lengths)
    try:
        for index, vectors in found:
            yield index, vectors
            done += lengths[index]
            now = time.monotonic()
            if now - shown > _REDRAWN_EVERY or done == total:
                shown = now
                print(f"\r{_line(done, total, now - began)}", end="", file=sys.stderr, flush=True)
    finally:
        print(file=sys.stderr)


def _line(done: int, total: int, seconds: float) -> str:
    filled = _WIDTH * done // total
    bar = "█" * filled + "░" * (_WIDTH - filled)
    seconds = max(seconds, 1e-9)
    speed, left = done / seconds, seconds * (total - done) / done
    return f"embedding {bar} {done:,} of {total:,} words, {speed:,.0f} words/s, {left:,.0f} s left "
