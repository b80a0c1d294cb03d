"""Runs are grouped by what differs in their configs; what may not be compared is refused, and named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from made_runs import write_run

from elmo.errors import InputError
from experiments.compare.build import Wishes, compare
from experiments.compare.comparison import Comparison
from experiments.compare.reading import read_runs, read_sweep_runs
from experiments.compare.tables.files import group_rows
from experiments.compare.tables.latex import latex
from experiments.compare.tables.text import markdown
from experiments.sweep.record import JobRecord, SweepRecord, write_sweep


def compared(path: Path, **wishes: object) -> Comparison:
    return compare(read_runs([f"{path}/*"]), Wishes(**wishes))  # type: ignore[arg-type]


def refusal(path: Path, **wishes: object) -> str:
    with pytest.raises(InputError) as raised:
        compared(path, **wishes)
    return str(raised.value)


def write_grid(path: Path) -> None:
    """Two encoders by two heads by three seeds."""
    for encoder in ("word", "elmo"):
        for head in ("pooled", "bilstm"):
            for seed in (1, 2, 3):
                write_run(
                    path / f"{encoder}-{head}-{seed}", 80.0 + seed, encoder=encoder, head=head, seed=seed
                )


def test_of_a_groups_choice_the_many_values_are_one_key(tmp_path: Path) -> None:
    write_grid(tmp_path)
    found = compared(tmp_path, by=["encoder", "head"])
    assert [group.label for group in found.groups] == [
        "elmo, bilstm", "elmo, pooled", "word, bilstm", "word, pooled"
    ]  # fmt: skip
    assert found.groups[0].key == {"encoder": "elmo", "head": "bilstm"}
    assert all(group.seeds == [1, 2, 3] for group in found.groups)
    assert found.by == ["encoder", "head"] and found.over == ["seed"]


def test_more_differences_than_the_user_says_are_refused_by_name(tmp_path: Path) -> None:
    write_grid(tmp_path)
    message = refusal(tmp_path, by=["encoder"])
    assert message.startswith("the runs differ in more than by=[encoder] and over=[seed] say: head (")
    assert "bilstm" in message and "pooled" in message and "hidden_size" not in message


def test_without_by_one_difference_makes_the_groups_and_several_are_refused(tmp_path: Path) -> None:
    for seed in (1, 2):
        for rate in (0.1, 0.01):
            write_run(tmp_path / f"{rate}-{seed}", 80.0, seed=seed, optimizer__learning_rate=rate)
    found = compared(tmp_path)
    assert found.by == ["optimizer.learning_rate"]
    assert [group.label for group in found.groups] == ["learning_rate=0.01", "learning_rate=0.1"]
    write_run(tmp_path / "other", 80.0, task__dropout=0.5)
    message = refusal(tmp_path)
    assert "the runs differ in task.dropout (0.3, 0.5), optimizer.learning_rate (0.01, 0.1)" in message
    assert "by=[task.dropout,optimizer.learning_rate]" in message


def test_a_value_that_differs_within_one_option_is_a_difference_of_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0, encoder="word", encoder__size=8)
    write_run(tmp_path / "b", 80.0, encoder="word", encoder__size=16)
    write_run(tmp_path / "c", 80.0, encoder="elmo")
    assert "say: encoder.size (8, 16, absent)" in refusal(tmp_path, by=["encoder"])
    labels = [group.label for group in compared(tmp_path, by=["encoder", "encoder.size"]).groups]
    assert labels == ["elmo, size=absent", "word, size=8", "word, size=16"]


def test_keys_of_the_same_last_name_are_told_whole(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0, encoder__size=8, head__size=8)
    write_run(tmp_path / "b", 80.0, encoder__size=16, head__size=8, data__fraction=0.5)
    by = ["encoder.size", "head.size", "data.fraction"]
    assert compared(tmp_path, by=by).groups[0].label == "encoder.size=8, head.size=8, fraction=1"


def test_what_belongs_to_one_start_is_no_difference(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0, seed=1, cache_dir="/a", logger__tags=["x"], trainer__device="cpu")
    write_run(tmp_path / "b", 81.0, seed=2, cache_dir="/b", trainer__num_threads=4, trainer__device="cuda")
    (group,) = compared(tmp_path).groups
    assert group.label == "all runs" and len(group.runs) == 2


def test_the_biLM_of_an_encoder_that_needs_one_is_part_of_its_choice(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / f"word-{seed}", 80.0 + seed, encoder="word", seed=seed)
        write_run(tmp_path / f"elmo-{seed}", 82.0 + seed, encoder="elmo", seed=seed, init_from="/bilm")
    assert compared(tmp_path).by == ["encoder"]
    write_run(tmp_path / "elmo-other", 83.0, encoder="elmo", seed=1, init_from="/other")
    assert "init_from (/bilm, /other, null)" in refusal(tmp_path, by=["encoder"])


def test_files_of_the_same_content_are_the_same_wherever_they_lie(tmp_path: Path) -> None:
    for seed, place in ((1, "/here"), (2, "/there")):
        files = {"data.train": {"train.csv": "abc"}, "init_from": {"model.safetensors": "def"}}
        values = {"data__train": f"{place}/train.csv", "init_from": f"{place}/bilm", "encoder": "elmo"}
        write_run(tmp_path / str(seed), 80.0 + seed, seed=seed, start={"files": files}, **values)
    (group,) = compared(tmp_path).groups
    assert group.bilms == ["/here/bilm", "/here/bilm"]
    changed = {"data.train": {"train.csv": "other"}}
    write_run(
        tmp_path / "3", 80.0, seed=3, start={"files": changed}, **{**values, "data__train": "/x/train.csv"}
    )
    assert "data.train (/here/train.csv, /x/train.csv)" in refusal(tmp_path, by=["encoder"])


def test_one_group_has_a_table_and_no_claims(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path / str(seed), 80.0 + seed, seed=seed)
    found = compared(tmp_path)
    assert len(found.groups) == 1 and found.claims == [] and found.groups[0].interval.low is not None


def test_the_same_seed_twice_in_a_group_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0, seed=1)
    write_run(tmp_path / "b", 81.0, seed=1)
    assert refusal(tmp_path) == (
        f"the same repetition twice in all runs (seed=1): {tmp_path}/a, {tmp_path}/b; leave one out"
    )


def test_runs_of_different_tasks_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0)
    write_run(tmp_path / "b", 80.0, task__type="question_answering")
    message = refusal(tmp_path)
    assert f"runs of different tasks: text_classification ({tmp_path}/a); question_answering" in message


def test_runs_that_chose_their_models_by_different_metrics_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0)
    write_run(tmp_path / "b", 80.0, trainer__metric="dev/macro_f1")
    assert "different metrics: dev/accuracy (" in refusal(tmp_path)
    assert "say: trainer.metric (" in refusal(tmp_path, metric="accuracy", by=["encoder"])


def test_a_metric_that_a_run_does_not_have_is_refused_with_the_nearest(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0)
    assert (
        refusal(tmp_path, metric="acuracy") == f"metric: no test/acuracy in {tmp_path}/a; nearest: accuracy"
    )


def test_different_test_sets_are_refused_by_their_content(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0, seed=1)
    write_run(tmp_path / "b", 80.0, seed=2, start={"data_fingerprints": {"test": "changed"}})
    message = refusal(tmp_path)
    assert message.startswith("runs of 2 different test sets (") and "their content has changed" in message


def test_several_data_sets_are_compared_each_for_itself_when_by_names_them(tmp_path: Path) -> None:
    for data in ("trec", "sst2"):
        for encoder in ("word", "elmo"):
            for seed in (1, 2):
                score = 80.0 + seed + 3 * (encoder == "elmo")
                write_run(tmp_path / f"{data}-{encoder}-{seed}", score, data=data, encoder=encoder, seed=seed)
    assert "different test sets" in refusal(tmp_path, by=["encoder"])
    found = compared(tmp_path, by=["encoder", "data"])
    assert found.data_sets == ["sst2", "trec"]
    pairs = [(found.groups[c.first].label, found.groups[c.second].label) for c in found.claims]
    assert sorted(pairs) == [("elmo, sst2", "word, sst2"), ("elmo, trec", "word, trec")]
    assert found.across is not None and found.across.systems == ["elmo", "word"]
    assert found.across.improvement.tolist() == [[0.5, 1.0], [0.0, 0.5]]


def write_tasks(path: Path, **changes: Any) -> None:
    """A sweep of two systems on two tasks, each with its own metric and three seeds."""
    jobs = []
    settings: dict[str, dict[str, Any]] = {
        "questions": {"data": "trec", "task__type": "text_classification"},
        "answers": {
            "data": "bbc",
            "task__type": "question_answering",
            "trainer__metric": "dev/f1",
            **changes,
        },
    }
    for task, values in settings.items():
        for system, gain in (("baseline", 0.0), ("elmo", 4.0)):
            for seed in (1, 2, 3):
                name, score = f"{task},{system},{seed}", 80.0 + seed + gain
                figures = {"dev/f1": score - 20, "test/f1": score - 20} if task == "answers" else {}
                encoder = "elmo" if system == "elmo" else "word"
                write_run(path / name, score, figures=figures, encoder=encoder, seed=seed, **values)
                jobs.append(JobRecord(name, {"task": task, "system": system, "seed": seed}, []))
    write_sweep(path, SweepRecord("tasks", "sweep", jobs))


def test_several_tasks_are_compared_each_by_its_own_metric(tmp_path: Path) -> None:
    write_tasks(tmp_path)
    found = compare(read_sweep_runs(tmp_path), Wishes(baseline="baseline", error_reduction=True))
    assert (found.metric, found.metrics) == ("test/score", {"questions": "accuracy", "answers": "f1"})
    assert [(group.label, group.interval.estimate) for group in found.groups] == [
        ("questions, baseline", 82.0),
        ("questions, elmo", 86.0),
        ("answers, baseline", 62.0),
        ("answers, elmo", 66.0),
    ]
    assert [(claim.first, claim.second) for claim in found.claims] == [(1, 0), (3, 2)]
    reduction = found.claims[1].error_reduction
    assert reduction is not None and reduction.low is not None and reduction.high is not None
    logarithms = [math.log(35 / 39), math.log(34 / 38), math.log(33 / 37)]  # of the errors' ratios
    middle = math.fsum(logarithms) / 3
    half = 4.30265273 * math.sqrt(sum((value - middle) ** 2 for value in logarithms) / 2 / 3)
    expected = [100 * (1 - math.exp(value)) for value in (middle, middle + half, middle - half)]
    assert reduction == pytest.approx(expected)
    text = markdown(found)
    assert "| answers | f1 | 3 | baseline | 62.00 ± 2.48 | elmo | 66.00 ± 2.48 | +4.00 | +10.53 [+" in text
    assert "no claim about new examples: not all runs have stored f1 of each" in text
    assert "system & questions (accuracy) & answers (f1) " in latex(found)
    assert [row["metric"] for row in group_rows(found)] == ["accuracy", "accuracy", "f1", "f1"]


def test_tasks_whose_metrics_have_different_goals_are_refused(tmp_path: Path) -> None:
    write_tasks(tmp_path, trainer__metric_goal="minimize")
    with pytest.raises(
        InputError, match=r"metrics with different goals are not compared: maximize \(.*; give"
    ):
        compare(read_sweep_runs(tmp_path), Wishes())


def test_what_a_data_set_decides_needs_no_name(tmp_path: Path) -> None:
    for data, dropout in (("trec", 0.3), ("sst2", 0.5)):
        for seed in (1, 2):
            write_run(tmp_path / f"{data}-{seed}", 80.0 + seed, data=data, task__dropout=dropout, seed=seed)
    assert len(compared(tmp_path, by=["data"]).groups) == 2


def test_a_config_without_its_sections_is_refused_and_breaks_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0)
    (tmp_path / "a" / "config.yaml").write_text("task: 3\ntrainer: [1]\nencoder: null\n")
    assert "metric: no test/None in" in refusal(tmp_path)
    assert compared(tmp_path, metric="accuracy").groups[0].label == "all runs"


def test_unknown_keys_are_refused_with_the_nearest(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 80.0)
    assert refusal(tmp_path, by=["encodr"]).endswith("the key 'encodr'; nearest: encoder, encoder.type")
    assert refusal(tmp_path, over=["sed"]).startswith("over: no run's config has the key 'sed'")


def test_perplexities_over_other_vocabularies_are_refused(tmp_path: Path) -> None:
    trainer = {"trainer__metric": "dev/perplexity", "trainer__metric_goal": "minimize"}
    for name, words in (("a", 100), ("b", 200)):
        figures = {"test/perplexity": 90.0, "dev/perplexity": 91.0, "facts/vocabulary": words}
        write_run(
            tmp_path / name, 0.0, figures=figures, encoder="word" if words == 100 else "elmo", **trainer
        )
    assert "100 words (" in refusal(tmp_path) and "vocabulary.path" in refusal(tmp_path)


def test_a_sweeps_axes_make_the_groups_and_explain_what_they_set(tmp_path: Path) -> None:
    jobs = []
    for system, changes in {
        "word": {"encoder": "word"},
        "tuned": {"encoder": "elmo", "task__dropout": 0.5},
    }.items():
        for seed in (1, 2):
            write_run(tmp_path / f"{system},{seed}", 80.0 + seed, seed=seed, **changes)
            jobs.append(JobRecord(f"{system},{seed}", {"system": system, "seed": seed}, []))
    write_run(tmp_path / "bilm", 10.0, task__type="language_model")
    jobs.insert(0, JobRecord("bilm", {}, [], role="pretraining"))
    jobs.append(JobRecord("later", {"system": "word", "seed": 3}, []))
    write_sweep(tmp_path, SweepRecord("s", "sweep", jobs, question="Which is better?"))
    found = compare(read_sweep_runs(tmp_path), Wishes())
    assert found.by == ["system"] and [group.label for group in found.groups] == ["word", "tuned"]
    assert [(left.path.name, left.reason) for left in found.left_out] == [("later", "not started")]
    assert found.hours == pytest.approx(5 * 72 / 3600)  # with the pretraining


def test_a_sweeps_directory_is_no_run(tmp_path: Path) -> None:
    write_sweep(tmp_path, SweepRecord("s", "sweep", []))
    with pytest.raises(InputError, match=r"a sweep or study, .*; give sweep="):
        read_runs([str(tmp_path)])


def test_a_studys_trials_have_a_budget_curve_and_no_claims(tmp_path: Path) -> None:
    jobs = []
    for number, dev in enumerate((70.0, 80.0, 90.0)):
        write_run(tmp_path / str(number), dev - 1, dev=dev, optimizer__learning_rate=0.1 * (number + 1))
        axes = {"optimizer.learning_rate": 0.1 * (number + 1)}
        jobs.append(JobRecord(str(number), axes, [], state="complete", value=dev))
    jobs.append(JobRecord("pruned", {"optimizer.learning_rate": 0.9}, [], state="pruned", value=60.0))
    write_run(tmp_path / "pruned", None, state="unfinished", optimizer__learning_rate=0.9)
    write_sweep(tmp_path, SweepRecord("lr", "study", jobs))
    found = compare(read_sweep_runs(tmp_path), Wishes())
    assert found.claims == [] and len(found.groups) == 1
    (curve,) = found.budget_curves
    assert curve.label == "lr" and curve.expected[0] == pytest.approx(75.0) and len(curve.expected) == 4
    assert curve.expected[1] == pytest.approx((7 * 90 + 5 * 80 + 3 * 70 + 60) / 16)  # the best of two of four
    assert [left.reason for left in found.left_out] == ["pruned"]
    assert found.groups[0].interval == (89.0, None, None)  # of the trial that is best on dev
