"""What a comparison says of groups: intervals, both claims, what is left out, costs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from made_runs import write_run
from scipy import stats  # type: ignore[import-untyped]

from elmo.errors import InputError
from experiments.compare.build import Wishes, compare
from experiments.compare.comparison import Comparison
from experiments.compare.reading import read_runs
from experiments.compare.tables.text import markdown

WORD, ELMO = [80.1, 81.0, 79.4, 80.6], [83.0, 82.1, 84.2, 83.6]


def compared(path: Path, **wishes: object) -> Comparison:
    return compare(read_runs([f"{path}/*"]), Wishes(**wishes))  # type: ignore[arg-type]


def write_two(path: Path, *, first_seed: int = 1, **changes: object) -> None:
    """Four runs each of two encoders; the seeds of the second ones begin with `first_seed`."""
    for seed, score in enumerate(WORD, 1):
        write_run(path / f"word-{seed}", score, encoder="word", seed=seed, **changes)  # type: ignore[arg-type]
    for seed, score in enumerate(ELMO, first_seed):
        write_run(path / f"elmo-{seed}", score, encoder="elmo", seed=seed, **changes)  # type: ignore[arg-type]


def test_an_interval_is_students_t_over_seeds(tmp_path: Path) -> None:
    write_two(tmp_path)
    group = compared(tmp_path).groups[1]
    assert group.label == "word" and group.num_units == 4
    low, high = stats.t.interval(0.95, 3, np.mean(WORD), stats.sem(WORD))
    assert (group.interval.low, group.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert group.deviation == pytest.approx(np.std(WORD, ddof=1))


def test_runs_that_share_seeds_data_and_biLM_are_paired(tmp_path: Path) -> None:
    write_two(tmp_path)
    (claim,) = compared(tmp_path).claims
    assert claim.retrained.design == "paired t test over 4 pairs of runs"
    assert claim.retrained.p == pytest.approx(stats.ttest_rel(ELMO, WORD).pvalue)
    assert claim.retrained.difference.estimate == pytest.approx(np.mean(ELMO) - np.mean(WORD))


@pytest.mark.parametrize("change", ["seeds", "batches", "biLM", "training data"])
def test_runs_that_do_not_share_all_of_it_are_compared_by_welch(tmp_path: Path, change: str) -> None:
    write_two(tmp_path / "runs", first_seed=5 if change == "seeds" else 1)
    for seed in (1, 2, 3, 4):
        place = tmp_path / "runs" / f"elmo-{seed}"
        if change == "batches":
            _edit(place / "config.yaml", "batch_size: 4", "batch_size: 8")
        if change == "biLM":
            _edit(place / "config.yaml", "init_from: null", "init_from: /bilm")
        if change == "training data":
            _edit(place / "environment.json", "train of labelled_files", "another train")
    by = ["encoder", "trainer.batch_size"] if change == "batches" else ["encoder"]
    (claim,) = compared(tmp_path / "runs", by=by).claims
    assert claim.retrained.design == "Welch's t test over 4 and 4 runs"
    assert claim.retrained.p == pytest.approx(stats.ttest_ind(ELMO, WORD, equal_var=False).pvalue)


def test_with_several_biLMs_their_means_are_what_is_compared(tmp_path: Path) -> None:
    scores = {
        "elmo": [[80.0, 82.0], [84.0, 86.0], [81.0, 81.0]],
        "char_cnn": [[79.0, 79.0], [80.0, 82.0], [78.0, 80.0]],
    }
    for encoder, means in scores.items():
        for number, pair in enumerate(means):
            for seed, score in enumerate(pair):
                write_run(
                    tmp_path / f"{encoder}-{number}-{seed}",
                    score,
                    encoder=encoder,
                    seed=seed,
                    init_from=f"/{number}",
                )
    found = compared(tmp_path, by=["encoder"], over=["seed", "init_from"])
    assert [(group.num_units, len(group.runs)) for group in found.groups] == [(3, 6), (3, 6)]
    (claim,) = found.claims
    assert claim.retrained.p == pytest.approx(stats.ttest_rel([79, 81, 79], [81, 85, 81]).pvalue)
    assert "3 biLMs" in claim.retrained.design


def test_what_rests_on_one_pretraining_is_told(tmp_path: Path) -> None:
    write_two(tmp_path, init_from="/bilm")
    assert any(
        line.startswith("one biLM each: elmo; word; what is claimed") for line in compared(tmp_path).warnings
    )


def test_from_five_data_sets_on_systems_have_ranks_with_a_critical_difference(tmp_path: Path) -> None:
    better = {"word": 0.0, "char_cnn": 2.0, "elmo": 5.0}
    for number, data in enumerate(("trec", "sst2", "mr", "imdb", "bbc")):
        for encoder, gain in better.items():
            for seed in (1, 2, 3):
                score = 70.0 + number + gain + seed / 10
                write_run(tmp_path / f"{data}-{encoder}-{seed}", score, data=data, encoder=encoder, seed=seed)
    found = compared(tmp_path, by=["encoder", "data"])
    across = found.across
    assert across is not None and across.ranks is not None and across.friedman_p is not None
    assert dict(zip(across.systems, across.ranks.tolist(), strict=True)) == {
        "char_cnn": 2,
        "elmo": 1,
        "word": 3,
    }
    assert across.friedman_p < 0.01 and len(found.claims) == 15
    middle = across.interquartile_means[across.systems.index("elmo")]
    assert middle.low is not None and middle.low < middle.estimate < (middle.high or 0)
    profile = across.profiles[across.systems.index("elmo")]
    assert profile[0] == 1.0 and profile[-1] == 0.0
    text = markdown(found)
    assert "Over 5 data sets" in text and "| elmo | 79.20 ± 0.25 |" in text and "Friedman's test" in text


def test_holms_correction_is_over_all_pairs_that_are_shown(tmp_path: Path) -> None:
    write_two(tmp_path)
    for seed, score in enumerate([85.0, 86.2, 85.5, 85.9], 1):
        write_run(tmp_path / f"char_cnn-{seed}", score, encoder="char_cnn", seed=seed)
    found = compared(tmp_path)
    smallest = min(found.claims, key=lambda claim: claim.retrained.p or 1.0)
    assert smallest.retrained.p is not None and len(found.claims) == 3
    assert smallest.retrained.adjusted_p == pytest.approx(3 * smallest.retrained.p)
    against = compared(tmp_path, baseline="word")
    assert {claim.second for claim in against.claims} == {2} and len(against.claims) == 2
    with pytest.raises(InputError, match="baseline: no group 'wrd'; nearest: word"):
        compared(tmp_path, baseline="wrd")


def test_the_claim_about_new_examples_stands_beside_with_an_exact_p(tmp_path: Path) -> None:
    right = {"word": [100.0] * 10 + [0.0] * 10, "elmo": [100.0] * 16 + [0.0] * 4}
    for encoder, examples in right.items():
        write_run(tmp_path / encoder, float(np.mean(examples)), examples=examples, encoder=encoder)
    (claim,) = compared(tmp_path).claims
    assert claim.retrained.p is None and claim.retrained.reason == "a single pair has no spread"
    assert claim.examples is not None and claim.examples.p == pytest.approx(2 / 2**6)  # six examples differ
    assert claim.examples.difference.estimate == pytest.approx(30.0)
    assert claim.examples.difference.low is not None and claim.examples.difference.low > 0


def test_the_f1_of_spans_on_new_examples_is_a_ratio_of_sums_over_sentences(tmp_path: Path) -> None:
    f1 = {"trainer__metric": "dev/f1"}
    for encoder, right in (("word", [0] * 6), ("elmo", [2] * 6)):
        score = 100 * sum(right) / 24
        figures = {"test/f1": score, "dev/f1": score}
        ratios = {"f1": [right, [4] * 6]}
        write_run(
            tmp_path / encoder, 0.0, examples=[0.0] * 6, ratios=ratios, figures=figures, encoder=encoder, **f1
        )
    (claim,) = compared(tmp_path).claims
    assert claim.examples is not None and claim.examples.p == pytest.approx(2 / 2**6)
    assert claim.examples.difference == pytest.approx((50.0, 50.0, 50.0))  # in each resample, too


def test_without_scores_of_all_examples_that_claim_is_absent_and_a_line_says_why(tmp_path: Path) -> None:
    write_run(tmp_path / "word", 50.0, examples=[100.0, 0.0], encoder="word")
    write_run(tmp_path / "elmo", 50.0, encoder="elmo")
    found = compared(tmp_path)
    assert found.claims[0].examples is None
    assert (
        f"no claim about new examples: not all runs have stored accuracy of each test example ({tmp_path}"
        in str(found.warnings)
    )
    assert compared(tmp_path, metric="macro_f1").claims[0].examples is None


def test_single_runs_have_no_interval_and_no_p(tmp_path: Path) -> None:
    write_run(tmp_path / "word", 80.0, encoder="word")
    write_run(tmp_path / "elmo", 90.0, encoder="elmo")
    found = compared(tmp_path, difference=1.0)
    (claim,) = found.claims
    assert found.groups[0].interval == (90.0, None, None) and found.groups[0].deviation is None
    assert (claim.retrained.p, claim.retrained.difference.low, claim.smallest_difference) == (
        None,
        None,
        None,
    )
    assert claim.units_needed is None and claim.almost_stochastic is None
    assert "no interval and no p: elmo; word" in " ".join(found.warnings)


def test_what_the_comparison_could_have_found_is_told(tmp_path: Path) -> None:
    write_two(tmp_path, first_seed=5)
    (claim,) = compared(tmp_path, difference=1.0).claims
    assert claim.smallest_difference is not None and claim.units_needed is not None
    assert 1.5 < claim.smallest_difference < 2.5 and 10 < claim.units_needed < 20


def test_the_group_is_chosen_on_dev_and_never_on_test(tmp_path: Path) -> None:
    write_run(tmp_path / "word", 90.0, dev=70.0, encoder="word")
    write_run(tmp_path / "elmo", 80.0, dev=75.0, encoder="elmo")
    found = compared(tmp_path)
    assert found.groups[found.chosen[""]].label == "elmo"


def test_of_a_metric_to_minimise_the_lowest_is_chosen(tmp_path: Path) -> None:
    goal = {"trainer__metric": "dev/loss", "trainer__metric_goal": "minimize"}
    for encoder, loss in (("word", 0.9), ("elmo", 0.4)):
        figures = {"test/loss": loss, "dev/loss": loss}
        for seed in (1, 2, 3):
            values = {name: value + seed / 100 for name, value in figures.items()}
            write_run(tmp_path / f"{encoder}-{seed}", 0.0, figures=values, encoder=encoder, seed=seed, **goal)  # type: ignore[arg-type]
    found = compared(tmp_path)
    assert found.goal == "minimize" and found.groups[found.chosen[""]].label == "elmo"
    (claim,) = found.claims
    assert claim.probability_of_improvement is not None and claim.probability_of_improvement.estimate == 1.0
    assert found.budget_curves[0].expected[-1] < found.budget_curves[0].expected[0]


def test_runs_without_an_end_are_left_out_by_name_and_counted_in_the_costs(tmp_path: Path) -> None:
    write_two(tmp_path)
    write_run(tmp_path / "failed", None, state="failed", seed=9)
    write_run(tmp_path / "stopped", None, state="unfinished", seed=8)
    write_run(tmp_path / "diverged", math.nan, seed=7)
    (tmp_path / "diverged" / "metrics.json").write_text(
        '{"test/accuracy": null, "train/steps": 5, "seconds": 36.0}'
    )
    write_run(tmp_path / "damaged", 80.0, seed=6)
    (tmp_path / "damaged" / "metrics.json").write_text("{")
    found = compared(tmp_path)
    reasons = {left.path.name: left.reason for left in found.left_out}
    assert reasons["failed"] == "failed: out of memory" and reasons["stopped"] == "unfinished"
    assert reasons["diverged"] == "test/accuracy is not finite" and "not JSON" in reasons["damaged"]
    assert found.warnings[0].startswith("1 of 12 runs left out, ") and len(found.warnings) >= 4
    assert found.lost_hours == pytest.approx(3 * 36 / 3600)
    assert found.hours == pytest.approx((8 * 72 + 3 * 36) / 3600)
    with pytest.raises(InputError, match="failed: failed: out of memory"):
        compared(tmp_path, refuses_incomplete=True)


def test_nothing_but_unfinished_runs_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "stopped", None, state="unfinished")
    with pytest.raises(InputError, match=r"no finished run to compare \(.*stopped: unfinished"):
        compared(tmp_path)


def test_runs_of_different_code_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0, seed=1)
    write_run(tmp_path / "b", 81.0, seed=2, start={"git": {"commit": "f" * 40, "dirty": True}})
    assert (
        "runs of 2 commits of the code: 0123456789 (1 runs); ffffffffff with changes (1 runs)"
        in compared(tmp_path).warnings
    )


def test_of_many_groups_each_is_compared_with_the_one_chosen_on_dev(tmp_path: Path) -> None:
    for number in range(21):
        for seed in (1, 2):
            write_run(
                tmp_path / f"{number}-{seed}",
                80.0 + seed,
                dev=70.0 + number,
                seed=seed,
                optimizer__learning_rate=number,
            )
    found = compared(tmp_path)
    assert len(found.claims) == 20 and {claim.second for claim in found.claims} == {20}
    assert any("21 groups: each is compared with the one chosen on dev" in line for line in found.warnings)


def test_error_reductions_are_relative_to_the_second_group(tmp_path: Path) -> None:
    write_two(tmp_path)
    (claim,) = compared(tmp_path, error_reduction=True).claims
    expected = 100 * (1 - (100 - np.mean(ELMO)) / (100 - np.mean(WORD)))
    assert claim.error_reduction is not None
    assert claim.error_reduction.estimate == pytest.approx(expected, abs=0.3)  # of geometric means


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
