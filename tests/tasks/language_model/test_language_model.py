"""The biLM as a whole: what is saved is what is loaded, and its perplexity is that of its probabilities."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from elmo.errors import InputError
from elmo.io.model_directory import read_model, save_model
from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import MARKERS, Vocabulary
from tasks.language_model.batching.stream import StreamBatching
from tasks.language_model.model import (
    Batch,
    BatchBuilder,
    LanguageModel,
    build_model,
    load_language_model,
    perplexities,
)

WORDS = ["the", "cat", "sat", "naïve", "猫"]
NODES = {
    "task": {"type": "language_model", "loss_scale": 1.0},
    "encoder": {
        "type": "char_cnn_lstm",
        "character_embedding_size": 3,
        "filters": [[1, 4], [2, 5]],
        "num_highways": 1,
        "activation": "relu",
        "cell_size": 7,
        "projection_size": 6,
        "num_layers": 2,
        "cell_clip": 3.0,
        "projection_clip": 3.0,
        "skip_connected": True,
        "dropout": 0.3,
    },
    "softmax": {"type": "full"},
    "tokenizer": {"type": "whitespace"},
    "batching": {"type": "sentences", "num_steps": 5},
}


class Corpus:
    """Three sentences over `WORDS`; types are numbered behind the two markers."""

    types = TypeTable.from_words(WORDS)
    sentences = ([2, 3, 4], [5], [6, 2, 3, 3])
    num_sentences, num_tokens = 3, 8

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.sentences[start:stop]
        offsets = np.cumsum([0, *map(len, chosen)])
        return np.array([i for s in chosen for i in s], dtype=np.int32), offsets


REGISTRY.discover("elmo.bilm.softmaxes")
VOCABULARY = Vocabulary([*MARKERS, "the", "cat", "sat"])


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(1)
    return build_model(NODES, num_types=len(VOCABULARY))


def dev_batches(model: LanguageModel) -> list[Batch]:
    target_ids = VOCABULARY.ids_of(Corpus.types)
    builder = BatchBuilder(types=Corpus.types, target_ids=target_ids, words=model.encoder.words)
    return list(StreamBatching(num_steps=3, batch_size=2).evaluation_batches(Corpus(), builder))


def test_a_saved_model_gives_the_same_vectors_and_probabilities(tmp_path: Path, model: LanguageModel) -> None:
    save_model(tmp_path / "model", config={"batch_size": 2, **NODES}, model=model, vocabulary=VOCABULARY)

    loaded, _ = load_language_model(read_model(tmp_path / "model"), name="model")

    model.eval()
    (batch, *_) = dev_batches(model)
    for ours, theirs in zip(
        model.encoder.run_packed(batch.types_U, batch.inputs_DN, batch.batch_sizes)[0],
        loaded.encoder.run_packed(batch.types_U, batch.inputs_DN, batch.batch_sizes)[0],
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    assert torch.equal(model.log_probabilities(batch, None)[0], loaded.log_probabilities(batch, None)[0])


def test_perplexity_is_that_of_every_prediction_with_state_carried_and_dropout_off(
    model: LanguageModel,
) -> None:
    figures = perplexities(model, iter(dev_batches(model)), device=torch.device("cpu"))

    model.eval()
    logs: list[list[float]] = [[], []]
    # the third sentence follows the second, whose row ends first
    for row in ([[2, 3, 4]], [[5], [6, 2, 3, 3]]):
        for direction in (0, 1):
            steps = []
            for sentence in row:
                marked = [0, *sentence, 1][:: 1 - 2 * direction]
                steps += list(pairwise(marked))
            logs[direction] += run_one_row(model, steps, direction)
    forward, backward = (-sum(direction) / 11 for direction in logs)
    assert figures["dev/predictions"] == 11  # eight words and three ends of sentences
    assert figures["dev/forward_perplexity"] == pytest.approx(math.exp(forward), rel=1e-5)
    assert figures["dev/backward_perplexity"] == pytest.approx(math.exp(backward), rel=1e-5)
    assert figures["dev/perplexity"] == pytest.approx(math.exp((forward + backward) / 2), rel=1e-5)


def run_one_row(model: LanguageModel, steps: list[tuple[int, int]], direction: int) -> list[float]:
    """The log-probabilities of a row of (input, target) types, computed in one go over the whole row."""
    inputs, targets = (torch.tensor(column) for column in zip(*steps, strict=True))
    characters = torch.from_numpy(Corpus.types.characters(np.arange(len(Corpus.types))))
    target_ids = torch.from_numpy(VOCABULARY.ids_of(Corpus.types).astype(np.int64))[targets]
    layers, _ = model.encoder.run_packed(characters, inputs.expand(2, -1), [1] * len(steps))
    logs = model.softmax.log_probabilities(layers[-1], target_ids.expand(2, -1))
    return logs[direction].tolist()


def test_weights_of_another_size_are_told(tmp_path: Path, model: LanguageModel) -> None:
    config = {"batch_size": 2, **NODES, "encoder": {**NODES["encoder"], "cell_size": 8}}
    save_model(tmp_path / "model", config=config, model=model, vocabulary=VOCABULARY)

    with pytest.raises(InputError, match=r"has shape .* the configured model expects"):
        load_language_model(read_model(tmp_path / "model"), name="model")


def test_a_batch_is_described_by_its_first_words(model: LanguageModel) -> None:
    builder = BatchBuilder(types=Corpus.types, target_ids=np.zeros(9, int), words=model.encoder.words)
    ids = np.array([[0, 5, 6, 1], [1, 6, 5, 0]])
    assert builder.build(ids, ids, [1, 1, 1, 1], carried=False).first_types.tolist() == [0, 5, 6, 1]
