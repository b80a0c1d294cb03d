"""Tags of words: training, scores, saving, answers, on some dozens of short sentences."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from supervised_data import BILM, CACHED, WORD, SupervisedData, train

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.shared.split import SPLITS
from tasks.sources.tagged.source import TaggedSentence
from tasks.supervised.example_scores import read_example_scores
from tasks.tagging.baselines import most_frequent_tags
from tasks.tagging.examples import TagExamples
from tasks.tagging.figures import score_table
from tasks.tagging.labels import LabelSet
from tasks.tagging.model import TaggingTraining, predict_tags
from tasks.tagging.reports import Results, write_reports

Rows = list[tuple[str, str]]  # of a sentence: its words, and their tags

LINEAR = {"type": "linear", "hidden_size": None, "dropout": 0.0, "crf": False}
BILSTM_CRF = {"type": "bilstm_crf", "hidden_size": 8, "num_layers": 1, "dropout": 0.0}
TASK: dict[str, Any] = {
    "scheme": "bioul",
    "window_words": 50,
    "injection": "input",
    "word_dropout": 0.0,
    "indicator_size": 4,
}


def made_up(number: int, seed: int) -> Rows:
    """Sentences with names of persons (two words), and of places: `Rose` is one only after `in`."""
    generator = random.Random(seed)
    pieces = [
        ("the day", "O O"),
        ("of trees .", "O O O"),
        ("Rose Smith", "B-PER I-PER"),
        ("Anna Smith", "B-PER I-PER"),
        ("in Rose", "O B-LOC"),
        ("in Rome", "O B-LOC"),
    ]
    rows = []
    for _ in range(number):
        words, tags = zip(*generator.choices(pieces, k=generator.randint(1, 4)), strict=True)
        rows.append((" ".join(words), " ".join(tags)))
    return rows


def written(rows: Rows) -> str:
    return "".join(
        "".join(f"{word}\t{tag}\n" for word, tag in zip(words.split(), tags.split(), strict=True)) + "\n"
        for words, tags in rows
    )


class Data(SupervisedData[TaggingTraining]):
    """CoNLL files of the three splits, and what is made of them."""

    def __init__(self, path: Path, splits: Sequence[Rows] | None = None, **options: Any) -> None:
        files = {split: str(path / f"{split}.conll") for split in SPLITS}
        rows = splits or [made_up(60, 1), made_up(12, 2), made_up(15, 3)]
        for file, split in zip(files.values(), rows, strict=True):
            Path(file).write_text(written(split), encoding="utf-8")
        task = {"type": "tagging", **TASK}
        super().__init__(path, {"type": "tagged_files", **files, **options}, task=task, head=BILSTM_CRF)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("tags"))


@pytest.fixture(scope="module")
def trained(data: Data) -> TaggingTraining:
    return train(data.start(), 80, learning_rate=0.03)


@pytest.fixture(scope="module")
def saved_path(trained: TaggingTraining, data: Data) -> Path:
    trained.reports.save_model(data.path / "model")
    return data.path / "model"


def test_the_labels_of_spans_are_complete_and_follow_each_other_by_the_scheme() -> None:
    labels = LabelSet.of_tags([["O", "B-x", "I-x"], ["B-y"]], scheme="bioul")
    assert labels.names == ["O", "B-x", "I-x", "U-x", "L-x", "B-y", "I-y", "U-y", "L-y"]
    assert labels.tags(labels.ids(["B-x", "I-x", "B-x", "O"])) == ["B-x", "I-x", "B-x", "O"]
    allowed, ids = labels.allowed(), {name: index for index, name in enumerate(labels.names)}
    assert [name for name in labels.names if allowed.start[ids[name]]] == ["O", "B-x", "U-x", "B-y", "U-y"]
    assert [name for name in labels.names if allowed.end[ids[name]]] == ["O", "U-x", "L-x", "U-y", "L-y"]
    after = {
        name: [names for names in labels.names if allowed.between[ids[name], ids[names]]] for name in ids
    }
    assert after["B-x"] == after["I-x"] == ["I-x", "L-x"]
    assert after["O"] == after["L-x"] == after["U-y"] == ["O", "B-x", "U-x", "B-y", "U-y"]
    assert LabelSet.of_tags([["b", "a"]], scheme="none").allowed().between.all()


@pytest.mark.parametrize(
    ("tags", "scheme", "fault"),
    [([["O", "O"]], "bio", "no span"), ([["x", "x"]], "none", "only the tag 'x'; a tagger needs two tags")],
)
def test_training_tags_that_leave_nothing_to_learn_are_refused(tags: Any, scheme: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        LabelSet.of_tags(tags, scheme=scheme)


def test_it_learns_spans_that_depend_on_their_neighbours(trained: TaggingTraining) -> None:
    assert trained.evaluate() == {
        "dev/f1": 100.0,
        "dev/precision": 100.0,
        "dev/recall": 100.0,
        "dev/accuracy": 100.0,
    }
    figures = trained.reports.conclude()
    assert figures["test/f1"] == figures["test/accuracy"] == 100.0
    assert figures["test/most_frequent_f1"] < figures["test/most_frequent_accuracy"] < 100.0
    assert figures["test/sentences"] == 15
    columns, rows = score_table({**trained.evaluate(), **figures})
    assert columns == ["percent", "F1", "precision", "recall", "accuracy of tags"]
    assert [row[0] for row in rows] == ["dev", "test", "test, each word's most frequent tag"]
    columns, rows = trained.reports.tables()["test/types"]
    assert columns == ["type", "precision", "recall", "f1", "spans"]
    assert [row[:2] for row in rows] == [["LOC", 100.0], ["PER", 100.0]]


@pytest.mark.parametrize("scheme", ["bio", "bioul"])
@pytest.mark.parametrize("head", [LINEAR, {**LINEAR, "crf": True}, {**BILSTM_CRF, "crf": False}], ids=str)
def test_whatever_the_head_is_predicted_tags_are_in_order(data: Data, head: Any, scheme: str) -> None:
    training = train(data.start(head=head, task={"scheme": scheme}), 4, learning_rate=0.03)
    training.model.linear.weight.data *= 30  # sure of itself, and wrong
    for tags in predict_tags(training.model, training.examples["test"], training.labels, batch_size=4):
        assert all(
            before in (f"B-{tag[2:]}", tag)
            for before, tag in zip(["O", *tags], tags, strict=False)
            if tag.startswith("I-")
        )


def test_it_learns_tags_that_are_no_spans_linearly(tmp_path: Path) -> None:
    rows = [("the dog barks", "DT NN VBZ"), ("a cat sleeps", "DT NN VBZ")]
    data = Data(tmp_path, [rows * 8, rows, [*rows, ("a crow sleeps", "DT NN VBZ")]], scheme="none")
    training = train(data.start(head=LINEAR), 40, learning_rate=0.03)
    assert training.evaluate() == {"dev/accuracy": 100.0}
    figures = training.reports.conclude()
    assert figures["test/accuracy"] >= 100 * 8 / 9
    assert "test/f1" not in figures
    assert figures["test/unknown_accuracy"] in (0.0, 100.0)  # of one word
    assert training.reports.tables()["test/tags"][0] == ["tag", "precision", "recall", "f1", "words"]
    assert training.labels.names == ["DT", "NN", "VBZ"]
    assert [row[0] for row in score_table(figures)[1]] == [
        "test",
        "test, words not in training",
        "test, each word's most frequent tag",
    ]


def test_a_tag_that_is_only_in_dev_or_test_is_told_and_counts_as_an_error(tmp_path: Path) -> None:
    rows = [("in Rome", "O B-LOC"), ("Anna", "B-PER")]
    data = Data(tmp_path, [rows * 4, [*rows, ("so", "B-NEW")], [("in IBM", "O B-ORG")]])
    training = train(data.start(), 20, learning_rate=0.03)
    facts = training.reports.facts()
    assert facts["dev tags not in training"] == "NEW (1); each counts as an error"
    assert facts["test tags not in training"] == "ORG (1); each counts as an error"
    assert facts["types of spans"] == 2
    assert training.evaluate()["dev/recall"] == pytest.approx(200 / 3)
    assert training.reports.conclude()["test/recall"] == 0.0
    assert ["ORG", 0.0, 0.0, 0.0, 1] in training.reports.tables()["test/types"][1]


def test_repaired_tags_are_a_fact(tmp_path: Path) -> None:
    rows = [("in Rome", "O I-LOC"), ("Anna", "B-PER")]
    facts = Data(tmp_path, [rows * 4, rows, rows]).start().reports.facts()
    name = "tags that break the scheme, read as the CoNLL script reads them"
    assert facts[f"train {name}"] == 4
    assert (facts["train sentences"], facts["train words"], facts["train spans"]) == (8, 12, 8)


def test_a_sentence_of_ten_thousand_words_is_read_in_pieces_and_keeps_every_tag(tmp_path: Path) -> None:
    long = [(" ".join(["in Rome and so"] * 2500), " ".join(["O B-LOC I-LOC I-LOC"] * 2500))]
    data = Data(tmp_path, [[*made_up(7, 1), *long], made_up(2, 2), long])
    training = train(data.start(task={"window_words": 102}), 3, learning_rate=0.03)
    test, labels = training.examples["test"], training.labels
    assert (max(test.lengths()), len(test)) == (102, 99)
    assert training.reports.facts()["test sentences read in pieces"] == 1
    assert labels.tags(test.gold_ids(labels)[1].tolist())[:4] == [
        "B-LOC",
        "I-LOC",
        "O",
        "B-LOC",
    ]  # from "and"
    (tags,) = predict_tags(training.model, test, labels, batch_size=8)
    assert len(tags) == 10_000


def test_other_sentences_in_a_batch_change_nothing(trained: TaggingTraining) -> None:
    examples, model = trained.examples["test"], trained.model.eval()
    order = torch.randperm(15).tolist()
    together = examples.inputs(order)
    with torch.no_grad():
        scores_BTV = model(together)
        for row, index in enumerate(order):
            alone_1TV = model(examples.inputs([index]))
            torch.testing.assert_close(
                scores_BTV[row : row + 1, : alone_1TV.shape[1]], alone_1TV, rtol=1e-5, atol=1e-6
            )


def test_the_loss_is_the_mean_over_words_of_what_each_sentence_costs(trained: TaggingTraining) -> None:
    train_, model = trained.examples["train"], trained.model.eval()
    with torch.no_grad():
        each = [(len(train_.pieces[i].words), float(trained.loss(train_.batch([i])))) for i in range(6)]
        together = float(trained.loss(train_.batch(range(6))))
        penalty = float(model.representation.penalty())
    words = sum(length for length, _ in each)
    assert together - penalty == pytest.approx(
        sum(length * (loss - penalty) for length, loss in each) / words, rel=1e-4, abs=1e-6
    )


def test_a_saved_model_has_the_scores_and_tags_of_the_trained_one(
    trained: TaggingTraining, saved_path: Path, data: Data
) -> None:
    task, saved, setup = data.load(saved_path)
    figures = {name: v for name, v in trained.reports.conclude().items() if name.startswith("test/")}
    assert task.evaluate(saved, setup, with_baselines=True, name="model") == pytest.approx(figures)
    alone = task.evaluate(saved, setup, with_baselines=False, name="model")
    assert alone.keys() == {name for name in figures if "most_frequent" not in name}
    assert task.table(alone)[1][0][:2] == ["test", 100.0]


def test_text_is_tagged_with_offsets_and_given_words_as_they_are(saved_path: Path, data: Data) -> None:
    predictor = data.load_predictor(saved_path)
    text = "the day  in Rose Rose Smith"
    records = [
        {"id": 7, "text": text},
        {"words": ["Anna", "Smith", "in", "Rome"]},
        {"text": " \n"},
        {"words": []},
    ]
    said = predictor.predict([predictor.read(record) for record in records])
    assert said[0]["id"] == 7
    assert said[0]["words"] == text.split()
    assert said[0]["tags"] == ["O", "O", "O", "B-LOC", "B-PER", "I-PER"]
    assert said[0]["spans"] == [
        {"label": "LOC", "first_word": 3, "end_word": 4, "start": 12, "end": 16, "text": "Rose"},
        {"label": "PER", "first_word": 4, "end_word": 6, "start": 17, "end": 27, "text": "Rose Smith"},
    ]
    assert [text[start:end] for start, end in said[0]["offsets"]] == text.split()
    assert said[1] == {
        "words": ["Anna", "Smith", "in", "Rome"],
        "tags": ["B-PER", "I-PER", "O", "B-LOC"],
        "spans": [
            {"label": "PER", "first_word": 0, "end_word": 2, "text": "Anna Smith"},
            {"label": "LOC", "first_word": 3, "end_word": 4, "text": "Rome"},
        ],
    }
    assert said[2] == {"words": [], "tags": [], "offsets": [], "spans": []}
    assert said[3] == {"words": [], "tags": [], "spans": []}


def test_each_sentence_of_a_text_is_tagged_by_itself(saved_path: Path, data: Data) -> None:
    predictor = data.load_predictor(saved_path)
    given = predictor.read({"text": "The day in Rome . Anna Smith in Rose ."})
    assert [len(sentence) for sentence in given.sentences] == [5, 5]
    (said,) = predictor.predict([given])
    assert [span["text"] for span in said["spans"]] == ["Rome", "Anna Smith", "Rose"]
    assert len(said["words"]) == len(said["tags"]) == len(said["offsets"]) == 10


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({}, "words or text: missing"),
        ({"text": 3}, "text: expected a text, got 3"),
        ({"words": "Anna"}, "words: expected a list of words, none of them blank, got 'Anna'"),
        ({"words": ["a", " "]}, "words: expected a list"),
    ],
)
def test_a_record_without_words_is_refused(record: Any, fault: str, saved_path: Path, data: Data) -> None:
    with pytest.raises(InputError, match=f"^{fault}"):
        data.load_predictor(saved_path).read(record)


def test_reports_are_columns_for_the_conll_script_and_lines_of_json(
    trained: TaggingTraining, tmp_path: Path
) -> None:
    trained.reports.conclude()
    trained.reports.write_reports(tmp_path)
    blocks = (tmp_path / "predictions/test.conll").read_text().strip().split("\n\n")
    assert [" ".join(line.split()[0] for line in block.splitlines()) for block in blocks] == [
        words for words, _ in made_up(15, 3)
    ]
    lines = [json.loads(line) for line in (tmp_path / "predictions/test.jsonl").read_text().splitlines()]
    assert [" ".join(line["gold"]) for line in lines] == [tags for _, tags in made_up(15, 3)]
    assert json.loads((tmp_path / "predictions/test_types.json").read_text())["PER"]["f1"] == 100.0
    assert (tmp_path / "plots/confusion.png").stat().st_size > 1000


def test_what_sentences_add_to_the_scores_is_kept_for_comparisons(tmp_path: Path) -> None:
    tagged = [
        TaggedSentence("a", ("x",) * 4, ("O", "B-N", "I-N", "O")),
        TaggedSentence("b", ("y",) * 2, ("B-N", "B-N")),
    ]
    labels = LabelSet.of_tags([["B-N"]], scheme="bioul")
    write_reports(tmp_path, Results(tagged, [["O", "B-N", "I-N", "B-N"], ["B-N", "O"]], labels), "test")
    found = read_example_scores(tmp_path, "test")
    assert found is not None
    assert list(found.ids) == ["a", "b"]
    assert {name: values.tolist() for name, values in found.ratios.items()} == {
        "accuracy": [[3, 1], [4, 2]],
        "f1": [[2, 2], [3, 3]],
        "precision": [[1, 1], [2, 1]],
        "recall": [[1, 1], [1, 2]],
    }
    assert (tmp_path / "predictions/test.conll").read_text().startswith("x O O\nx B-N B-N\n")


def test_the_baseline_is_the_most_frequent_tag_of_each_word_and_of_all_for_a_new_one() -> None:
    tagged = [
        TaggedSentence("", ("a", "b", "a"), ("X", "Y", "X")),
        TaggedSentence("", ("a", "b"), ("Z", "Y")),
    ]
    examples = TagExamples.of(tagged, window_words=9, has_predicates=False)
    assert most_frequent_tags(examples, [["b", "a", "c"]]) == [["Y", "X", "X"]]


def test_stored_vectors_of_a_bilm_give_the_same_scores_at_every_place_of_injection(tmp_path: Path) -> None:
    data = Data(tmp_path)
    encoder = {"type": "concat", "parts": {"words": WORD, "elmo": BILM}}
    stored = {"cached": True, "max_gigabytes": 1.0, "dtype": "float32"}
    for injection in ("input", "output", "both"):
        options = {"encoder": encoder, "task": {"injection": injection, "window_words": 3}}
        running, cached = data.start(**options), data.start(**options, features=stored)
        assert cached.examples["dev"].stores.keys() == {"elmo"}
        scores = [t.model.eval()(t.examples["dev"].inputs(range(4))) for t in (running, cached)]
        torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match=r"linear has no recurrent layer .* or head=bilstm_crf"):
        data.start(head=LINEAR, encoder=encoder, task={"injection": "both"})


def test_a_cut_training_split_reads_the_vectors_of_the_whole(tmp_path: Path) -> None:
    data = Data(tmp_path, fraction=0.5)
    training = data.start(encoder=BILM, features=CACHED)
    assert len(training.examples["train"].tagged) == 30
    assert training.reports.facts()["train fraction"] == 50.0
    assert training.examples["train"].inputs([0, 5]).windows.features["elmo"].shape[1] == 2


def roles(number: int, seed: int) -> list[TaggedSentence]:
    """Sentences of two verbs: the word before the predicate is its agent."""
    generator, sentences = random.Random(seed), []
    for index in range(number):
        words = [generator.choice("abcd"), "saw", generator.choice("abcd"), "ran"]
        for predicate in (1, 3):
            tags = ["O"] * 4
            tags[predicate - 1], tags[predicate] = "B-A0", "B-V"
            sentences.append(TaggedSentence(f"{index}:{predicate}", tuple(words), tuple(tags), predicate))
    return sentences


def start_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_predicates: bool) -> TaggingTraining:
    """A training on these sentences, read as if the files had them."""
    data = Data(tmp_path)
    cls = REGISTRY.get("data", "tagged_files")
    monkeypatch.setattr(cls, "has_predicates", has_predicates, raising=False)
    monkeypatch.setattr(cls, "examples", lambda self, split: iter(roles(30, len(split))))
    return data.start()


def test_roles_of_two_predicates_in_a_sentence_are_learned_by_the_indicator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = train(start_roles(tmp_path, monkeypatch, has_predicates=True), 60, learning_rate=0.03)
    assert with_it.evaluate()["dev/f1"] == 100.0
    with_it.reports.save_model(tmp_path / "model")
    without = train(start_roles(tmp_path, monkeypatch, has_predicates=False), 60, learning_rate=0.03)
    assert without.evaluate()["dev/f1"] < 70.0

    predictor = Data(tmp_path).load_predictor(tmp_path / "model")
    words = ["a", "saw", "b", "ran"]
    said = predictor.predict([predictor.read({"words": words, "predicate": place}) for place in (1, 3)])
    assert [one["tags"] for one in said] == [["B-A0", "B-V", "O", "O"], ["O", "O", "B-A0", "B-V"]]
    for record in ({"words": words}, {"words": words, "predicate": 4}, {"words": words, "predicate": True}):
        with pytest.raises(InputError, match=r"^predicate: .* expected the position of a word, from 0 to 3"):
            predictor.read(record)
    monkeypatch.undo()
    task, saved, setup = Data(tmp_path).load(tmp_path / "model")
    with pytest.raises(InputError, match="its tags are not about predicates"):
        task.evaluate(saved, setup, with_baselines=False, name="model")


def test_data_of_another_kind_is_refused(saved_path: Path, data: Data, tmp_path: Path) -> None:
    task, saved, setup = data.load(saved_path)
    other = {**data.node, "scheme": "none"}
    with pytest.raises(InputError, match=r"data\.scheme: none, whose tags are no spans; .* are spans"):
        task.evaluate(
            saved, replace(setup, nodes={**setup.nodes, "data": other}), with_baselines=False, name="model"
        )
    with pytest.raises(InputError, match=r"data\.type: text has no tagged words"):
        task.evaluate(
            saved,
            replace(setup, nodes={**setup.nodes, "data": {"type": "text", "train": "x"}}),
            with_baselines=False,
            name="model",
        )
    with pytest.raises(InputError, match=r"head\.type: pooled is not a head for tagging"):
        data.start(head={"type": "pooled"})
