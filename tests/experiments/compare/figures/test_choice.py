"""Which pictures a comparison has, that each is written, and that no label or number of groups breaks one."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from sample_comparison import sample_comparison, sample_group

from experiments.compare.comparison import Comparison, Group
from experiments.compare.figures import write_figures
from experiments.compare.figures.choice import all_fonts, pictures_of
from experiments.compare.figures.score_pictures import strips
from experiments.compare.tables.scores import group_table
from experiments.sweep.record import SweepRecord

ALWAYS = {"scores", "learning_curves_steps", "learning_curves_time"}
SCORES = [80.0, 81.5, 79.0]


def names_of(comparison: Comparison) -> set[str]:
    return {picture.name for picture in pictures_of(comparison)}


def axes_of(comparison: Comparison, name: str) -> list[Axes]:
    (picture,) = [picture for picture in pictures_of(comparison) if picture.name == name]
    return picture.figure.axes


@pytest.fixture(scope="module")
def fractions(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two encoders on growing shares of the data, three seeds each."""
    path = tmp_path_factory.mktemp("fractions")
    groups = [
        sample_group(
            path / f"{encoder}-{share}",
            {"encoder": encoder, "data.fraction": share},
            np.array(SCORES) + 5 * np.log10(share) + 2 * (encoder == "elmo"),
            seconds=100 * share,
        )
        for encoder, share in itertools.product(("word", "elmo"), (0.01, 0.1, 1.0))
    ]
    return sample_comparison(groups)


def test_scores_are_drawn_against_a_figure_with_a_line_for_what_does_not_decide_it(tmp_path: Path) -> None:
    groups = [
        sample_group(
            tmp_path / f"{head}-{share}",
            {"init_from": f"at-{share}", "head": head},
            np.array(SCORES) + share,
            figures={"bilm/perplexity": 100 / share},
        )
        for head, share in itertools.product(("pooled", "cnn"), (0.1, 0.5, 1.0))
    ]
    groups.append(sample_group(tmp_path / "word", {"init_from": "none", "head": "pooled"}, SCORES))
    comparison = dataclasses.replace(sample_comparison(groups), against="bilm/perplexity")
    (axes,) = axes_of(comparison, "against_bilm_perplexity")
    assert axes.get_xlabel() == "bilm/perplexity"
    assert [line.get_xdata().tolist() for line in axes.lines] == [[100.0, 200.0, 1000.0]] * 2
    assert {text.get_text() for text in axes.texts} == {"pooled", "cnn"}
    table = group_table(comparison)
    assert [row[table.columns.index("bilm/perplexity")] for row in table.rows][:3] == ["1000", "200", "100"]
    assert table.rows[-1][table.columns.index("bilm/perplexity")] == ""


def group(path: Path, name: str, **changes: object) -> Group:
    return sample_group(path / name, {"encoder": name}, SCORES, **changes)  # type: ignore[arg-type]


def test_every_picture_is_written_as_png_and_pdf_and_is_the_same_every_time(tmp_path: Path) -> None:
    comparison = sample_comparison([group(tmp_path, "elmo")])
    written = write_figures(comparison, tmp_path / "a")
    assert sorted(written) == sorted((tmp_path / "a").iterdir())
    assert {path.stem for path in written} == names_of(comparison) == {*ALWAYS, "budget"}
    assert len(written) == 2 * len(names_of(comparison))
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written)
    pdf = (tmp_path / "a" / "scores.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # TrueType
    assert b"/Type3" not in pdf  # publishers refuse it
    with all_fonts(comparison, tmp_path):
        strips(comparison)[0].write(tmp_path / "b")
    for path in (tmp_path / "b").iterdir():
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_one_numeric_key_makes_a_line_for_what_else_differs(fractions: Comparison) -> None:
    assert names_of(fractions) >= {*ALWAYS, "against_data_fraction", "grid", "differences", "score_and_time"}
    (axes,) = axes_of(fractions, "against_data_fraction")
    word, elmo = axes.lines
    np.testing.assert_allclose(word.get_xydata(), [[0.01, 70.17], [0.1, 75.17], [1, 80.17]], atol=0.01)
    np.testing.assert_allclose(elmo.get_ydata() - word.get_ydata(), [2, 2, 2])
    ends = fractions.groups[0].interval[1:]
    assert {y for x, y in axes.collections[0].get_paths()[0].vertices.tolist() if x == 0.01} == set(ends)
    dots = [found for found in axes.collections if isinstance(found, PathCollection)]
    assert [len(found.get_offsets()) for found in dots] == [9, 9]
    assert [text.get_text() for text in axes.texts] == ["word", "elmo"]


def test_the_grid_of_two_keys_holds_the_means(fractions: Comparison) -> None:
    axes, _ = axes_of(fractions, "grid")
    means = [group.interval.estimate for group in fractions.groups]
    np.testing.assert_allclose(axes.images[0].get_array(), np.reshape(means, (2, 3)))


def test_learning_curves_are_the_means_over_seeds_where_all_have_values(fractions: Comparison) -> None:
    (axes,) = axes_of(fractions, "learning_curves_steps")
    runs = fractions.groups[0].runs
    expected = np.mean([[event["dev/accuracy"] for event in run.events()] for run in runs], axis=0)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.column_stack([50 * np.arange(1, 6), expected]))
    (seconds,) = axes_of(fractions, "learning_curves_time")
    np.testing.assert_allclose(seconds.lines[0].get_xdata(), 11.0 * np.arange(1, 6))  # of 10, 11 and 12


