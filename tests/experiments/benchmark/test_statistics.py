"""Simulated comparisons of equal methods: what is simulated, and what the statistics make of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmark.__main__ import benchmark
from experiments.benchmark.statistics import DISAGREEMENT, simulate


@pytest.mark.parametrize("deviation", [0.7, 1.6])
def test_scores_over_seeds_have_the_deviation_that_is_asked_for(deviation: float) -> None:
    generator = np.random.default_rng(0)
    centred, spreads, disagreements = [], [], []
    for _ in range(200):
        answers, expected = simulate(generator, 1821, deviation)
        scores = 100 * answers.mean(axis=-1)
        centred.append(scores.mean() - expected)
        spreads.append(scores.var(axis=1, ddof=1).mean())
        disagreements.append((answers[0, 0] != answers[1, 1]).mean())
    assert np.sqrt(np.mean(spreads)) == pytest.approx(deviation, rel=0.05)
    assert abs(np.mean(centred)) < 4 * deviation / (200 * 20) ** 0.5
    assert np.mean(disagreements) == pytest.approx(DISAGREEMENT, abs=0.01)


def test_the_headline_keeps_its_level_and_the_second_claim_misread_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    given = ["num_comparisons=300", "deviations=[1.6]", "num_examples=600", f"output={output}"]
    # With 600 examples, chance alone has a deviation of 1.04 points: as 0.92 of 1.6 with 1,821.
    assert benchmark(["statistics", *given, "progress=none"]) == 0
    figures = json.loads(output.read_text())
    false_alarms = figures["deviation_1.6/seeds_5/retrained_false_alarms"]
    assert 1.2 <= false_alarms <= 8.8  # three deviations of 300 comparisons about 5 %
    assert figures["deviation_1.6/seeds_5/examples_false_alarms"] > 14
    for n in (3, 5, 10):
        assert 91.2 <= figures[f"deviation_1.6/seeds_{n}/seeds_coverage"] <= 98.8
        false_alarms = figures[f"deviation_1.6/seeds_{n}/retrained_false_alarms"]
        assert figures[f"deviation_1.6/seeds_{n}/retrained_coverage"] == pytest.approx(100 - false_alarms)
    assert figures["seeds_3/bootstrap_coverage"] < 82 < figures["seeds_10/bootstrap_coverage"]
    assert figures["seeds_3/interquartile_coverage"] < 95
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[2:5]] == [["1.6", n, "+", n] for n in ("3", "5", "10")]


def test_a_deviation_that_chance_alone_exceeds_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(["statistics", "deviations=[0.5]"]) == 2
    assert capsys.readouterr().err == (
        "deviations: 0.5 is not above the 0.60 points that chance alone makes of 1821 examples\n"
    )
