"""Runs a biLM on sentences without a gradient: distinct words, packed batches, pieces of bounded size.

Shape legend: L layers, M words, D = 2 directions, N packed tokens, P projection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from elmo.bilm.bilm import BiLm, State
from elmo.bilm.packing import Packing, bucket_by_length
from elmo.inference.no_gradient_lstm import layers_without_gradient
from elmo.inference.word_cache import WordCache
from elmo.text.characters import NUM_MARKERS, add_markers, number_words


class BatchPlan(NamedTuple):
    """The indices of sentences to run in one batch, and the row of the state that each one uses."""

    sentences: list[int]
    rows: list[int]


class StartState(Protocol):
    """Supplies the initial state of a batch's rows and receives their last state."""

    def before(self, rows: Sequence[int]) -> State:
        """The initial state of these rows, in new tensors."""
        ...

    def keep(self, rows: Sequence[int], after: State) -> None:
        """Receive the state of these rows after the batch."""
        ...


class Layers(Protocol):
    """Selects or combines the layers of a batch."""

    def combine(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of all layers -> the tensors to return."""
        ...


class SentenceRunner:
    """Runs batches of sentences through a biLM.

    Args:
        bilm: on its device; its parameters must not change any more.
        dtype: float32 or bfloat16, of the matrix products.
        max_tokens: number of packed tokens that go through the layers at once. Longer batches are split,
            except for a biLM without a state, which needs whole sentences.
        cached_words: capacity of the LRU cache of word vectors.
        release_weights: delete the biLM's matrices that the runner has copied, to keep only one copy.
    """

    def __init__(
        self,
        bilm: BiLm,
        *,
        dtype: torch.dtype,
        max_tokens: int,
        cached_words: int,
        release_weights: bool = False,
    ) -> None:
        self._bilm = bilm
        self._context = layers_without_gradient(bilm.context, dtype=dtype, release_weights=release_weights)
        self._max_tokens = max_tokens
        self._device = next(bilm.parameters()).device
        self._words = WordCache(bilm, capacity=cached_words, dtype=dtype)

    def run(
        self,
        sentences: Sequence[Sequence[str]],
        *,
        plans: Iterable[BatchPlan] | None = None,
        start: StartState | None = None,
        layers: Layers | None = None,
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The index of each planned sentence and its vectors, (words, 2 P) for each returned layer.

        Args:
            sentences: the words of each sentence.
            plans: the batches; every sentence in them has at least one word. None: batches of similar
                lengths.
            start: initial states; None: every sentence starts from the biLM's own start state.
            layers: selects or combines the layers; None: all layers are returned.
        """
        numbered = number_words(sentences)
        vectors_UP = self._words(numbered.words)
        offsets = np.cumsum(numbered.lengths) - numbered.lengths
        for plan in plan_by_length(numbered.lengths, self._max_tokens) if plans is None else plans:
            lengths = numbered.lengths[plan.sentences]
            starts = offsets[plan.sentences]
            ids = [numbered.type_ids[a : a + n] for a, n in zip(starts, lengths, strict=True)]
            marked_M = add_markers(np.concatenate(ids), lengths)
            packing = Packing(lengths + NUM_MARKERS, self._device)
            batch = self._run_batch(vectors_UP, marked_M, packing, start, plan.rows, layers)
            arrays = [packing.unpack(layer, inner=True).float().cpu().numpy() for layer in batch]
            bounds = np.cumsum(lengths)
            for index, begin, end in zip(plan.sentences, bounds - lengths, bounds, strict=True):
                # copied: a view would keep the arrays of the whole batch in memory
                yield index, [array[begin:end].copy() for array in arrays]

    def _run_batch(
        self,
        vectors_UP: Tensor,
        marked_M: np.ndarray,
        packing: Packing,
        start: StartState | None,
        rows: Sequence[int],
        layers: Layers | None,
    ) -> list[Tensor]:
        """The returned layers of a batch, each (2, N, P)."""
        before = self._bilm.start_state(len(rows)) if start is None else start.before(rows)
        state = [part[:, packing.order] for part in before]  # copies, as pieces change them in place
        ids_DN = packing.pack(torch.from_numpy(marked_M).to(self._device))
        pieces = []
        for span, sizes in packing.spans(self._max_tokens if self._bilm.carries_state else None):
            alive = [part[:, : sizes[0]] for part in state]
            with torch.no_grad():
                outputs, after = self._context(vectors_UP, ids_DN[:, span], sizes, alive)
            pieces.append(outputs if layers is None else layers.combine(outputs))
            for part, part_after in zip(state, after, strict=True):
                part[:, : sizes[0]] = part_after
        if start is not None:
            start.keep(rows, [part[:, packing.row_of] for part in state])
        if len(pieces) == 1:
            return list(pieces[0])
        return [torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True)]


def plan_by_length(lengths: Sequence[int] | np.ndarray, max_tokens: int) -> list[BatchPlan]:
    """Bucketing: batches of sentences of similar length, from their lengths in words, without empty ones."""
    lengths = np.asarray(lengths, dtype=np.int64)
    with_words = np.flatnonzero(lengths)
    buckets = bucket_by_length(lengths[with_words] + NUM_MARKERS, max_tokens)
    return [BatchPlan(with_words[bucket].tolist(), list(range(len(bucket)))) for bucket in buckets]
