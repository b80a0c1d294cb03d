"""What is read of a run's directory: of real tiny runs, and of damaged and unfinished ones."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from tiny_runs import arguments_of, write_data

from elmo.errors import InputError
from experiments import train
from experiments.config.command import run_command
from experiments.io.run_record import RunRecord, find_runs, flatten, read_run
from experiments.training.step import TrainingStep
from tasks.supervised.example_scores import ExampleScores, write_example_scores
from tasks.task import Batches

CLASSIFIER, ANSWERER = "text_classification, words", "question_answering, words"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run of a classifier and one of question answering."""
    path = tmp_path_factory.mktemp("runs")
    files = write_data(path)
    for name in (CLASSIFIER, ANSWERER):
        arguments = [*arguments_of(name, path / name.split(",")[0], files), "trainer.max_steps=4"]
        arguments += ["trainer.evaluate_every=2"]
        assert run_command(train.main, config_name="train", arguments=arguments) == 0
    return path


def written(path: Path, *, config: str = "seed: 1\n", **files: object) -> Path:
    """A run's directory with these files, of names such as `metrics` in JSON."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.yaml").write_text(config)
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def test_a_finished_run_is_read_whole(runs: Path) -> None:
    run = read_run(runs / "text_classification")
    assert run.state == "finished" and run.failure is None
    assert run.config["encoder"]["size"] == 8 and run.config["trainer"]["max_steps"] == 4
    assert run.config["optimizer"]["learning_rate"] == 0.01 and "defaults" not in run.config
    assert run.choices is not None and run.choices["encoder"] == "word"
    assert run.figures["train/steps"] == 4 and run.figures["facts/parameters"]
    assert len(run.starts) == 1 and run.fingerprints.keys() == {"train", "dev", "test"}
    assert [event["step"] for event in run.events() if "dev/accuracy" in event] == [2, 4]


@pytest.mark.parametrize(
    ("name", "metrics"),
    [("text_classification", ["accuracy"]), ("question_answering", ["exact_match", "f1"])],
)
def test_scores_of_examples_have_the_test_score_as_their_mean(
    runs: Path, name: str, metrics: list[str]
) -> None:
    run = read_run(runs / name)
    found = run.predictions("test")
    assert found is not None and list(found.scores) == metrics and len(set(found.ids)) == len(found.ids)
    for metric in metrics:
        assert np.mean(found.scores[metric]) == pytest.approx(run.figures[f"test/{metric}"])


def test_a_run_without_stored_scores_of_examples_has_none(tmp_path: Path) -> None:
    assert read_run(written(tmp_path)).predictions("test") is None


def test_a_run_that_goes_on_is_unfinished_until_its_next_end(runs: Path, tmp_path: Path) -> None:
    path, files = tmp_path / "run", write_data(tmp_path)
    arguments = [*arguments_of(CLASSIFIER, path, files), "trainer.max_steps=2"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    assert read_run(path).state == "finished"
    longer = [f"resume={path}", "trainer.max_steps=4", "trainer.metric=dev/nothing"]
    assert run_command(train.main, config_name="train", arguments=longer) == 2
    assert read_run(path).state == "finished"
    _stop_at(path, step=3)
    run = read_run(path)
    assert run.state == "unfinished" and run.figures == {} and len(run.starts) == 2


def _stop_at(path: Path, *, step: int) -> None:
    """Goes on with a run whose trainer is stopped by Ctrl-C at a step."""
    take = TrainingStep.take

    def stopped(self: TrainingStep, number: int, batches: Batches) -> int:
        if number >= step:
            raise KeyboardInterrupt
        return take(self, number, batches)

    with mock.patch.object(TrainingStep, "take", stopped):
        arguments = [f"resume={path}", "trainer.max_steps=4"]
        assert run_command(train.main, config_name="train", arguments=arguments) == 130


def test_a_failure_that_was_noted_is_told_until_the_run_has_figures(tmp_path: Path) -> None:
    note = {"time": "now", "reason": "out of memory", "exit_code": 137, "attempts": 1}
    run = read_run(written(tmp_path / "run", failure=note))
    assert run.state == "failed" and run.failure == note
    assert read_run(written(tmp_path / "run", metrics={"train/steps": 2})).state == "finished"


def test_a_job_that_failed_before_its_config_was_written_is_a_failed_run(tmp_path: Path) -> None:
    (tmp_path / "failure.json").write_text('{"reason": "killed"}')
    run = read_run(tmp_path)
    assert (run.state, run.config, run.choices, run.starts) == ("failed", {}, None, [])


def test_a_figure_that_was_not_finite_is_none(tmp_path: Path) -> None:
    assert read_run(written(tmp_path, metrics={"test/loss": None})).figures == {"test/loss": None}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", "{", "metrics.json: not JSON"),
        ("metrics.json", "[1]", "metrics.json: expected an object"),
        ("environment.json", '{"starts": 3}', "environment.json: expected a list of starts"),
        ("environment.json", '{"starts": [{"git": "x"}]}', "environment.json: git: expected an object, got"),
        ("metrics.json", '{"test/f1": "x"}', "metrics.json: test/f1: expected a number, got 'x'"),
        ("config.yaml", "a: [", "config.yaml: cannot be read as a config"),
        ("config.yaml", "- a\n", "config.yaml: cannot be read as a config .no mapping"),
        ("config.yaml", "defaults: [a]\n", "config.yaml: not the config of a run"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    written(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


def test_events_end_at_a_line_that_a_kill_left_unfinished(tmp_path: Path) -> None:
    run = read_run(written(tmp_path))
    assert run.events() == []
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step"')
    assert run.events() == [{"step": 1}]
    (tmp_path / "metrics.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(InputError, match=r"metrics.jsonl:1: not JSON"):
        run.events()


def test_scores_of_examples_of_unequal_number_are_refused(tmp_path: Path) -> None:
    run = read_run(written(tmp_path))
    write_example_scores(tmp_path, "test", ExampleScores(["a", "b"], {"f1": [1.0]}))
    with pytest.raises(InputError, match=r"f1: expected .* shape \[2\], one for each of 2 ids, got \[1\]"):
        run.predictions("test")
    write_example_scores(tmp_path, "test", ExampleScores(["a", "b"], {}, {"f1": [[1, 2], [3]]}))
    with pytest.raises(InputError, match=r"f1: expected a list of numbers"):
        run.predictions("test")
    write_example_scores(tmp_path, "test", ExampleScores(["a", "b"], {}, {"f1": [[1, 2], [3, 4]]}))
    stored = run.predictions("test")
    assert stored is not None and stored.ratios["f1"].tolist() == [[1, 2], [3, 4]]  # type: ignore[union-attr]


def test_globs_find_each_run_once_and_name_what_finds_none(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / "runs" / name)
    (tmp_path / "runs" / "empty").mkdir()
    expected = [tmp_path / "runs" / "a", tmp_path / "runs" / "b"]
    assert find_runs([f"{tmp_path}/runs/*", f"{tmp_path}/runs/a"]) == expected
    assert find_runs([f"{tmp_path}/**"]) == expected
    with pytest.raises(InputError, match=r"runs/c\*: nothing is there"):
        find_runs([f"{tmp_path}/runs/a", f"{tmp_path}/runs/c*"])
    with pytest.raises(InputError, match="empty: none of 1 matches is a run"):
        find_runs([f"{tmp_path}/runs/empty"])
    with pytest.raises(InputError, match="empty: no run is there"):
        read_run(tmp_path / "runs" / "empty")


def test_nested_values_have_dotted_keys() -> None:
    values = {"a": {"b": {"c": [1]}, "d": {}}, "e": None}
    assert flatten(values) == {"a.b.c": [1], "a.d": {}, "e": None}


def test_a_record_without_starts_has_no_fingerprints() -> None:
    assert RunRecord(Path(), {}, None, [], {}, "unfinished", None).fingerprints == {}
