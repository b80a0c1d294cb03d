"""A progress bar for sentences that are being embedded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def with_progress_bar(
    found: Iterator[tuple[int, np.ndarray]], lengths: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields what `found` yields, and shows the share of the words that is done.

    Args:
        found: the index and the vectors of sentences, in any order.
        lengths: the number of words of each sentence.
    """
    columns = (
        TextColumn("embedding"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} words"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=sum(lengths))
        for index, vectors in found:
            yield index, vectors
            bar.advance(task, lengths[index])
