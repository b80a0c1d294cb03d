"""Question answering: training, scores, reports, saving and answers, on a handful of made-up passages."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from supervised_data import BILM, CACHED, SupervisedData, train

from elmo.errors import InputError
from elmo.io.model_directory import read_model
from elmo.registry import REGISTRY
from tasks.question_answering.model import QuestionAnsweringTraining, find_answers
from tasks.question_answering.reports import score_table
from tasks.sources.shared.split import SPLITS

WORD = {"type": "word", "size": 16, "min_count": 1, "lowercased": False}
HEAD = {
    "type": "span",
    "cell": "lstm",
    "hidden_size": 12,
    "num_layers": 1,
    "alignment_size": 8,
    "dropout": 0.0,
}
TASK: dict[str, Any] = {
    "window_words": 30,
    "window_stride": 20,
    "max_answer_words": 4,
    "num_best": 3,
    "injection": "input",
    "word_dropout": 0.0,
    "word_features": True,
}
PEOPLE = {"Anna": "New York", "Ben": "Oslo", "Carl": "Rio de Janeiro", "Dora": "St. Gallen", "Eve": "Rome"}


def question(id: str, text: str, answer: str, context: str) -> dict[str, Any]:
    """A question; an empty answer is none."""
    answers = [{"text": answer, "answer_start": context.index(answer)}] if answer else []
    return {"id": id, "question": text, "answers": answers}


def articles(*, with_unanswerable: bool) -> list[dict[str, Any]]:
    """Passages on where pairs of people live; the questions name one of them, or somebody else."""
    found = []
    for number, (one, other) in enumerate((a, b) for a in PEOPLE for b in PEOPLE if a != b):
        context = f"{one} lives in {PEOPLE[one]}, and {other} in {PEOPLE[other]}."
        asked = [question(f"{number}-{p}", f"Where does {p} live?", PEOPLE[p], context) for p in (one, other)]
        if with_unanswerable:
            stranger = next(person for person in PEOPLE if person not in (one, other))
            asked.append(question(f"{number}-none", f"Where does {stranger} live?", "", context))
        found.append({"title": one, "paragraphs": [{"context": context, "qas": asked}]})
    return found


class Data(SupervisedData[QuestionAnsweringTraining]):
    """Official files of the three splits, all alike, and what is made of them."""

    def __init__(self, path: Path, content: list[dict[str, Any]]) -> None:
        files = {split: str(path / f"{split}.json") for split in SPLITS}
        for file in files.values():
            Path(file).write_text(json.dumps({"version": "2.0", "data": content}))
        node = {"type": "squad", "name": "no/matter", "revision": None, "dev_every": 2, "language": "en"}
        task = {"type": "question_answering", **TASK}
        super().__init__(
            path,
            {**node, **files},
            task=task,
            head=HEAD,
            tokenizer={"type": "words", "split_contractions": True},
            encoder=WORD,
        )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("answerable"), articles(with_unanswerable=False))


@pytest.fixture(scope="module")
def trained(data: Data) -> QuestionAnsweringTraining:
    return train(data.start(), num_epochs=20, learning_rate=0.01)


@pytest.fixture(scope="module")
def model_path(trained: QuestionAnsweringTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model"
    trained.evaluate()
    trained.reports.save_model(path)
    return path


@pytest.fixture(scope="module")
def unanswerable(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnsweringTraining:
    data = Data(tmp_path_factory.mktemp("unanswerable"), articles(with_unanswerable=True))
    return train(data.start(), num_epochs=40, learning_rate=0.01)


def test_a_metric_of_a_kind_of_questions_that_dev_lacks_is_refused_before_the_first_step(data: Data) -> None:
    with pytest.raises(
        InputError, match=r"trainer\.metric: no score 'dev/no_answer_f1' of these dev questions"
    ):
        data.start(metric="dev/no_answer_f1")
    assert data.start(metric="dev/f1").reports.facts()


def test_the_scores_are_those_that_the_task_names(
    data: Data, trained: QuestionAnsweringTraining, unanswerable: QuestionAnsweringTraining
) -> None:
    setup = data.setup()
    named = REGISTRY.build("task", setup.nodes["task"]).score_names(setup)
    assert list(unanswerable.evaluate()) == named
    assert list(trained.evaluate()) == named[:3]


def test_training_learns_passages_by_heart(data: Data, trained: QuestionAnsweringTraining) -> None:
    before = data.start().evaluate()
    after = trained.evaluate()
    assert before.keys() == after.keys() == {"dev/loss", "dev/exact_match", "dev/f1"}
    assert before["dev/f1"] < 60
    assert after["dev/f1"] > 99
    assert after["dev/loss"] < before["dev/loss"]
    assert trained.model.training  # as it was before


def test_an_untrained_model_is_as_sure_as_chance(data: Data) -> None:
    losses = data.start().evaluate()["dev/loss"]
    num_words = 11  # of a passage, about; every start with every end, and none
    assert abs(losses - math.log(num_words**2 + 1)) < 1


def test_the_conclusion_scores_the_test_part_and_the_baseline(trained: QuestionAnsweringTraining) -> None:
    figures = trained.reports.conclude()
    assert figures["test/questions"] == 40
    assert figures["test/f1"] > 99
    assert 0 < figures["test/sentence_f1"] < 60
    columns, rows = trained.reports.table(figures)
    assert [row[0] for row in rows] == ["test", "test, sentence most similar to the question"]
    assert columns == ["percent", "exact match", "F1"]


def test_reports_have_the_official_format_and_the_places_of_the_best(
    trained: QuestionAnsweringTraining, tmp_path: Path
) -> None:
    trained.reports.conclude()
    trained.reports.write_reports(tmp_path)
    predictions = json.loads((tmp_path / "predictions" / "test.json").read_text())
    assert predictions["0-Anna"] == "New York"
    assert predictions.keys() == trained.examples["test"].golds().keys()
    best = json.loads((tmp_path / "predictions" / "test_n_best.json").read_text())["0-Anna"]
    assert best[0] == {"text": "New York", "start": 14, "end": 22, "probability": best[0]["probability"]}
    assert [answer["probability"] for answer in best] == sorted(
        (a["probability"] for a in best), reverse=True
    )
    no_answer = json.loads((tmp_path / "predictions" / "test_no_answer.json").read_text())
    assert 0 <= no_answer["0-Anna"] < 0.1
    assert not (tmp_path / "unusable_answers.jsonl").exists()


def test_a_saved_model_answers_as_it_did(
    data: Data, trained: QuestionAnsweringTraining, model_path: Path
) -> None:
    task, _, setup = data.load(model_path)
    predictor = data.load_predictor(model_path)
    examples = trained.examples["test"]
    options = {"batch_size": 8, "decoding": task.decoding}
    assert find_answers(predictor.model, examples, **options) == find_answers(
        trained.model, examples, **options
    )
    figures = task.evaluate(read_model(model_path), setup, with_baselines=True, name="model")
    assert figures == trained.reports.conclude()


def test_a_predictor_answers_records_with_places_in_the_raw_text(data: Data, model_path: Path) -> None:
    predictor = data.load_predictor(model_path)
    records = [
        {"id": 7, "context": "Ben lives in Oslo, and  Eve\nin Rome.", "question": "Where does Eve live?"},
        {"context": "Anna lives in New York, and Ben in Oslo.", "question": "Where does Anna live?"},
        {"context": " ", "question": "Where does Anna live?"},
        {"context": "Anna lives in Rome.", "question": ""},
    ]
    first, second, *empty = predictor.predict([predictor.read(record) for record in records])
    assert (first["id"], first["answer"]) == (7, "Rome")
    assert records[0]["context"][first["start"] : first["end"]] == "Rome"  # type: ignore[index]
    assert first["n_best"][0] == {key: first[key] for key in ("answer", "start", "end", "score")}
    assert second["answer"] == "New York"
    assert "id" not in second
    nothing = {"answer": "", "start": None, "end": None, "score": 1.0}
    assert empty == [{**nothing, "n_best": [], "no_answer_probability": 1.0}] * 2
    assert predictor.predict([]) == []
    json.dumps(first)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "Who?"}, r"^context: missing$"),
        ({"context": "one"}, r"^question: missing$"),
        ({"context": "one", "question": 3}, r"^question: expected a text, got 3$"),
    ],
)
def test_a_record_that_lacks_a_text_is_told(
    data: Data, model_path: Path, record: dict[str, Any], message: str
) -> None:
    predictor = data.load_predictor(model_path)
    with pytest.raises(InputError, match=message):
        predictor.read(record)


def test_the_threshold_of_no_answer_comes_from_dev_and_stays_with_the_model(
    unanswerable: QuestionAnsweringTraining, tmp_path: Path
) -> None:
    figures = unanswerable.evaluate()
    assert figures["dev/f1"] > 95
    assert figures["dev/no_answer_exact_match"] > 90
    threshold = float(unanswerable.model.no_answer_threshold)
    assert 0 < threshold < 1
    concluded = unanswerable.reports.conclude()
    assert concluded["test/f1"] == concluded["test/best_f1"] == figures["dev/f1"]
    assert concluded["test/never_f1"] == pytest.approx(100 / 3)
    unanswerable.reports.save_model(tmp_path / "model")
    data = Data(tmp_path, articles(with_unanswerable=True))
    predictor = data.load_predictor(tmp_path / "model")
    assert float(predictor.model.no_answer_threshold) == threshold
    context = "Anna lives in New York, and Ben in Oslo."
    records = [{"context": context, "question": f"Where does {who} live?"} for who in ("Ben", "Carl")]
    found, nothing = predictor.predict([predictor.read(record) for record in records])
    assert (found["answer"], nothing["answer"], nothing["start"]) == ("Oslo", "", None)
    assert nothing["no_answer_probability"] > threshold
    assert nothing["n_best"][0]["answer"]


def test_reports_leave_the_answer_empty_where_there_is_none(
    unanswerable: QuestionAnsweringTraining, tmp_path: Path
) -> None:
    unanswerable.evaluate()
    unanswerable.reports.write_reports(tmp_path)
    predictions = json.loads((tmp_path / "predictions" / "test.json").read_text())
    assert (predictions["0-none"], predictions["0-Anna"]) == ("", "New York")


def test_unusable_answers_are_counted_and_listed_and_the_rest_is_learned(tmp_path: Path) -> None:
    content = articles(with_unanswerable=False)
    content[0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] += 1
    training = Data(tmp_path, content).start()
    facts = training.reports.facts()
    assert facts["train unusable answers"] == 1
    place = f"{tmp_path / 'train.json'}: data[0].paragraphs[0], question '0-Anna'"
    assert facts["train unusable answers are"] == (
        f"1 not where they should be; the first: {place}: the passage has 'ew York,' there"
    )
    assert training.units_per_epoch == 39
    assert len(training.examples["test"]) == 40
    training.reports.write_reports(tmp_path)
    lines = (tmp_path / "unusable_answers.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "split": "train",
        "passage": f"{tmp_path / 'train.json'}: data[0].paragraphs[0]",
        "question": "0-Anna",
        "text": "New York",
        "start": 15,
        "kind": "not where they should be",
        "reason": "the passage has 'ew York,' there",
    }
    assert len(lines) == 3


def test_passages_longer_than_a_window_are_read_whole(tmp_path: Path) -> None:
    content = articles(with_unanswerable=False)
    for article in content:
        (passage,) = article["paragraphs"]
        padding = "It is so. " * 12
        passage["context"] = padding + passage["context"]
        for asked in passage["qas"]:
            asked["answers"][0]["answer_start"] += len(padding)
    training = train(Data(tmp_path, content).start(), num_epochs=15, learning_rate=0.01)
    assert training.reports.facts()["dev windows of long passages"] > 0
    assert training.evaluate()["dev/f1"] > 95


def test_stored_vectors_change_nothing(tmp_path: Path) -> None:
    data = Data(tmp_path, articles(with_unanswerable=False))
    encoder = {"type": "concat", "parts": {"word": WORD, "elmo": BILM}}
    live, stored = (
        data.start(encoder=encoder, features={**CACHED, "cached": cached}) for cached in (False, True)
    )
    assert set(stored.examples["train"].stores) == {"elmo"}
    batches = live.batches(), stored.batches()
    for _ in range(3):
        losses = [training.loss(next(batch)) for training, batch in zip((live, stored), batches, strict=True)]
        torch.testing.assert_close(losses[0], losses[1])
    assert live.evaluate() == pytest.approx(stored.evaluate(), rel=1e-4)
    assert live.constants() == {
        name for name in live.model.state_dict() if ".elmo." in name and "mix" not in name
    }


def test_word_features_are_an_option_of_three_more_inputs(data: Data) -> None:
    heads = [data.start(task={"word_features": given}).model.head for given in (True, False)]
    widths = [head.alignment.in_features for head in heads]  # type: ignore[union-attr]
    assert widths[0] - widths[1] == 3


def test_batches_go_on_from_a_position(data: Data) -> None:
    training = data.start()
    batches = training.batches()
    for _ in range(3):
        next(batches)
    state, expected = batches.state_dict(), next(batches)
    again = training.batches()
    again.load_state_dict(state)
    assert next(again).ids == expected.ids
    assert training.describe(expected).startswith(f"the batch of the questions {expected.ids[0]}, ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": {"window_words": 0}}, r"task\.window_words: expected at least 1, got 0"),
        (
            {"task": {"window_stride": 31}},
            r"task\.window_stride: expected at most 30 \(window_words\), got 31",
        ),
        ({"task": {"num_best": 0}}, r"task\.num_best: expected at least 1, got 0"),
        (
            {"head": {"type": "pooled", "pooling": ["mean"], "hidden_size": None}},
            r"head\.type: pooled is not a head for question answering",
        ),
    ],
)
def test_values_that_make_no_sense_are_told(data: Data, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.start(**changes)


def test_data_without_questions_is_told(data: Data) -> None:
    setup = data.setup()
    other = {"type": "bbc"}
    with pytest.raises(InputError, match=r"data\.type: bbc has no questions; data=squad has some"):
        REGISTRY.build("task", setup.nodes["task"]).check(
            replace(setup, nodes={**setup.nodes, "data": other})
        )


def test_data_that_teaches_nothing_is_told(tmp_path: Path) -> None:
    blank = [{"title": "A", "paragraphs": [{"context": " ", "qas": [question("1", "Who?", "", " ")]}]}]
    with pytest.raises(
        InputError, match=r"no question of the train split has words and a passage with words"
    ):
        Data(tmp_path, blank).start()
    with pytest.raises(InputError, match=r"data: the train split has no questions"):
        Data(tmp_path, []).start()
    content = articles(with_unanswerable=False)[:1]
    for answered, (text, start) in zip(
        content[0]["paragraphs"][0]["qas"], [("", 0), ("Rome", -5)], strict=True
    ):
        answered["answers"] = [{"text": text, "answer_start": start}]
    with pytest.raises(
        InputError, match=r"be learned from: 2 answers are unusable; the first: .*an empty answer"
    ):
        Data(tmp_path, content).start()


def test_questions_that_cannot_be_asked_are_counted_and_named(tmp_path: Path) -> None:
    content = articles(with_unanswerable=False)
    content[0]["paragraphs"][0]["context"] = ""
    content[1]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = -7
    content[1]["paragraphs"][0]["qas"][1]["answers"][0]["text"] = ""
    facts = Data(tmp_path, content).start().reports.facts()
    assert facts["train questions without words, or whose passage has none"] == 2
    assert facts["train questions left out"] == "0-Anna, 0-Ben"
    assert facts["train unusable answers"] == 4
    assert str(facts["train unusable answers are"]).startswith(
        "3 not where they should be, 1 empty; the first"
    )


def test_a_table_has_a_row_for_what_was_scored() -> None:
    figures = {f"{split}/{metric}": 1.0 for split in ("dev", "test") for metric in ("exact_match", "f1")}
    assert score_table(figures)[1] == [["dev", 1.0, 1.0], ["test", 1.0, 1.0]]
