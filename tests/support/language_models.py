"""The training of a tiny biLM on a made-up text, without a config and without files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import MARKERS, Vocabulary
from tasks.language_model.model import LanguageModelTraining, build_model
from tasks.task import Setup

REGISTRY.discover("elmo.bilm", "tasks.language_model.batching")
WORDS = [f"{'naïve' * (i % 4)}w{i}" for i in range(60)]
ENCODER = {
    "type": "char_cnn_lstm",
    "character_embedding_size": 4,
    "filters": [[1, 6], [2, 6], [3, 4]],
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 10,
    "projection_size": 6,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.1,
}
SOFTMAXES: dict[str, dict[str, Any]] = {
    "full": {"type": "full"},
    "adaptive": {"type": "adaptive", "cutoffs": [10, 30], "shrink": 2.0},
    "sampled": {"type": "sampled", "num_samples": 12, "sparse": False},
    "sparse": {"type": "sampled", "num_samples": 12, "sparse": True},
}


class MadeUpCorpus:
    """Sentences of words whose counts follow Zipf's law; types are numbered behind the two markers."""

    types = TypeTable.from_words(WORDS)

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        shares = 1 / np.arange(1, len(WORDS) + 1)
        self.sentences = [
            rng.choice(len(WORDS), size=rng.integers(1, 9), p=shares / shares.sum()).astype(np.int32) + 2
            for _ in range(100)
        ]
        self.num_sentences, self.num_tokens = len(self.sentences), sum(map(len, self.sentences))

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.sentences[start:stop]
        return np.concatenate(chosen), np.cumsum([0, *map(len, chosen)])


def language_model_training(
    *,
    device: torch.device,
    softmax: str = "full",
    batching: str = "stream",
    encoder: Mapping[str, Any] = ENCODER,
    frozen_steps: int = 0,
) -> LanguageModelTraining:
    """A training of 4 x 5 tokens a batch; its weights are the same in each call."""
    nodes = {
        "encoder": encoder,
        "softmax": SOFTMAXES[softmax],
        "batching": {"type": batching, "num_steps": 5},
    }
    corpus: Any = MadeUpCorpus()
    vocabulary = Vocabulary([*MARKERS, *WORDS])
    torch.manual_seed(1)
    return LanguageModelTraining(
        setup=Setup(
            nodes=nodes,
            vocabulary={},
            batch_size=4,
            seed=2,
            device=device,
            cache_path=Path("never written"),
            report=mock.Mock(),
        ),
        model=build_model(nodes, num_types=len(vocabulary)),
        vocabulary=vocabulary,
        corpora={"train": corpus, "dev": corpus},
        loss_scale=2.0,
        frozen_steps=frozen_steps,
        reports=mock.Mock(),
    )


def optimizer_of(training: LanguageModelTraining) -> torch.optim.Optimizer:
    """One that takes the training's gradients, dense or sparse."""
    parameters = training.model.parameters()
    if training.model.softmax.has_sparse_gradient:
        torch.sparse.check_sparse_tensor_invariants.disable()  # as `set_up_process` does
        return torch.optim.Adagrad(parameters, lr=0.1)
    return torch.optim.AdamW(parameters, lr=0.01)
