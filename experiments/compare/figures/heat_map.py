"""Heat maps: the scores of a grid of two keys, and the layers' weights that mixes have learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.compare.figures.style import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_COLOURS = "cividis"  # its lightness grows evenly, so that it is read the same in grey and by everyone
_MOST_WITH_TEXT = 400  # cells


def size_of(num_rows: int, num_columns: int) -> tuple[float, float]:
    """Width and height in inches of a heat map with a colour bar."""
    return min(3.4 + 0.75 * num_columns, 40.0), min(1.6 + 0.42 * num_rows, 40.0)


def draw_heat_map(
    axes: Axes,
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    limits: tuple[float, float] | None = None,
) -> AxesImage:
    """Draw a cell for each value; a cell without a value is white and crossed out.

    Args:
        axes: empty.
        values: (R, C), NaN where there is none.
        rows: R labels, from above.
        columns: C labels.
        texts: (R, C) what stands in the cells, left out where there are very many.
        limits: the values of the colour map's ends.

    Returns:
        The image, for a colour bar.
    """
    low, high = limits if limits is not None else (np.nan, np.nan)
    known = values[np.isfinite(values)]
    low = low if np.isfinite(low) else float(known.min(initial=np.inf) if len(known) else 0)
    high = high if np.isfinite(high) else float(known.max(initial=-np.inf) if len(known) else 1)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    image = axes.imshow(values, cmap=_COLOURS, vmin=low, vmax=high, aspect="auto")
    rows_without, columns_without = np.nonzero(~np.isfinite(values))
    axes.scatter(columns_without, rows_without, marker="x", color="silver", s=40)
    for row, column in np.ndindex(*values.shape) if values.size <= _MOST_WITH_TEXT else ():
        value = values[row, column]
        if np.isfinite(value):
            colour = "white" if value < low + 0.55 * (high - low) else "black"
            axes.text(
                column, row, texts[row][column], ha="center", va="center", color=colour, fontsize="small"
            )
    short = [wrapped(label, width=18, lines=3) for label in columns]
    is_wide = max(map(len, short), default=0) > 9
    axes.set_xticks(
        range(len(columns)),
        short,
        rotation=40 if is_wide else 0,
        ha="right" if is_wide else "center",
        rotation_mode="anchor" if is_wide else "default",
        fontsize="small",
    )
    axes.set_yticks(range(len(rows)), [wrapped(label, width=26) for label in rows], fontsize="small")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def draw_layer_weights(
    axes: Axes, weights: np.ndarray, *, columns: Sequence[str], deviations: np.ndarray | None = None
) -> AxesImage:
    """Draw softmax-normalised weights of layers as Peters et al. (2018, figure 2), the top layer above.

    As there, small weights are hatched with lines (below 1/L) and large ones speckled (above 2/L).

    Args:
        axes: empty.
        weights: (L, C) of the L layers, the word representation first, for each of C groups; NaN where a
            group has no such layer.
        columns: C labels.
        deviations: (L, C) between the runs of a group, written behind the weights; NaN where there is one
            run.
    """
    from matplotlib.patches import Rectangle

    num_layers = len(weights)
    names = ["words", *(f"layer {layer}" for layer in range(1, num_layers))]
    spans = np.full_like(weights, np.nan) if deviations is None else deviations
    texts = [
        [f"{w:.2f}" + (f"\n±{s:.2f}" if np.isfinite(s) else "") for w, s in zip(*row, strict=True)]
        for row in zip(weights[::-1], spans[::-1], strict=True)
    ]
    image = draw_heat_map(axes, weights[::-1], rows=names[::-1], columns=columns, texts=texts, limits=(0, 1))
    for row, column in np.ndindex(*weights.shape):
        weight = weights[::-1][row, column]
        hatch = "--" if weight < 1 / num_layers else ".." if weight > 2 / num_layers else ""
        if hatch:
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch=hatch, edgecolor="#ffffff55", lw=0))
    return image
