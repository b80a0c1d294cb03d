"""The picture of a probe: a panel for each score, a point for each view, the baseline as a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.probe.evidence import find
from experiments.probe.figures import picture
from experiments.probe.kinds.probe import Score, View
from experiments.probe.kinds.sense_words import SenseWords
from experiments.probe.kinds.senses import SenseMaterial
from tasks.sources.senses.source import SenseSentence, SenseTag


def test_each_score_has_a_panel_with_all_layers_of_all_models(tmp_path: Path) -> None:
    sentences = [SenseSentence(d, d, ("a",), (SenseTag(0, "a", "N", "a.1"),)) for d in "xy"]
    material = SenseMaterial(sentences, SenseWords(sentences, num_folds=2, seed=1), standardized=False)
    score = Score(np.array([[3, 4]]), np.array([5, 5]))
    scores = {"accuracy": score, "ambiguous": score}
    views = [View(f"layer {layer}", layer, scores) for layer in range(2)]
    views += [View("average", None, scores), View("usual", None, scores, is_baseline=True)]
    findings = [
        find(model, "", views[first:], compared=[], seed=1) for model, first in (("one", 0), ("two", 1))
    ]
    drawn = picture(findings, material)
    panels = drawn.figure.axes
    assert [axes.get_title() for axes in panels] == ["accuracy", "ambiguous"]
    for axes in panels:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "average"]
        assert axes.get_xlabel() == "layer" and axes.get_ylabel() == "%"
        first, second = (line.lines[0] for line in axes.containers)
        assert np.round(first.get_xdata()).tolist() == [0, 1, 2]
        assert np.round(second.get_xdata()).tolist() == [1, 2]
        assert set(first.get_ydata()) == {70}
    assert {path.suffix for path in drawn.write(tmp_path)} == {".png", ".pdf"}
