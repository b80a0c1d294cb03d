"""A pretrained biLM as the encoder of a task: the vectors of all its layers, for the words of sentences.

Shape legend: L layers with the context-free one as layer 0, S sentences, T words of the longest one,
P projection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from elmo.bilm.word_lstm import WordLstm
from elmo.errors import InputError
from elmo.inference.layer_choice import LayerChoice
from elmo.inference.runner import SentenceRunner
from elmo.inference.sentence_batch import SentenceBatch
from elmo.inference.start_state import ZeroState
from elmo.io.loading import Encoder
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary
from tasks.encoders.token_encoder import TokenEncoder

_TOKENS_PER_BATCH = 4096  # that a frozen biLM computes at once
_REMEMBERED_WORDS = 1 << 15


@REGISTRY.register("encoder", "elmo")
class ElmoEncoder(TokenEncoder):
    """The layers of a biLM, which comes with its sizes and weights by `take`.

    Every sentence stands between its markers, starts from a zero state and is on its own. As in the original,
    the biLM's own dropout stays off, also where it is trained. While none of its parameters requires a
    gradient, it runs without one, with weights laid out for it and the vectors of words remembered.
    """

    is_contextual = True

    def __init__(self) -> None:
        super().__init__()
        self.bilm: Encoder | None = None
        self._runner: SentenceRunner | None = None
        self._runner_key: tuple[tuple[int, int], ...] = ()
        self._word_node: Mapping[str, Any] = {}

    @classmethod
    def of_words(cls, node: Mapping[str, Any]) -> ElmoEncoder:
        """For the node of a biLM that reads whole words: `restore_words` builds it."""
        encoder = cls()
        encoder._word_node = node
        return encoder

    def take(self, bilm: Encoder) -> None:
        """Use this biLM.

        Raises:
            InputError: there is one already, from the config, and this one has another size.
        """
        if self.bilm is not None:
            _check_same(bilm_node(self.bilm), bilm_node(bilm))
        self.bilm = bilm.eval()
        self.num_layers, self.size = bilm.num_layers, 2 * bilm.projection_size

    def check(self) -> None:
        if self.bilm is None:
            raise InputError("encoder.type: elmo has the sizes and weights of a model; give init_from=RUN")

    def word_lists(self) -> dict[str, list[str]]:
        bilm = self._taken()
        return {"vocabulary": bilm.vocabulary.words} if isinstance(bilm, WordLstm) else {}

    def restore_words(self, lists: Mapping[str, Sequence[str]]) -> None:
        if self._word_node:
            self.take(REGISTRY.build("encoder", self._word_node, vocabulary=Vocabulary(lists["vocabulary"])))

    def saved_node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        return bilm_node(self._taken())

    def layer_groups(self) -> list[list[str]]:
        """The names of the parameters of each layer, from the context-free one up."""
        groups: list[list[str]] = [[] for _ in range(self.num_layers)]
        for name, _ in self.named_parameters():
            of_lstm = name.removeprefix("bilm.bilstm.layers.")
            groups[0 if of_lstm == name else int(of_lstm.partition(".")[0]) + 1].append(name)
        return groups

    def train(self, mode: bool = True) -> ElmoEncoder:
        """The biLM stays in evaluation mode."""
        super().train(mode)
        if self.bilm is not None:
            self.bilm.eval()
        return self

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        bilm = self._taken()
        if not any(parameter.requires_grad for parameter in bilm.parameters()):
            return self._run_frozen(bilm, sentences)
        batch = SentenceBatch.from_words(sentences, bilm)
        vectors = batch.run(bilm)[:, :, 1:-1]
        is_word = torch.arange(vectors.shape[2], device=vectors.device) < batch.lengths[:, None]
        return vectors.masked_fill(~is_word[..., None], 0.0)

    def _taken(self) -> Encoder:
        if self.bilm is None:
            raise RuntimeError("an ElmoEncoder is of no use before it has taken a biLM")
        return self.bilm

    def _run_frozen(self, bilm: Encoder, sentences: Sequence[Sequence[str]]) -> Tensor:
        start = ZeroState(bilm.bilstm)
        lengths = [len(sentence) for sentence in sentences]
        vectors = torch.zeros(self.num_layers, len(sentences), max(lengths, default=0), self.size)
        plans = start.plan_call(lengths, _TOKENS_PER_BATCH)
        choice = LayerChoice("all", self.num_layers)
        for index, layers in self._frozen_runner(bilm).run(sentences, plans, start, choice):
            vectors[:, index, : lengths[index]] = torch.from_numpy(layers)
        return vectors.to(next(bilm.parameters()).device)

    def _frozen_runner(self, bilm: Encoder) -> SentenceRunner:
        """A runner for the biLM's present weights."""
        key = tuple((parameter.data_ptr(), parameter._version) for parameter in bilm.parameters())
        if self._runner is None or self._runner_key != key:
            self._runner = SentenceRunner(
                bilm,
                dtype=torch.float32,
                max_tokens=_TOKENS_PER_BATCH,
                remembered_words=_REMEMBERED_WORDS,
            )
            self._runner_key = key
        return self._runner


def bilm_node(bilm: Encoder) -> dict[str, Any]:
    """The config node that a biLM of these sizes is built from."""
    layer = bilm.bilstm.lstm_layers()[0]
    lstm = {
        "cell_size": bilm.cell_size,
        "projection_size": bilm.projection_size,
        "num_layers": len(bilm.bilstm.layers),
        "cell_clip": layer.cell_clip,
        "projection_clip": layer.projection_clip,
        "skip_connected": bilm.bilstm.skip_connected,
    }
    if isinstance(bilm, WordLstm):
        return {"type": "word_lstm", **lstm}
    cnn = bilm.char_cnn
    return {
        "type": "char_cnn_lstm",
        "character_embedding_size": cnn.embedding.shape[1],
        "filters": [list(entry) for entry in cnn.filters],
        "num_highways": len(cnn.highways),
        "activation": cnn.activation,
        **lstm,
        "dropout": bilm.bilstm.dropout,
    }


def _check_same(configured: Mapping[str, Any], loaded: Mapping[str, Any]) -> None:
    for key in [key for key in configured if key != "dropout"]:  # which stays off
        if configured[key] != loaded.get(key):
            raise InputError(
                f"encoder.{key}: {configured[key]}, but init_from has {loaded.get(key)}; "
                "with encoder=elmo it is the model's own"
            )