def test_runs_of_one_look_have_it_in_every_picture(fractions: Comparison) -> None:
    (curves,), (costs,) = (axes_of(fractions, name) for name in ("learning_curves_steps", "score_and_time"))
    number = len(fractions.groups)
    first, second = ([line.get_color() for line in axes.lines[:number]] for axes in (curves, costs))
    assert first == second
    assert len(set(first)) == number


def test_several_data_sets_have_panels_and_the_pictures_across_them(tmp_path: Path) -> None:
    groups = [
        sample_group(
            tmp_path / f"{data}-{encoder}",
            {"data": data, "encoder": encoder},
            [70 + place, 71 + place],
            data_set=data,
            system=encoder,
        )
        for data in ("trec", "sst2", "bbc", "mr", "ag_news")
        for place, encoder in enumerate(("word", "elmo", "glove"))
    ]
    comparison = sample_comparison(groups)
    assert names_of(comparison) >= {*ALWAYS, "profiles", "interquartile_means", "who_beats_whom", "ranks"}
    assert len(axes_of(comparison, "scores")) == len(axes_of(comparison, "learning_curves_steps")) == 5
    assert "grid" not in names_of(comparison)  # within a data set one key differs


def test_tasks_stand_beside_each_other_each_with_the_axis_of_its_own_metric(tmp_path: Path) -> None:
    weights: dict[str, float | None] = {"mix/elmo/input/layer_0": 0.4, "mix/elmo/input/layer_1": 0.6}
    groups = [
        dataclasses.replace(
            sample_group(
                tmp_path / f"{task}-{share}",
                {"task": task, "data.fraction": share},
                np.array(SCORES) + place + 10 * np.log10(share),
                data_set=task,
                system=f"fraction={share:g}",
                figures={f"dev/{metric}": 80.0, **weights},
            ),
            metric=metric,
        )
        for place, (task, metric) in enumerate((("trec", "accuracy"), ("wnut17", "f1")))
        for share in (0.001, 0.01, 0.1, 1.0)
    ]
    comparison = sample_comparison(groups)
    questions, entities = axes_of(comparison, "against_data_fraction")
    assert (questions.get_ylabel(), entities.get_ylabel()) == ("test accuracy (%)", "test F1 (%)")
    assert questions.get_xscale() == entities.get_xscale() == "log"
    assert questions.get_xticks().tolist() == [0.001, 0.01, 0.1, 1.0]
    np.testing.assert_allclose(entities.lines[0].get_ydata() - questions.lines[0].get_ydata(), 1)
    assert [axes.get_xlabel() for axes in axes_of(comparison, "scores")] == [
        "test accuracy (%)",
        "test F1 (%)",
    ]
    mixes, _ = axes_of(comparison, "layer_weights")
    assert [label.get_text().replace("\n", " ") for label in mixes.get_xticklabels()][::4] == [
        "trec, fraction=0.001",
        "wnut17, fraction=0.001",
    ]


def test_learned_weights_are_means_over_runs_for_each_mix(tmp_path: Path) -> None:
    weights = {f"mix/elmo/input/layer_{layer}": value for layer, value in enumerate((0.2, 0.7, 0.1))}
    figures: dict[str, float | None] = {
        **weights,
        "mix/elmo/input/gamma": 1.3,
        "mix/elmo/output/layer_0": 1.0,
    }
    groups = [group(tmp_path, "elmo", figures=figures), group(tmp_path, "word")]
    axes, other, _ = axes_of(sample_comparison(groups), "layer_weights")
    np.testing.assert_allclose(axes.images[0].get_array().ravel(), [0.1, 0.7, 0.2])
    assert [axes.get_title(), other.get_title()] == ["elmo at the input", "elmo at the output"]
    assert "layer_weights" not in names_of(sample_comparison([groups[1]]))


def test_one_group_of_one_run_has_no_interval_and_no_differences(tmp_path: Path) -> None:
    comparison = sample_comparison([sample_group(tmp_path / "a", {}, [80.0])])
    assert names_of(comparison) == ALWAYS
    (axes,) = axes_of(comparison, "scores")
    assert [line.get_xdata().tolist() for line in axes.lines] == [[80.0]]  # the mean alone
    assert [text.get_text() for text in axes.texts] == ["n = 1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all runs"]


def test_forty_groups_with_long_or_strange_labels_are_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"$x_{i}$ & <b>, 日本 {'encoder' * 9}, {'very long ' * 9}{i}" for i in range(40)]
    groups = [
        sample_group(tmp_path / f"{place}", {"encoder": name}, [80.0 + place / 10, 81.0])
        for place, name in enumerate(names)
    ]
    comparison = sample_comparison(groups)
    assert names_of(comparison) == {*ALWAYS, "differences", "improvement", "budget", "score_and_time"}
    with caplog.at_level(logging.WARNING), all_fonts(comparison, tmp_path):
        drawn = {name: axes_of(comparison, name) for name in names_of(comparison)}
    assert len(caplog.records) <= 1  # the characters that no font has, once for all pictures
    (curves,), (strips,) = drawn["learning_curves_steps"], drawn["scores"]
    assert len(curves.lines) == 12
    assert sum(len(dots.get_offsets()) for dots in strips.collections) == 80
    (picture,) = [one for one in pictures_of(comparison) if one.name == "learning_curves_steps"]
    assert "Of 40 groups the 12 best on dev are drawn." in picture.caption


def test_trials_of_a_search_are_no_repetitions(tmp_path: Path) -> None:
    search = SweepRecord("rates", "study", [])
    comparison = dataclasses.replace(sample_comparison([group(tmp_path, "elmo")]), sweep=search)
    assert names_of(comparison) == {"scores", "budget"}
    assert "trial" in pictures_of(comparison)[0].caption
    assert "interval" not in pictures_of(comparison)[0].caption
