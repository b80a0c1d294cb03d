"""What is drawn is what was given: lines, bands, dots, intervals, cells, fronts and bars of ranks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from experiments.compare.figures.heat_map import draw_heat_map, draw_layer_weights
from experiments.compare.figures.lines import Line, draw_lines, legend_of
from experiments.compare.figures.ranks import cliques, draw_critical_differences
from experiments.compare.figures.strips import Estimates, draw_differences, draw_strips
from experiments.compare.figures.style import axis_label, look_of, scale_axis, spread, time_unit, wrapped
from experiments.compare.figures.trade_off import draw_trade_off, pareto_front

X = np.array([0.01, 0.1, 1.0])


@pytest.fixture
def axes() -> Axes:
    return Figure(layout="constrained").subplots()


def line(label: str, **changes: object) -> Line:
    middle = np.array([1.0, 2.0, 4.0])
    return Line(label, look_of(0), X, middle, middle - 0.5, middle + 0.25)._replace(**changes)


def texts_of(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_line_is_the_means_and_its_band_ends_where_the_intervals_end(axes: Axes) -> None:
    draw_lines(axes, [line("a")])
    (drawn,) = axes.lines
    np.testing.assert_array_equal(drawn.get_xydata(), np.column_stack([X, [1, 2, 4]]))
    (band,) = axes.collections
    corners = {(x, y) for x, y in band.get_paths()[0].vertices.tolist()}
    assert corners == {(0.01, 0.5), (0.1, 1.5), (1, 3.5), (0.01, 1.25), (0.1, 2.25), (1, 4.25)}
    assert texts_of(axes) == ["a"]


def test_a_line_of_one_run_has_no_band_and_its_picture_no_hole(axes: Axes) -> None:
    nothing = np.full(3, np.nan)
    draw_lines(axes, [line("a", low=nothing, high=nothing)])
    assert axes.collections[0].get_paths() == []
    assert axes.get_ylim()[0] <= 1 < 4 <= axes.get_ylim()[1]


def test_a_band_that_is_very_wide_does_not_flatten_the_lines(axes: Axes) -> None:
    draw_lines(axes, [line("a", low=np.full(3, -500.0), high=np.full(3, 500.0))])
    np.testing.assert_allclose(axes.get_ylim(), [1 - 0.4 * 3, 4 + 0.4 * 3])


def test_single_runs_are_curves_or_dots(axes: Axes) -> None:
    curve, dot = (X, np.ones(3)), (X[:1], np.full(1, 3.0))
    draw_lines(axes, [line("a", runs=[curve, curve, dot])])
    _, dots, curves = axes.collections
    assert isinstance(dots, PathCollection)
    assert dots.get_offsets().tolist() == [[0.01, 3.0]]
    assert isinstance(curves, LineCollection)
    assert len(curves.get_segments()) == 2


def test_lines_are_named_at_their_ends_or_in_a_legend(axes: Axes) -> None:
    draw_lines(axes, [line("a")], names_ends=False)
    assert texts_of(axes) == []
    figure = axes.get_figure(root=True)
    legend_of(figure, {"a": look_of(0), "b": look_of(1)})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_an_axis_of_fractions_is_logarithmic_with_a_tick_at_each(axes: Axes) -> None:
    draw_lines(axes, [line("a")], is_marked=True)
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    scale_axis(other := Figure().subplots(), [1.0, 2.0, 3.0])
    assert other.get_xscale() == "linear"


def test_each_run_is_a_dot_beside_its_mean_and_interval(axes: Axes) -> None:
    scores = [np.array([80.0, 82.0, 81.0]), np.array([85.0])]
    draw_strips(axes, ["a", "b"], scores, [81.0, 85.0], [(78.5, 83.5), None], [look_of(0), look_of(1)])
    assert [dots.get_offsets()[:, 0].tolist() for dots in axes.collections] == [[80, 82, 81], [85]]
    interval, mean, only = axes.lines
    assert (interval.get_xdata().tolist(), mean.get_xdata().tolist()) == ([78.5, 83.5], [81])
    assert only.get_xdata().tolist() == [85]
    assert texts_of(axes) == ["n = 3", "n = 1"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first group is above


def test_differences_of_both_claims_stand_side_by_side_and_only_significant_ones_are_filled() -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    values = np.array([1.0, -2.0])
    first = Estimates("retrained", values, values - 1.5, values + 1.5, [False, True])
    second = Estimates("new examples", values, np.array([np.nan, -3]), np.array([np.nan, -1]), [True, True])
    draw_differences(axes, ["a - b", "a - c"], [first, second], reference=0)
    spans, dots = (
        [found for found in axes.collections if isinstance(found, kind)]
        for kind in (LineCollection, PathCollection)
    )
    assert [len(span.get_segments()) for span in spans] == [2, 1]
    assert sum(len(found.get_offsets()) for found in dots) == 4
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [
        "retrained: significant",
        "retrained: not significant",
        "new examples: significant",
    ]
    (white,) = [found for found in dots if found.get_facecolor()[0].tolist() == [1, 1, 1, 1]]
    assert white.get_offsets()[:, 0].tolist() == [1.0]


def test_a_cell_without_a_run_is_crossed_out(axes: Axes) -> None:
    values = np.array([[80.0, np.nan], [82.0, 84.0]])
    image = draw_heat_map(
        axes, values, rows=["r", "s"], columns=["c", "d"], texts=[["80.0", ""], ["82.0", "84.0"]]
    )
    np.testing.assert_array_equal(image.get_array().filled(np.nan), values)
    assert texts_of(axes) == ["80.0", "82.0", "84.0"]
    assert axes.collections[0].get_offsets().tolist() == [[1, 0]]


def test_a_grid_without_any_value_or_with_equal_ones_is_drawn(axes: Axes) -> None:
    for value in (np.nan, 3.0):
        draw_heat_map(axes, np.full((1, 2), value), rows=["r"], columns=["c", "d"], texts=[["3", "3"]])
    axes.get_figure().draw_without_rendering()


def test_layers_stand_with_the_top_one_above_and_the_paper_s_hatches(axes: Axes) -> None:
    weights = np.array([[0.7, 0.4], [0.2, 0.4], [0.1, 0.2]])
    image = draw_layer_weights(axes, weights, columns=["trec", "squad"], deviations=np.full((3, 2), 0.05))
    np.testing.assert_array_equal(image.get_array(), weights[::-1])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["layer 2", "layer 1", "words"]
    hatches = {(patch.get_x() + 0.5, patch.get_y() + 0.5): patch.get_hatch() for patch in axes.patches}
    assert hatches == {(0, 0): "--", (1, 0): "--", (0, 1): "--", (0, 2): ".."}
    assert "0.70\n±0.05" in texts_of(axes)


def test_the_front_is_what_no_other_group_beats_in_both() -> None:
    costs, scores = np.array([3.0, 1.0, 2.0, 1.0, np.nan]), np.array([9.0, 5.0, 4.0, 6.0, 99.0])
    assert pareto_front(costs, scores, is_higher_better=True) == [3, 0]
    assert pareto_front(costs, scores, is_higher_better=False) == [1, 2]


def test_scores_stand_at_their_costs_and_the_front_joins_the_best() -> None:
    axes = Figure(layout="constrained").subplots()
    costs, scores = np.array([10.0, 20.0]), np.array([80.0, 82.0])
    looks = [look_of(0), look_of(1)]
    draw_trade_off(axes, ["a", "b"], costs, scores, [(79.0, 81.0), None], looks, is_higher_better=True)
    assert [drawn.get_xydata().tolist() for drawn in axes.lines] == [
        [[10, 80]],
        [[20, 82]],
        [[10, 80], [20, 82]],
    ]
    assert axes.collections[0].get_segments()[0].tolist() == [[10, 79], [10, 81]]
    assert axes.get_legend_handles_labels()[1] == ["a", "b", "best at its cost"]


def test_bars_join_the_longest_ranges_in_which_no_pair_differs(axes: Axes) -> None:
    ranks = np.array([3.9, 1.2, 1.6, 3.3])
    p = np.array([[1, 0.01, 0.01, 0.9], [0.01, 1, 0.9, 0.01], [0.01, 0.9, 1, 0.2], [0.9, 0.01, 0.2, 1]])
    assert cliques(ranks, p, level=0.05) == [(0, 1), (1, 2), (2, 3)]
    assert cliques(ranks, np.ones((4, 4)), level=0.05) == [(0, 3)]
    assert cliques(ranks, np.zeros((4, 4)), level=0.05) == []
    draw_critical_differences(axes, list("abcd"), ranks, p)
    assert texts_of(axes) == ["b  1.20", "c  1.60", "d  3.30", "a  3.90"]
    bars = [drawn.get_xdata().tolist() for drawn in axes.lines if drawn.get_linewidth() > 3]
    np.testing.assert_allclose(bars, [[1.17, 1.63], [1.57, 3.33], [3.27, 3.93]])


def test_no_two_of_forty_groups_look_the_same_and_neighbours_differ_in_all_three() -> None:
    looks = [look_of(index) for index in range(40)]
    assert len(set(looks)) == 40
    for one, other in itertools.pairwise(looks):
        assert all(first != second for first, second in zip(one, other, strict=True))


def test_labels_are_moved_apart_as_little_as_possible() -> None:
    np.testing.assert_allclose(spread([0.5, 0.5, 0.9], [0.1, 0.1, 0.1]), [0.45, 0.55, 0.9])
    np.testing.assert_allclose(spread([1.0, 0.98], [0.1, 0.1]), [0.95, 0.85])
    assert spread([0.3], [0.1]) == [0.3]


def test_a_long_label_keeps_its_beginning_and_its_end() -> None:
    label = "encoder=elmo, head=bilstm, optimizer.learning_rate=0.001, fine_tuning.trainable=true"
    short = wrapped(label)
    assert short.startswith("encoder=elmo")
    assert short.endswith("fine_tuning.trainable=true")
    assert len(short.splitlines()) == 2
    assert wrapped("costs $5 and $6") == r"costs \$5 and \$6"
    assert wrapped("") == ""
    assert max(map(len, wrapped("x" * 500).splitlines())) < 40


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("test/accuracy", "test accuracy (%)"),
        ("dev/macro_f1", "dev macro F1 (%)"),
        ("test/perplexity", "test perplexity"),
        ("dev/loss", "dev loss (nats)"),
    ],
)
def test_an_axis_names_its_unit(metric: str, expected: str) -> None:
    assert axis_label(metric) == expected


def test_times_are_given_in_a_unit_that_is_read_easily() -> None:
    assert [time_unit([longest]) for longest in (40, 700, 8000)] == [
        (1, "seconds"),
        (60, "minutes"),
        (3600, "hours"),
    ]
    assert time_unit([]) == (1, "seconds")
