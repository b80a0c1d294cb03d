"""A pretrained biLM as a task's encoder: the vectors of all its layers.

Shape legend: L layers with the context-free one as layer 0, S sentences, T words of the longest one,
P projection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from elmo.bilm.bilm import BiLm, build_bilm
from elmo.errors import InputError
from elmo.inference.runner import BatchPlan, SentenceRunner
from elmo.inference.sentence_batch import SentenceBatch
from elmo.inference.start_state import CarriedState
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary
from tasks.encoders.token_encoder import TokenEncoder

State: TypeAlias = Literal["auto", "zero", "carried"]
_TOKENS_PER_BATCH = 4096  # tokens that a frozen biLM computes at once
_CACHED_WORDS = 1 << 15


@REGISTRY.register("encoder", "elmo")
class ElmoEncoder(TokenEncoder):
    """The layers of a biLM, which is set by `take`.

    Every sentence is read with its markers. As in the original, the biLM's own dropout stays off, even if it
    is trained. If none of its parameters requires a gradient, the faster code for inference is used.

    Args:
        state: of the context layers at the beginning of a sentence. `auto`: the biLM's own start state, which
            is the mean state of its training if that carried the state, and else zero. `zero`: zeros.
            `carried`: the state after the sentence before it in its text, or window; the first one has that
            of `auto`. It needs a biLM that is not trained.
    """

    is_contextual = True

    def __init__(self, *, state: State = "auto") -> None:
        super().__init__()
        self.state = state
        self.carries_state = state == "carried"
        self.bilm: BiLm | None = None
        self._runner: SentenceRunner | None = None
        self._runner_key: tuple[tuple[int, int], ...] = ()
        self._word_node: Mapping[str, Any] = {}

    @classmethod
    def of(cls, bilm: BiLm, *, state: State = "auto") -> ElmoEncoder:
        """The encoder of a biLM."""
        encoder = cls(state=state)
        encoder.take(bilm)
        return encoder

    @classmethod
    def of_words(cls, node: Mapping[str, Any], *, state: State = "auto") -> ElmoEncoder:
        """The encoder of a biLM that reads whole words; `restore_words` builds the biLM from this node."""
        encoder = cls(state=state)
        encoder._word_node = node
        return encoder

    def take(self, bilm: BiLm) -> None:
        """Use this biLM.

        Raises:
            InputError: the config already describes a biLM, and this one has other sizes; or it has no state
                to carry.
        """
        if self.bilm is not None:
            _check_same(self.bilm.node, bilm.node)
        if self.carries_state and not bilm.carries_state:
            raise InputError("encoder.state: carried, but this biLM has no state to carry; use auto")
        if self.state == "zero":
            bilm.reset_start_state()  # it is saved with the weights
        self.bilm = bilm.eval()
        self.num_layers, self.size = bilm.num_layers, 2 * bilm.projection_size

    def check(self) -> None:
        if self.bilm is None:
            raise InputError(
                "encoder.type: elmo takes its sizes and weights from a model; give init_from=RUN"
            )

    def word_lists(self) -> dict[str, list[str]]:
        vocabulary = self._taken().vocabulary
        return {} if vocabulary is None else {"vocabulary": vocabulary.words}

    def restore_words(self, lists: Mapping[str, Sequence[str]]) -> None:
        if self._word_node:
            self.take(build_bilm(self._word_node, vocabulary=Vocabulary(lists["vocabulary"])))

    def saved_node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        node = self._taken().node
        return {**node, "state": self.state} if self.carries_state else node

    def layer_groups(self) -> list[list[str]]:
        """The names of each layer's parameters, from the context-free layer up."""
        return [[f"bilm.{name}" for name in group] for group in self._taken().layer_groups()]

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

    def encode_texts(self, texts: Sequence[Sequence[Sequence[str]]]) -> Tensor:
        sentences = [sentence for text in texts for sentence in text]
        if not self.carries_state:
            vectors: Tensor = self(sentences)
            return vectors
        bilm = self._taken()
        return self._run_frozen(bilm, sentences, plans=_one_after_another(texts), start=CarriedState(bilm))

    def _taken(self) -> BiLm:
        if self.bilm is None:
            raise RuntimeError("an ElmoEncoder needs a biLM; call take first")
        return self.bilm

    def _run_frozen(
        self,
        bilm: BiLm,
        sentences: Sequence[Sequence[str]],
        *,
        plans: Sequence[BatchPlan] | None = None,
        start: CarriedState | None = None,
    ) -> Tensor:
        lengths = [len(sentence) for sentence in sentences]
        vectors = torch.zeros(self.num_layers, len(sentences), max(lengths, default=0), self.size)
        for index, layers in self._frozen_runner(bilm).run(sentences, plans=plans, start=start):
            vectors[:, index, : lengths[index]] = torch.from_numpy(np.stack(layers))
        return vectors.to(next(bilm.parameters()).device)

    def _frozen_runner(self, bilm: BiLm) -> SentenceRunner:
        """A runner with the biLM's current weights; it is rebuilt after they change."""
        key = tuple((parameter.data_ptr(), parameter._version) for parameter in bilm.parameters())
        if self._runner is None or self._runner_key != key:
            self._runner = SentenceRunner(
                bilm,
                dtype=torch.float32,
                max_tokens=_TOKENS_PER_BATCH,
                cached_words=_CACHED_WORDS,
            )
            self._runner_key = key
        return self._runner


def _one_after_another(texts: Sequence[Sequence[Sequence[str]]]) -> list[BatchPlan]:
    """A batch for the first sentences of all texts, one for the second ones, ...; a row for each text."""
    plans: list[BatchPlan] = []
    first = 0
    for row, text in enumerate(texts):
        for place, sentence in enumerate(text):
            if place == len(plans):
                plans.append(BatchPlan([], []))
            if sentence:
                plans[place].sentences.append(first + place)
                plans[place].rows.append(row)
        first += len(text)
    return [plan for plan in plans if plan.sentences]


def _check_same(configured: Mapping[str, Any], loaded: Mapping[str, Any]) -> None:
    for key in [key for key in configured if key != "dropout"]:  # the biLM's dropout stays off
        if key in loaded and configured[key] != loaded[key]:
            raise InputError(
                f"encoder.{key}: {configured[key]}, but init_from has {loaded[key]}; "
                "with encoder=elmo it is the model's own"
            )
