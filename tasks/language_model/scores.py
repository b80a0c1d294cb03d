"""How likely a language model finds a text: perplexities, and the probability of each word of a sentence.

Shape legend: B sentences, T predictions of the longest one, D = 2 directions, N packed tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from elmo.bilm.bilstm import Packing
from elmo.text.characters import BEGIN_TYPE, END_TYPE, NUM_MARKERS, TypeTable
from elmo.text.vocabulary import UNKNOWN_ID, Vocabulary
from tasks.language_model.model import BatchBuilder, LanguageModel


class SentenceScore(NamedTuple):
    """Natural logarithms of probabilities, each of n words and of the marker that ends the reading.

    Attributes:
        forward: (n + 1,) of the words in order, each given those before it, and of `</S>`.
        backward: (n + 1,) of `<S>`, and of the words in order, each given those behind it.
        unknown: for each word, whether the vocabulary lacks it: its probability is that of `<UNK>`.
    """

    forward: np.ndarray
    backward: np.ndarray
    unknown: list[bool]


def score_sentences(
    model: LanguageModel,
    vocabulary: Vocabulary,
    sentences: Sequence[Sequence[str]],
    *,
    tokens_per_batch: int,
    device: torch.device,
) -> list[SentenceScore]:
    """The scores of some sentences in order, each from the model's start state, whatever the others are.

    Args:
        model: in evaluation mode, on `device`.
        vocabulary: of the model's softmax.
        sentences: the words of each.
        tokens_per_batch: predictions in each direction that are computed at once; a longer sentence is alone.
        device: of the model.
    """
    words = dict.fromkeys(chain.from_iterable(sentences))
    type_of = {word: index for index, word in enumerate(words, start=NUM_MARKERS)}
    types = TypeTable.from_words(words)
    target_ids = vocabulary.ids_of(types)
    builder = BatchBuilder(types=types, target_ids=target_ids, widest_filter=model.encoder.widest_filter)
    marked = [[BEGIN_TYPE, *(type_of[word] for word in sentence), END_TYPE] for sentence in sentences]
    logs: dict[int, np.ndarray] = {}
    for group in _groups(marked, tokens_per_batch):
        for index, scored in zip(
            group, _score(model, builder, [marked[i] for i in group], device), strict=True
        ):
            logs[index] = scored
    return [
        SentenceScore(logs[index][0], logs[index][1], (target_ids[ids[1:-1]] == UNKNOWN_ID).tolist())
        for index, ids in enumerate(marked)
    ]


def _groups(marked: Sequence[Sequence[int]], tokens_per_batch: int) -> Iterator[list[int]]:
    """Positions of sentences of similar length that fit into a batch together."""
    group: list[int] = []
    room = tokens_per_batch
    for index in sorted(range(len(marked)), key=lambda index: -len(marked[index])):
        length = len(marked[index]) - 1
        if group and length > room:
            yield group
            group, room = [], tokens_per_batch
        group.append(index)
        room -= length
    if group:
        yield group


def _score(
    model: LanguageModel, builder: BatchBuilder, marked: Sequence[Sequence[int]], device: torch.device
) -> Iterator[np.ndarray]:
    """For each sentence (2, n + 1): forward and backward logarithms, both in the text's order."""
    lengths = torch.tensor([len(ids) - 1 for ids in marked])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in marked], batch_first=True)
    packing = Packing(lengths)
    # Without its last token a sentence is what is read forward, and what is to be predicted backward.
    without_last, without_first = packing.pack(padded[:, :-1]), packing.pack(padded[:, 1:])
    inputs = torch.stack([without_last[0], without_first[1]])
    targets = torch.stack([without_first[0], without_last[1]])
    batch = builder.build(inputs.numpy(), targets.numpy(), packing.batch_sizes, carried=False)
    logs_DN: Tensor = model.log_probabilities(batch.to(device), model.start_state(batch.batch_sizes[0]))[
        0
    ].cpu()
    logs_BTD = packing.unpack(logs_DN[..., None]).numpy()
    for row, length in enumerate(lengths.tolist()):
        yield logs_BTD[row, :length].T
