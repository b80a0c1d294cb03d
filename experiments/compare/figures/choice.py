"""Which pictures a comparison has: those of its data, and no empty ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.compare.comparison import Comparison
from experiments.compare.figures.data_set_pictures import improvements, interquartile_means, profiles, ranks
from experiments.compare.figures.picture import Picture
from experiments.compare.figures.score_pictures import (
    against_number,
    differences,
    grids,
    probabilities_of_improvement,
    strips,
    trade_offs,
)
from experiments.compare.figures.training_pictures import budget_curves, layer_weights, learning_curves
from tasks.pictures import fonts_for

_KINDS: tuple[Callable[[Comparison], list[Picture]], ...] = (
    strips,
    differences,
    against_number,
    grids,
    trade_offs,
    learning_curves,
    budget_curves,
    probabilities_of_improvement,
    layer_weights,
    interquartile_means,
    profiles,
    improvements,
    ranks,
)


@functools.lru_cache(maxsize=1)  # the report shows the same as the files; metrics.jsonl is read once
def pictures_of(comparison: Comparison) -> tuple[Picture, ...]:
    """The pictures of a comparison, the most important first."""
    return tuple(picture for kind in _KINDS for picture in kind(comparison))


def write_figures(comparison: Comparison, path: Path) -> list[Path]:
    """Write the pictures of a comparison into a directory, each as PNG and PDF; the paths."""
    with all_fonts(comparison, path):
        return [place for picture in pictures_of(comparison) for place in picture.write(path)]


@contextmanager
def all_fonts(comparison: Comparison, path: Path) -> Iterator[None]:
    """Within the block, the labels of a comparison are drawn in whatever installed fonts have them."""
    texts = [text for group in comparison.groups for text in (group.label, group.data_set, *group.key)]
    texts += [str(value) for group in comparison.groups for value in group.key.values()]
    with fonts_for(
        [*texts, comparison.metric, *(curve.label for curve in comparison.budget_curves)], where=path
    ):
        yield
