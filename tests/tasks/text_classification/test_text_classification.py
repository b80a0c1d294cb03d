"""Classification of texts: windows, training, scores, saving, answers, on some dozens of short texts."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from supervised_data import BILM, FINE_TUNING, MIX, WORD, SupervisedData, train

from elmo.errors import InputError
from elmo.inference.embedder import ElmoEmbedder
from elmo.io.model_directory import read_model
from elmo.registry import REGISTRY
from experiments import evaluate as evaluate_command
from experiments import train as train_command
from experiments.config.command import run_command
from tasks.sources.shared.split import SPLITS
from tasks.supervised.representation import WindowBatch
from tasks.text_classification.model import TextClassificationTraining, logits_of, logits_of_windows
from tasks.text_classification.reports import score_table
from tasks.text_classification.task import TextClassificationTask
from tasks.text_classification.windows import TextReader, split_windows

Row = tuple[str, str]  # text, label; several labels with commas between them

POOLED = {"type": "pooled", "pooling": ["mean"], "hidden_size": None}
TASK: dict[str, Any] = {
    "window_words": 5,
    "max_words": None,
    "injection": "input",
    "word_dropout": 0.0,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "threshold": 0.5,
}


def make_rows(number: int, seed: int) -> list[Row]:
    """Texts of 1 to 12 words with one that tells the label: `sun` is good, `rain` bad."""
    generator = random.Random(seed)
    rows = []
    for index in range(number):
        words = generator.choices(["the", "day", "of", "trees", "."], k=generator.randint(0, 11))
        words.insert(generator.randint(0, len(words)), ("rain", "sun")[index % 2])
        rows.append((" ".join(words), ("bad", "good")[index % 2]))
    return rows


class Data(SupervisedData[TextClassificationTraining]):
    """Csv files of the three splits, and what is made of them."""

    def __init__(self, path: Path, splits: Sequence[Sequence[Row]] | None = None, **options: Any) -> None:
        rows = splits or [make_rows(40, 1), make_rows(10, 2), make_rows(12, 3)]
        files = {split: str(path / f"{split}.csv") for split in SPLITS}
        for file, split in zip(files.values(), rows, strict=True):
            with open(file, "w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([("text", "label"), *split])
        task = {"type": "text_classification", **TASK}
        super().__init__(
            path, {"type": "labelled_files", "prose": False, **files, **options}, task=task, head=POOLED
        )


def of_test(figures: dict[str, float]) -> dict[str, float]:
    """Those of the test split, which are all that scoring a finished run gives."""
    return {name: value for name, value in figures.items() if name.startswith("test/")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def trained(data: Data) -> TextClassificationTraining:
    return train(data.start(), 150, learning_rate=0.05)


@pytest.fixture(scope="module")
def saved_path(trained: TextClassificationTraining, data: Data) -> Path:
    trained.reports.save_model(data.path / "model")
    return data.path / "model"


def reader(*, window_words: int = 5, max_words: int | None = None, prose: bool = False) -> TextReader:
    return TextReader(
        tokenizer=REGISTRY.build("tokenizer", {"type": "whitespace"}),
        prose=prose,
        language="en",
        window_words=window_words,
        max_words=max_words,
    )


def flat(windows: Sequence[Sequence[Sequence[str]]]) -> list[str]:
    return [word for window in windows for sentence in window for word in sentence]


def test_windows_are_whole_sentences_as_many_as_fit() -> None:
    sentences = [["a", "b"], ["c", "d", "e"], ["f"], ["g", "h", "i", "j", "k", "l", "m"], ["n"]]
    assert list(split_windows(sentences, 5)) == [
        [["a", "b"], ["c", "d", "e"]],
        [["f"]],
        [["g", "h", "i", "j", "k"]],
        [["l", "m"], ["n"]],
    ]


@pytest.mark.parametrize("window_words", [1, 3, 7, 100])
def test_every_word_is_in_exactly_one_window(window_words: int) -> None:
    generator = random.Random(window_words)
    sentences = [[f"w{i}.{j}" for j in range(generator.randint(1, 12))] for i in range(50)]
    windows = list(split_windows(sentences, window_words))
    assert flat(windows) == flat([sentences])
    assert all(0 < len(flat([window])) <= window_words for window in windows)


@pytest.mark.parametrize("text", ["", " \n", "a b c\nd e\n\nf g h i", "a b c d e f g\n" * 600])
@pytest.mark.parametrize("max_words", [None, 4])
def test_windows_one_after_another_are_those_of_the_whole_text(text: str, max_words: int | None) -> None:
    assert list(reader(max_words=max_words).windows(text)) == reader(max_words=max_words).read(text).windows


def test_a_text_is_cut_by_option_only_and_the_cut_is_counted() -> None:
    text = "a b c\nd e\n\nf g h i"
    assert flat(reader().read(text).windows) == list("abcdefghi")
    cut = reader(max_words=4).read(text)
    assert (cut.windows, cut.num_words, cut.num_dropped) == ([[["a", "b", "c"], ["d"]]], 4, 5)


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_a_text_without_words_is_read_as_an_unknown_one(text: str) -> None:
    assert reader().read(text) == ([[["<UNK>"]]], 0, 0)


def test_prose_is_split_into_sentences() -> None:
    text = "It rained. We went home."
    assert reader(prose=True).read(text).windows == [[["It", "rained."], ["We", "went", "home."]]]


def test_a_text_of_a_megabyte_is_read_whole(saved_path: Path, data: Data) -> None:
    predictor = data.load_predictor(saved_path)
    given = predictor.read({"text": "the day of sun " * 70_000})
    assert len(flat(list(predictor.reader.windows(given.text)))) == 280_000
    (said,) = predictor.predict([given])
    assert said["label"] == "good"


def test_it_learns_a_separable_set_to_the_last_text(trained: TextClassificationTraining) -> None:
    assert trained.evaluate()["dev/accuracy"] == 100.0
    figures = trained.reports.conclude()
    assert figures["test/accuracy"] == figures["test/macro_f1"] == 100.0
    assert figures["test/loss"] < 0.1
    assert figures["test/majority_accuracy"] == 50.0
    assert figures["test/naive_bayes_accuracy"] == 100.0
    columns, rows = score_table({**trained.evaluate(), **figures})
    assert columns == ["percent", "accuracy", "macro F1", "calibration error"]
    assert [row[:2] for row in rows] == [
        ["dev", 100.0],
        ["test", 100.0],
        ["test, naive Bayes", 100.0],
        ["dev, most frequent label", 50.0],
        ["test, most frequent label", 50.0],
    ]


def test_it_learns_texts_with_several_labels_and_none(tmp_path: Path) -> None:
    rows = [("x sun", "sun"), ("rain y", "rain"), ("sun x rain", "sun,rain"), ("x y", "")]
    data = Data(tmp_path, [rows * 4, rows, rows], multi_label=True, label_separator=",", empty_texts="skip")
    training = train(data.start(), 150, learning_rate=0.05)
    scores = training.evaluate()
    assert scores["dev/accuracy"] == scores["dev/micro_f1"] == scores["dev/macro_f1"] == 100.0
    assert training.reports.conclude()["test/naive_bayes_accuracy"] > 50
    training.reports.save_model(tmp_path / "model")
    predictor = data.load_predictor(tmp_path / "model")
    inputs = [predictor.read({"text": text}) for text, _ in rows]
    assert [said["labels"] for said in predictor.predict(inputs)] == [["sun"], ["rain"], ["rain", "sun"], []]
    assert [max(words, key=lambda pair: pair[1])[0] for words in predictor.explain(inputs)[:2]] == [
        "sun",
        "rain",
    ]


def test_an_epoch_has_every_text_once(data: Data) -> None:
    training = data.start()
    batches = training.batches()
    names = [name for _ in range(5) for name in next(batches).names]
    assert sorted(names) == sorted(training.examples["train"].names)
    assert (training.units_per_epoch, training.units_per_batch) == (40, 8)


def test_a_resumed_order_goes_on(data: Data) -> None:
    straight, resumed = data.start().batches(), data.start().batches()
    for _ in range(7):
        next(straight)
    resumed.load_state_dict(straight.state_dict())
    assert [next(resumed).names for _ in range(6)] == [next(straight).names for _ in range(6)]


def test_other_texts_in_a_batch_change_nothing(trained: TextClassificationTraining) -> None:
    examples, model = trained.examples["test"], trained.model
    together = logits_of(model, examples, batch_size=12)
    torch.testing.assert_close(logits_of(model, examples, batch_size=1), together, rtol=1e-5, atol=1e-6)
    model.eval()
    order = torch.randperm(12).tolist()
    batch = examples.batch(order)
    logits_NV = model(batch.windows, batch.text_of_window_B, 12)
    torch.testing.assert_close(logits_NV.detach(), together[order], rtol=1e-5, atol=1e-6)
    assert batch.names == [examples.names[i] for i in order]
    assert torch.equal(batch.gold_NV, examples.gold_NV[order])


def test_the_loss_is_weighted_and_smoothed_as_the_task_says(tmp_path: Path) -> None:
    rows = [*make_rows(6, 1), ("sun", "good"), ("sun", "good"), ("sun", "good")]  # 3 bad, 6 good
    data = Data(tmp_path, [rows, rows, rows])
    plain, other = data.start(), data.start(task={"class_weights": "balanced", "label_smoothing": 0.2})
    batch = plain.examples["train"].batch(range(9))
    with torch.no_grad():
        logs_NV = plain.model(batch.windows, batch.text_of_window_B, 9).log_softmax(dim=1)
        losses = [float(training.loss(batch)) for training in (plain, other)]
    assert losses[0] == pytest.approx(float(-logs_NV[batch.gold_NV].mean()))
    weights_V = torch.tensor([9 / (2 * 3), 9 / (2 * 6)])
    targets_NV = 0.8 * batch.gold_NV + 0.2 / 2
    assert losses[1] == pytest.approx(
        float(-(targets_NV * weights_V * logs_NV).sum() / 9)
    )  # 9 = 3 w_0 + 6 w_1


def test_a_saved_model_has_the_scores_and_answers_of_the_trained_one(
    trained: TextClassificationTraining, saved_path: Path, data: Data
) -> None:
    task, saved, setup = data.load(saved_path)
    figures = of_test(trained.reports.conclude())
    assert task.evaluate(saved, setup, with_baselines=True, name="model") == pytest.approx(figures, abs=1e-6)
    alone = task.evaluate(saved, setup, with_baselines=False, name="model")
    assert alone.keys() == {name for name in figures if "majority" not in name and "bayes" not in name}

    predictor = data.load_predictor(saved_path)
    rows = make_rows(12, 3)
    inputs = [predictor.read({"id": index, "text": text}) for index, (text, _) in enumerate(rows)]
    logits_NV = logits_of(trained.model, trained.examples["test"], batch_size=4)
    for index, (said, logits_V) in enumerate(zip(predictor.predict(inputs), logits_NV, strict=True)):
        assert said["id"] == index
        assert said["label"] == rows[index][1]
        assert list(said["probabilities"]) == ["bad", "good"]
        assert list(said["probabilities"].values()) == pytest.approx(logits_V.softmax(0).tolist(), abs=1e-6)
        assert said["probability"] == said["probabilities"][said["label"]]


def test_a_model_directory_that_lacks_a_list_of_words_is_told(saved_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(saved_path, copy)
    (copy / "words" / "word.words.txt").unlink()
    with pytest.raises(InputError, match=r"words/word\.words\.txt: missing or damaged"):
        read_model(copy)


def test_a_predictor_answers_an_empty_text_and_refuses_a_record_without_one(
    saved_path: Path, data: Data
) -> None:
    predictor = data.load_predictor(saved_path)
    (said,) = predictor.predict([predictor.read({"text": ""})])
    assert said["label"] in ("bad", "good")
    assert "id" not in said
    for record in ({}, {"text": 3}):
        with pytest.raises(InputError, match=r"^(no )?column 'text' "):
            predictor.read(record)


def test_saliencies_are_what_the_words_add_to_the_predicted_label(saved_path: Path, data: Data) -> None:
    # One window and a mean: the logit is linear in the vectors, and saliencies add up to it but for the bias.
    predictor = data.load_predictor(saved_path)
    given = predictor.read({"text": "the day sun"})
    (words,) = predictor.explain([given])
    assert [word for word, _ in words] == ["the", "day", "sun"]
    windows = predictor.reader.read(given.text).windows
    with torch.no_grad():
        vectors_TP = predictor.model.represent(WindowBatch(windows)).vectors[0]
        by_hand_T = vectors_TP @ predictor.model.linear.weight[1] / 3
        logit = logits_of_windows(predictor.model, [windows])[0, 1]
        assert float(by_hand_T.sum() + predictor.model.linear.bias[1]) == pytest.approx(float(logit))
    assert [value for _, value in words] == pytest.approx((by_hand_T / by_hand_T.abs().max()).tolist())
    assert words[2][1] == 1.0


@pytest.mark.parametrize("head", ["bilstm", "bcn"])
def test_saliencies_go_through_a_recurrent_head_on_every_device(
    head: str, device: str, tmp_path: Path
) -> None:
    node = {"type": head, "hidden_size": 4}
    data = Data(tmp_path)
    training = data.start(head=node)
    training.reports.save_model(tmp_path / "model")
    task, saved, setup = data.load(tmp_path / "model")
    explained = []
    for name in ("cpu", device):
        predictor = task.predictor(saved, replace(setup, device=torch.device(name)), name="model")
        explained.append(predictor.explain([predictor.read({"text": "the day of sun"})])[0])
    assert [word for word, _ in explained[1]] == ["the", "day", "of", "sun"]
    values = [[value for _, value in words] for words in explained]
    assert values[1] == pytest.approx(values[0], abs=1e-3)
    assert max(map(abs, values[1])) == pytest.approx(1)


def test_reports_are_written_of_the_test_part(trained: TextClassificationTraining, tmp_path: Path) -> None:
    trained.reports.write_reports(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "predictions/test.jsonl").read_text().splitlines()]
    assert [line["gold"] for line in lines] == [label for _, label in make_rows(12, 3)]
    assert {"predictions/test_labels.json", "plots/confusion.png"} <= {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")
    }
    assert trained.reports.tables()["test/confusion"][1] == [["bad", 6, 0], ["good", 0, 6]]


def test_facts_tell_what_was_cut_and_what_is_unknown(tmp_path: Path) -> None:
    rows = [("a b c d e f g", "one"), ("a b", "two"), ("c", "three")]
    data = Data(tmp_path, [rows, [("a b x x", "one")], [("b", "two")]])
    facts = data.start(task={"max_words": 6}).reports.facts()
    assert facts["labels"] == 3
    assert (facts["train texts"], facts["train words"], facts["train windows"]) == (3, 9, 4)
    assert facts["train texts truncated"] == "1, of 10.00% of all words"
    assert facts["dev words not in training"] == 50.0  # percent
    assert facts["dev labels without a text"] == "three, two"
    assert "train labels without a text" not in facts


def test_stored_vectors_give_the_same_logits_as_a_running_encoder(tmp_path: Path) -> None:
    data = Data(tmp_path)
    encoder = {"type": "concat", "parts": {"words": WORD, "elmo": BILM}}
    stored = {"cached": True, "max_gigabytes": 1.0, "dtype": "float32"}
    running, cached = data.start(encoder=encoder), data.start(encoder=encoder, features=stored)
    assert cached.examples["dev"].stores.keys() == {"elmo"}
    assert running.examples["dev"].stores == {}
    logits = [logits_of(t.model, t.examples["dev"], batch_size=4) for t in (running, cached)]
    torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-6)
    losses = [float(t.loss(next(t.batches())).detach()) for t in (running, cached)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def squeezed(training: TextClassificationTraining, path: Path) -> Path:
    """A saved model whose biLM has vectors that hardly differ, as one that was pretrained for a minute."""
    bilm = training.encoder.parts["elmo"].bilm
    with torch.no_grad():
        bilm.words.projection.weight.mul_(1e-3)
        for parameter in bilm.context.parameters():
            parameter.mul_(1e-3)
    training.reports.save_model(path)
    return path


def test_a_head_learns_from_a_bilm_whose_vectors_hardly_differ(tmp_path: Path) -> None:
    data = Data(tmp_path)
    wide = {**BILM, "filters": [[1, 16], [2, 16]], "cell_size": 16, "projection_size": 16}
    initial = str(squeezed(data.start(encoder=wide), tmp_path / "model"))
    found = {}
    for standardized in (True, False):
        setup = data.setup(encoder={"type": "elmo"}, initial=initial)
        nodes = {**setup.nodes, "mix": {**MIX, "standardized": standardized}}
        torch.manual_seed(1)
        training = TextClassificationTask(**TASK).start(replace(setup, nodes=nodes))
        found[standardized] = train(training, 100, learning_rate=0.05).evaluate()["dev/accuracy"]
    assert found[True] >= 90
    assert found[False] < 80


def test_a_model_that_is_no_better_than_the_most_frequent_label_is_told_at_the_end(tmp_path: Path) -> None:
    rows = [("a b", "x"), ("b c", "x"), ("a c", "y")]
    training = Data(tmp_path, [rows] * 3).start()
    with torch.no_grad():
        training.model.linear.weight.zero_()
        training.model.linear.bias.copy_(torch.tensor([1.0, 0.0]))
    figures = {**training.evaluate(), **training.reports.conclude()}
    assert figures["dev/accuracy"] == figures["dev/majority_accuracy"] == pytest.approx(200 / 3)
    warning = "warning: not better on dev than the most frequent label"
    assert training.reports.table(figures)[1][-1] == [warning, None, None, None]
    learned = {**figures, "dev/accuracy": 90.0}
    assert warning not in [row[0] for row in training.reports.table(learned)[1]]


def test_a_standardised_model_has_the_same_answers_trained_saved_stored_and_running(tmp_path: Path) -> None:
    data = Data(tmp_path)
    options = {"max_gigabytes": 1.0, "dtype": "float32"}
    logits = []
    for cached in (True, False):
        training = train(
            data.start(encoder=BILM, features={"cached": cached, **options}), 20, learning_rate=0.05
        )
        training.reports.save_model(tmp_path / f"model{cached}")
        predictor = data.load_predictor(tmp_path / f"model{cached}")
        test = training.examples["test"]
        logits += [logits_of(model, test, batch_size=4) for model in (training.model, predictor.model)]
        (mix,) = predictor.model.representation.mixes_of("elmo")
        assert mix.mean_LP.abs().max() > 1e-3
    for other in logits[1:]:
        torch.testing.assert_close(other, logits[0], rtol=1e-3, atol=1e-3)


def test_vectors_without_room_are_computed_anew_and_the_user_is_told(tmp_path: Path) -> None:
    stored = {"cached": True, "max_gigabytes": 1e-6, "dtype": "float32"}
    training = Data(tmp_path).start(encoder=BILM, features=stored)
    assert training.examples["train"].stores == {}
    assert "random weights" in str(training.reports.facts()["encoder"])
    assert "features.max_gigabytes" in str(training.reports.facts()["features"])


def test_of_trained_word_vectors_those_of_words_that_are_not_in_the_texts_are_constant(
    data: Data, tmp_path: Path
) -> None:
    (tmp_path / "vectors.txt").write_text("sun 0.1 0.2\nabsent 0.3 0.4\n")
    training = data.start(encoder={"type": "glove", "path": str(tmp_path / "vectors.txt"), "trainable": True})
    (fixed,) = training.constants()
    state = training.model.state_dict()
    assert torch.equal(state[fixed], torch.tensor([[0.3, 0.4]]))
    assert torch.equal(state[fixed.replace("fixed", "trained")], torch.tensor([[0.1, 0.2]]))


def test_a_frozen_encoder_is_constant_and_a_fine_tuned_one_has_rates_of_its_own(data: Data) -> None:
    encoder = {"type": "concat", "parts": {"words": WORD, "elmo": BILM}}
    frozen = data.start(encoder=encoder)
    bilm = {name for name in frozen.model.state_dict() if ".elmo.bilm." in name}
    assert frozen.constants() == bilm
    assert frozen.rate_factors() == {}
    tuned = data.start(encoder=encoder, fine_tuning={**FINE_TUNING, "trainable": True})
    assert tuned.constants() == set()
    factors = tuned.rate_factors()
    assert factors.keys() == {name for name, _ in tuned.model.named_parameters() if ".elmo.bilm." in name}
    assert set(factors.values()) == {0.1, 0.05, 0.025}


def test_layers_thaw_as_training_goes_on(data: Data) -> None:
    tuning = {**FINE_TUNING, "trainable": True, "unfreeze_every": 1.0}
    training = data.start(encoder=BILM, fine_tuning=tuning)
    batches = training.batches()
    learning = []
    for _ in range(11):
        training.loss(next(batches))
        named = training.model.representation.named_parameters()
        learning.append(sum(parameter.requires_grad for name, parameter in named if ".bilm." in name))
    assert learning[0] < learning[5] < learning[10]


def test_the_bilm_within_a_task_s_model_embeds_and_starts_another(tmp_path: Path, data: Data) -> None:
    concat = {"type": "concat", "parts": {"words": WORD, "elmo": BILM}}
    training = TextClassificationTask(**TASK).start(data.setup(encoder=concat))
    training.reports.save_model(tmp_path / "model")
    (vectors,) = ElmoEmbedder(tmp_path / "model").embed_batch([["the", "sun"]])
    expected = training.encoder.parts["elmo"]([["the", "sun"]])[:, 0]
    np.testing.assert_allclose(vectors, expected.detach().numpy(), atol=1e-6)
    words_alone = TextClassificationTask(**TASK).start(data.setup())
    words_alone.reports.save_model(tmp_path / "words")
    with pytest.raises(InputError, match="a model of task text_classification without a biLM"):
        ElmoEmbedder(tmp_path / "words")


def test_a_fine_tuned_model_is_saved_whole(tmp_path: Path) -> None:
    data = Data(tmp_path)
    training = train(
        data.start(encoder=BILM, fine_tuning={**FINE_TUNING, "trainable": True}), 3, learning_rate=0.05
    )
    figures = of_test(training.reports.conclude())
    training.reports.save_model(tmp_path / "model")
    task, saved, setup = data.load(tmp_path / "model")
    found = task.evaluate(saved, setup, with_baselines=True, name="model")
    assert found == pytest.approx(figures, rel=1e-4, abs=1e-5)


ONE = [("a", "x"), ("b", "y")]
SCORES = [("a", str(i / 2)) for i in range(-1, 39)]
IDS = [("a", f"id{i:02}") for i in range(40)]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            [ONE, ONE, [("c", "z")]],
            r"test\.csv:2: label 'z' of the test split does not occur in the training texts; one of",
        ),
        ([ONE, [("c", "Y")], ONE], r"dev\.csv:2: label 'Y' of the dev split .*nearest: y"),
        ([[("a", "x"), ("b", "x")], ONE, ONE], r"data: the training texts have only the label 'x'"),
        (
            [SCORES, ONE, ONE],
            r"40 different labels, numbers from -0\.5 to 19: they are scores, .*task=relatedness",
        ),
        (
            [IDS, ONE, ONE],
            r"40 texts have 40 different labels, such as 'id00', .*is data\.label_column",
        ),
    ],
)
def test_a_fault_of_the_labels_is_one_line(
    tmp_path: Path, splits: Sequence[Sequence[Row]], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Data(tmp_path, splits).start()
    assert "\n" not in str(caught.value)


def test_a_label_that_only_training_texts_have_is_told(tmp_path: Path) -> None:
    training = Data(tmp_path, [[*ONE, ("c", "z")], ONE, ONE]).start()
    assert training.reports.facts()["test labels without a text"] == "z"
    assert training.reports.conclude()["test/texts"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": {"window_words": 0}}, r"task\.window_words: expected at least 1"),
        ({"task": {"max_words": 0}}, r"task\.max_words: expected at least 1"),
        ({"task": {"label_smoothing": 1.0}}, r"task\.label_smoothing: "),
        ({"task": {"threshold": 0.0}}, r"task\.threshold: "),
        ({"task": {"injection": "output"}}, r"task\.injection: output leaves the head"),
        ({"head": {"type": "cnn", "num_words": 4, "width": 1}}, r"task\.window_words: expected at most 4"),
        ({"encoder": {"type": "elmo"}}, r"encoder\.type: elmo .* init_from"),
    ],
)
def test_values_that_disagree_are_told_before_data_is_read(
    data: Data, changes: dict[str, Any], message: str
) -> None:
    changes = {"encoder": BILM} | changes
    setup = data.setup(**changes)
    with pytest.raises(InputError, match=message):
        REGISTRY.build("task", setup.nodes["task"]).check(setup)


def test_data_without_labels_and_a_head_for_answers_are_refused(data: Data) -> None:
    task: TextClassificationTask = REGISTRY.build("task", {"type": "text_classification", **TASK})
    setup = data.setup()
    text = {"type": "text", "train": str(data.path / "train.csv")}
    with pytest.raises(InputError, match=r"data\.type: text has no labelled texts"):
        task.check(replace(setup, nodes={**setup.nodes, "data": text}))
    with pytest.raises(InputError, match=r"head: missing"):
        task.check(replace(setup, nodes={k: v for k, v in setup.nodes.items() if k != "head"}))


def command_run(data: Data, name: str, *overrides: str) -> Path:
    """A run of the training command; its directory."""
    files = [f"data.{split}={data.node[split]}" for split in SPLITS]
    options = [
        "task=text_classification",
        "data=labelled_files",
        "encoder.size=8",
        "trainer.max_epochs=null",
        "trainer.max_minutes=null",
        "trainer.metric=dev/accuracy",
        "trainer.metric_goal=maximize",
        "trainer.evaluate_every=2",
        "trainer.num_threads=1",
        "logger=none",
        "logger.progress=none",
        f"cache_dir={data.path / 'cache'}",
    ]
    directory = data.path / name
    arguments = [*options, *files, f"output_dir={directory}", *overrides]
    assert run_command(train_command.main, config_name="train", arguments=arguments) == 0
    return directory


def test_a_run_is_trained_resumed_and_scored_from_the_command_line(tmp_path: Path) -> None:
    data = Data(tmp_path)
    # Both runs are evaluated at the same steps: a score more could choose another best model.
    options = ["trainer.evaluate_every=3", "schedule=constant"]
    straight = command_run(data, "straight", "trainer.max_steps=6", *options)
    resumed = command_run(data, "resumed", "trainer.max_steps=3", *options)
    arguments = [f"resume={resumed}", "trainer.max_steps=6"]
    assert run_command(train_command.main, config_name="train", arguments=arguments) == 0
    weights = [load_file(run / "model" / "model.safetensors") for run in (straight, resumed)]
    torch.testing.assert_close(*weights, rtol=0, atol=0)

    scored = tmp_path / "scores.json"
    arguments = [f"run={straight}", f"output={scored}", "num_threads=1", "progress=none"]
    assert run_command(evaluate_command.main, config_name="evaluate", arguments=arguments) == 0
    figures = json.loads((straight / "metrics.json").read_text())
    found = json.loads(scored.read_text())
    assert found == pytest.approx({name: figures[name] for name in found}, abs=1e-6)
