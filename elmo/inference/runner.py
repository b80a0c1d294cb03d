"""An encoder at work on sentences: distinct words, packed batches, pieces of bounded size, arrays out.

Shape legend: L layers, M words, D = 2 directions, N packed tokens, U distinct types, P projection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from elmo.bilm.packing import PackedBatch
from elmo.inference.layer_choice import LayerChoice
from elmo.inference.no_gradient_lstm import InferenceStack
from elmo.inference.start_state import BatchPlan, StartState
from elmo.inference.word_cache import WordVectors
from elmo.io.loading import Encoder
from elmo.text.characters import NUM_MARKERS


class SentenceRunner:
    """Runs planned batches of sentences through an encoder, without a graph.

    Args:
        encoder: on its device; its parameters do not change any more.
        dtype: float32 or bfloat16, of the matrix products.
        max_tokens: packed tokens that go through the layers at once; longer batches go in pieces.
        remembered_words: distinct words whose context-free vectors are kept.
        weights_given_up: the encoder's LSTM layers lose their matrices, which the runner has copies of.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        dtype: torch.dtype,
        max_tokens: int,
        remembered_words: int,
        weights_given_up: bool = False,
    ) -> None:
        self._stack = InferenceStack(encoder.bilstm, dtype=dtype, weights_given_up=weights_given_up)
        self._max_tokens = max_tokens
        self._device = next(encoder.parameters()).device
        self._word_vectors = WordVectors(encoder, capacity=remembered_words, dtype=dtype)

    def run(
        self,
        sentences: Sequence[Sequence[str]],
        plans: Iterable[BatchPlan],
        start: StartState,
        choice: LayerChoice,
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Each planned sentence's index and vectors, (words, 2 P) or (L, words, 2 P), in the plans' order."""
        words = dict.fromkeys(word for sentence in sentences for word in sentence)
        type_of = {word: type_id for type_id, word in enumerate(words, start=NUM_MARKERS)}
        vectors_UP = self._word_vectors(list(words))
        for plan in plans:
            batch = PackedBatch(
                [np.array([type_of[word] for word in sentences[index]]) for index in plan.sentences]
            )
            mixed = self._run_batch(vectors_UP, batch, start, plan.rows, choice)
            arrays = [batch.words(layer).float().cpu().numpy() for layer in mixed]
            offset = 0
            for index in plan.sentences:
                stop = offset + len(sentences[index])
                own = [array[offset:stop] for array in arrays]  # copied: a view would keep the whole batch
                yield index, np.stack(own) if choice.stacked else own[0].copy()
                offset = stop

    def _run_batch(
        self,
        vectors_UP: Tensor,
        batch: PackedBatch,
        start: StartState,
        rows: Sequence[int],
        choice: LayerChoice,
    ) -> list[Tensor]:
        """The chosen layers of a batch, each (2, N, P)."""
        row_of = torch.from_numpy(batch.row_of).to(self._device)
        sentence_at = row_of.argsort()
        state = [(h[:, sentence_at], c[:, sentence_at]) for h, c in start.before(rows)]
        ids_DN = batch.ids_DN.to(self._device)
        pieces = []
        for span, sizes in batch.spans(self._max_tokens):
            alive = [(h[:, : sizes[0]], c[:, : sizes[0]]) for h, c in state]
            with torch.no_grad():
                layers, after = self._stack.run_packed(vectors_UP, ids_DN[:, span], sizes, alive)
            pieces.append(choice.combine(layers))
            for (h, c), (h_after, c_after) in zip(state, after, strict=True):
                h[:, : sizes[0]], c[:, : sizes[0]] = h_after, c_after
        start.keep(rows, [(h[:, row_of], c[:, row_of]) for h, c in state])
        return (
            pieces[0]
            if len(pieces) == 1
            else [torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True)]
        )
