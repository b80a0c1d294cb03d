"""A biLM that was trained on running rows is used from its own start state, by whatever uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import COMMON, STREAM, write_data
from tiny_runs import TEXTS as TEXT_OPTIONS

from elmo import Elmo, ElmoEmbedder
from elmo.bilm.bilm import BiLm
from elmo.inference.sentence_batch import SentenceBatch
from elmo.io.loading import load_bilm
from elmo.io.model_directory import read_model
from experiments import evaluate, train
from experiments.config.command import run_command
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.parts import initialize_parts
from tasks.language_model.model import load_language_model
from tasks.language_model.scores import score_sentences
from tasks.supervised.feature_store import encode_words

SENTENCES = [["w0", "w3"], ["w1"], ["w2", "w0", "unseen", "w4"]]


class Runs:
    """Language models of one text."""

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, write_data(path)

    def train(self, name: str, *overrides: str) -> Path:
        options = [option.format_map(self.files) if "{" in option else option for option in STREAM]
        places = [f"output_dir={self.path / name}", f"cache_dir={self.path / 'cache'}"]
        arguments = [*options, *COMMON, *places, "softmax=full", *overrides]
        assert run_command(train.main, config_name="train", arguments=arguments) == 0
        return self.path / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def stream(runs: Runs) -> Path:
    """A model of running rows, whose start state is far from zeros."""
    return runs.train("stream", "optimizer.learning_rate=0.1")


@pytest.fixture(scope="module")
def bilm(stream: Path) -> BiLm:
    return load_bilm(stream).bilm


def expected_from(bilm: BiLm, state: list[torch.Tensor]) -> list[np.ndarray]:
    """(L, words, 2 P) of each sentence, by itself, from a state of one row."""
    found = []
    for words in SENTENCES:
        batch = SentenceBatch.from_words([words], bilm)
        with torch.no_grad():
            layers = bilm(batch.types, batch.ids_BT, batch.lengths + 2, state)[0]
        found.append(layers[:, 0, 1:-1].numpy())
    return found


def assert_all_near(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_start_state_is_that_of_the_rows_at_the_last_evaluation(bilm: BiLm) -> None:
    assert bilm.has_own_start and [part.shape for part in bilm.start_state(3)] == [(2, 3, 8), (2, 3, 16)] * 2
    zeros = expected_from(bilm, bilm.context.zero_state(1))
    assert not np.allclose(zeros[0][1:], expected_from(bilm, bilm.start_state(1))[0][1:], atol=1e-3)


def test_sentences_are_embedded_from_it(stream: Path, bilm: BiLm) -> None:
    expected = expected_from(bilm, bilm.start_state(1))
    assert_all_near(ElmoEmbedder(stream).embed_batch(SENTENCES), expected)
    assert ElmoEmbedder(stream).metadata["start_state"] == "own"


def test_zeros_are_had_by_name(stream: Path, bilm: BiLm) -> None:
    expected = expected_from(bilm, bilm.context.zero_state(1))
    assert_all_near(ElmoEmbedder(stream, state="zero").embed_batch(SENTENCES), expected)


def test_a_carried_state_begins_with_it(stream: Path, bilm: BiLm) -> None:
    expected = expected_from(bilm, bilm.start_state(1))
    embedder = ElmoEmbedder(stream, state="carried")
    assert_all_near(embedder.embed_batch(SENTENCES), expected)
    assert not np.allclose(embedder.embed_batch(SENTENCES)[0], expected[0], atol=1e-5)
    embedder.forget()
    assert_all_near(embedder.embed_batch(SENTENCES), expected)


@pytest.mark.parametrize("trainable", [False, True])
def test_a_task_s_encoder_runs_from_it_frozen_or_fine_tuned(bilm: BiLm, trainable: bool) -> None:
    encoder = ElmoEncoder.of(bilm.requires_grad_(trainable))
    vectors = encoder(SENTENCES).detach().numpy()
    found = [vectors[:, row, : len(words)] for row, words in enumerate(SENTENCES)]
    assert_all_near(found, expected_from(bilm, bilm.start_state(1)))


def test_a_module_within_a_model_runs_from_it(stream: Path, bilm: BiLm) -> None:
    vectors = Elmo(stream, dropout=0.0)(SENTENCES)["elmo_representations"][0].detach().numpy()
    expected = [layers.mean(axis=0) for layers in expected_from(bilm, bilm.start_state(1))]
    assert_all_near([vectors[row, : len(words)] for row, words in enumerate(SENTENCES)], expected)


def test_sentences_are_scored_from_it(stream: Path) -> None:
    model, vocabulary = load_language_model(read_model(stream), name="stream")

    def scores() -> list[float]:
        found = score_sentences(
            model, vocabulary, SENTENCES, tokens_per_batch=100, device=torch.device("cpu")
        )
        return [float(score.forward.sum() + score.backward.sum()) for score in found]

    own = scores()
    model.encoder.reset_start_state()
    assert not np.allclose(own, scores(), rtol=1e-4)


@pytest.mark.parametrize("batching", ["stream", "sentences"])
def test_another_pretraining_starts_from_it(runs: Runs, stream: Path, batching: str) -> None:
    still = ["optimizer.learning_rate=1e-12", "trainer.max_steps=1", f"batching={batching}"]
    directory = runs.train(f"again_{batching}", f"init_from={stream}", *still)
    ours, theirs = (load_file(path / "model" / "model.safetensors") for path in (directory, stream))
    starts = [name for name in ours if ".start_" in name]
    assert len(starts) == 4
    if batching == "sentences":  # a stream goes on, and its rows' state with it
        assert all(torch.equal(ours[name], theirs[name]) for name in starts)
    assert all(ours[name].any() for name in starts)


def test_a_model_of_whole_sentences_starts_from_zeros(runs: Runs) -> None:
    directory = runs.train("sentences", "batching=sentences")
    assert not load_bilm(directory).bilm.has_own_start
    assert ElmoEmbedder(directory).metadata["start_state"] == "zero"


TEXTS = [[["w0", "w3"], [], ["w1"]], [["w2", "w0", "unseen", "w4"]], []]


def vectors_of(encoder: ElmoEncoder, texts: list[list[list[str]]] = TEXTS) -> list[np.ndarray]:
    """The vectors of each sentence with words."""
    sentences = [sentence for text in texts for sentence in text]
    vectors = encoder.encode_texts(texts).detach().numpy()
    return [vectors[:, row, : len(words)] for row, words in enumerate(sentences) if words]


def encoder_of(stream: Path, state: Literal["auto", "zero", "carried"]) -> ElmoEncoder:
    encoder = ElmoEncoder(state=state)
    initialize_parts({"elmo": encoder}, stream)
    return encoder.requires_grad_(False)  # type: ignore[return-value]


def test_a_tasks_encoder_starts_from_zeros_where_it_is_told_to(stream: Path, bilm: BiLm) -> None:
    expected = expected_from(bilm, bilm.context.zero_state(1))
    assert_all_near(vectors_of(encoder_of(stream, "zero"), [SENTENCES]), expected)


def test_a_tasks_encoder_carries_its_state_from_sentence_to_sentence_of_a_text(stream: Path) -> None:
    expected = []
    for text in TEXTS:
        embedder = ElmoEmbedder(stream, state="carried")  # each text begins anew
        expected += [embedder.embed_sentence(words) for words in text if words]
    assert_all_near(vectors_of(encoder_of(stream, "carried")), expected)
    assert not np.allclose(vectors_of(encoder_of(stream, "auto"))[1], expected[1], atol=1e-5)


def test_stored_vectors_are_carried_within_each_text_alone(stream: Path) -> None:
    encoder = encoder_of(stream, "carried")
    texts = [*TEXTS, *([[word, "w1"], ["w5"] * length] for length, word in enumerate(["w1", "w2", "w3"], 1))]
    expected = [encoder.encode_texts([text]) for text in texts]
    words = [
        vectors[:, row, : len(sentence)].swapaxes(0, 1)
        for text, vectors in zip(texts, expected, strict=True)
        for row, sentence in enumerate(text)
    ]
    np.testing.assert_allclose(encode_words(encoder, texts), np.concatenate(words), atol=1e-6)


def test_a_classifier_of_a_carried_state_predicts_as_it_was_scored(runs: Runs, stream: Path) -> None:
    run = runs.path / "carried"
    options = [option.format_map(runs.files) if "{" in option else option for option in TEXT_OPTIONS]
    arguments = [*options, *COMMON, f"output_dir={run}", f"cache_dir={runs.path / 'cache'}"]
    arguments += ["encoder=elmo", f"init_from={stream}", "trainer.max_steps=2", "encoder.state=carried"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 0
    node = read_model(run).config["encoder"]
    assert (node["state"], node["type"]) == ("carried", "char_cnn_lstm")
    figures = run / "again.json"
    again = [f"run={run}", f"output={figures}", f"cache_dir={runs.path / 'cache'}", "progress=none"]
    assert run_command(evaluate.main, config_name="evaluate", arguments=again) == 0
    (before, after) = (json.loads(path.read_text()) for path in (run / "metrics.json", figures))
    assert after["test/loss"] == pytest.approx(before["test/loss"], rel=1e-3)
    assert ElmoEmbedder(run).embed_sentence(["w0"]).shape == ElmoEmbedder(stream).embed_sentence(["w0"]).shape


def test_a_carried_state_and_fine_tuning_exclude_each_other(
    runs: Runs, stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [option.format_map(runs.files) if "{" in option else option for option in TEXT_OPTIONS]
    arguments = [*options, *COMMON, "encoder=elmo", f"init_from={stream}", "encoder.state=carried"]
    arguments += ["fine_tuning.trainable=true", f"output_dir={runs.path / 'no'}"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    assert capsys.readouterr().err.startswith("encoder.state: carried reads a text's sentences one after")
