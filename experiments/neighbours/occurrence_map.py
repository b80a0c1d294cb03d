"""A map of a word's occurrences: t-SNE of their vectors, as a picture and as a page that shows sentences.

Shape legend: M occurrences, Q queries, P size of a vector.
"""

from __future__ import annotations

import html
import importlib.util
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from elmo.errors import InputError
from elmo.files import atomic_write
from experiments.compare.figures.style import GREY, look_of
from experiments.neighbours.queries import Occurrence, Query
from experiments.neighbours.report import around, marked
from tasks.pictures import literal, picture

LEAST_POINTS = 10  # fewer have no shape
_PERPLEXITY = 30.0  # t-SNE's usual one; a third of the points where they are fewer
_MOST_GROUPS = 7  # with a colour of their own
_OTHER, _UNKNOWN = "other senses", "sense unknown"
_WIDTH = 80  # letters of a line that is shown for a point


class Points(NamedTuple):
    """The points of a map.

    Attributes:
        occurrences: M of them.
        places_M2: of the points.
        groups: the name of each point's group, by which it is coloured.
        colours: of each group, in the order of the legend.
    """

    occurrences: list[Occurrence]
    places_M2: np.ndarray
    groups: list[str]
    colours: dict[str, str]


def map_obstacle(num_occurrences: int) -> str | None:
    """Why there can be no map, and what to do; None: there can."""
    absent = [name for name in ("sklearn", "plotly") if not _is_installed(name)]
    if absent:
        return f'{" and ".join(absent)} not installed: pip install -e ".[neighbours]"'
    if num_occurrences < LEAST_POINTS:
        return f"{num_occurrences} occurrences in different sentences, a map needs {LEAST_POINTS}; more text"
    return None


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def check_map(num_occurrences: int) -> None:
    """InputError if there can be no map."""
    obstacle = map_obstacle(num_occurrences)
    if obstacle is not None:
        raise InputError(f"map: {obstacle}")


def map_points(
    occurrences: list[Occurrence], vectors_MP: np.ndarray, queries: Sequence[Query], *, seed: int
) -> Points:
    """The places and groups of a word's occurrences: by their senses if some are known, otherwise by queries.

    Args:
        occurrences: M, at least `LEAST_POINTS`.
        vectors_MP: float32, of length one, among which Euclidean distances have the order of cosines.
        queries: whichever is nearest names the group of a point where no sense is known.
        seed: of t-SNE (van der Maaten and Hinton 2008), which begins with the two principal components.
    """
    from sklearn.manifold import TSNE  # late: it takes a second

    perplexity = min(_PERPLEXITY, (len(occurrences) - 1) / 3)
    method = TSNE(init="pca", perplexity=perplexity, random_state=seed)
    places_M2 = method.fit_transform(np.ascontiguousarray(vectors_MP, dtype=np.float32))
    if any(occurrence.sense is not None for occurrence in occurrences):
        groups, colours = _by_sense(occurrences)
    else:
        groups, colours = _by_query(vectors_MP, queries)
    return Points(occurrences, places_M2, groups, colours)


def draw_map(path: Path, points: Points, *, title: str) -> None:
    """Write map.png and map.html, which needs no other file, into a directory."""
    _draw_picture(path / "map.png", points, title)
    _write_page(path / "map.html", points, title)


def _by_sense(occurrences: Sequence[Occurrence]) -> tuple[list[str], dict[str, str]]:
    counts = Counter(occurrence.sense for occurrence in occurrences if occurrence.sense is not None)
    shown = [sense for sense, _ in counts.most_common(_MOST_GROUPS)]

    def group(sense: str | None) -> str:
        if sense is None:
            return _UNKNOWN
        return sense if sense in shown else _OTHER

    groups = [group(occurrence.sense) for occurrence in occurrences]
    colours = {sense: look_of(index).colour for index, sense in enumerate(shown)}
    colours |= {name: grey for name, grey in ((_OTHER, GREY), (_UNKNOWN, "#d0d0d0")) if name in groups}
    return groups, colours


def _by_query(vectors_MP: np.ndarray, queries: Sequence[Query]) -> tuple[list[str], dict[str, str]]:
    shown = queries[:_MOST_GROUPS]
    names = [
        f"nearest to query {number}: {around(query.occurrence, width=16)}"
        for number, query in enumerate(shown, start=1)
    ]
    nearest_M = (vectors_MP @ np.stack([query.vector for query in shown]).T).argmax(axis=1)
    colours = {name: look_of(index).colour for index, name in enumerate(names)}
    return [names[index] for index in nearest_M], colours


def _draw_picture(path: Path, points: Points, title: str) -> None:
    with picture(path, size=(8, 5), texts=[title, *points.colours]) as figure:
        axes = figure.subplots()
        for group, colour in points.colours.items():
            places = points.places_M2[[own == group for own in points.groups]]
            label = literal(f"{group} ({len(places)})")
            axes.scatter(places[:, 0], places[:, 1], s=16, color=colour, alpha=0.8, linewidth=0, label=label)
        axes.set_xticks([])  # only the distances between points mean something
        axes.set_yticks([])
        axes.set_title(literal(title), fontsize="medium")
        figure.legend(loc="outside lower left", fontsize="small", frameon=False)


def _write_page(path: Path, points: Points, title: str) -> None:
    import plotly.graph_objects as graphs

    figure = graphs.Figure()
    for group, colour in points.colours.items():
        numbers = [number for number, own in enumerate(points.groups) if own == group]
        figure.add_scatter(
            x=points.places_M2[numbers, 0].tolist(),
            y=points.places_M2[numbers, 1].tolist(),
            mode="markers",
            name=html.escape(f"{group} ({len(numbers)})"),
            marker={"color": colour, "size": 8},
            text=[_hover(points.occurrences[number]) for number in numbers],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_layout(title=html.escape(title), template="plotly_white", legend={"orientation": "h"})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    with atomic_write(path) as aside:
        figure.write_html(aside, include_plotlyjs=True)


def _hover(occurrence: Occurrence) -> str:
    """What is shown for a point: its line, its sense where it is known, and its sentence."""
    facts = [f"line {occurrence.line}"] + [occurrence.sense] * (occurrence.sense is not None)
    lines = [", ".join(filter(None, facts)), *textwrap.wrap(marked(occurrence), _WIDTH)]
    return "<br>".join(map(html.escape, lines))
