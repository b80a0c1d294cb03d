"""The log-probability of each word of a sentence under a language model, in both directions.

Shape legend: D = 2 directions, N packed tokens, M predictions of all sentences, concatenated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from elmo.bilm.packing import bucket_by_length
from elmo.text.characters import TypeTable, number_words
from elmo.text.vocabulary import UNKNOWN_ID, Vocabulary
from tasks.language_model.batching.sentences import batch_of_sentences
from tasks.language_model.model import BatchBuilder, LanguageModel


class SentenceScore(NamedTuple):
    """Natural logarithms of the probabilities of a sentence's n words and its last marker, in each direction.

    Attributes:
        forward: (n + 1,) for the words in order, each given the words before it, then for `</S>`.
        backward: (n + 1,) for `<S>`, then for the words in order, each given the words after it.
        unknown: for each word, whether it is not in the vocabulary: its probability is that of `<UNK>`.
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
    """The scores of sentences, in order; each starts from the model's start state, independent of the others.

    Args:
        model: in evaluation mode, on `device`.
        vocabulary: of the model's softmax.
        sentences: the words of each sentence.
        tokens_per_batch: number of predictions per direction that are computed at once; a longer sentence is
            computed alone.
        device: of the model.
    """
    numbered = number_words(sentences)
    types = TypeTable.from_words(numbered.words)
    target_ids = vocabulary.ids_of(types)
    builder = BatchBuilder(types=types, target_ids=target_ids, words=model.encoder.words)
    ids = np.split(numbered.type_ids, np.cumsum(numbered.lengths)[:-1])
    logs: dict[int, np.ndarray] = {}
    for bucket in bucket_by_length(numbered.lengths + 1, tokens_per_batch):
        batch, packing = batch_of_sentences([ids[index] for index in bucket], builder)
        logs_DN = model.log_probabilities(batch.to(device), None)[0].cpu()
        logs_MD = packing.unpack(logs_DN[..., None]).numpy()
        lengths = numbered.lengths[bucket] + 1
        logs |= zip(bucket, np.split(logs_MD, np.cumsum(lengths)[:-1]), strict=True)
    return [
        SentenceScore(logs[index][:, 0], logs[index][:, 1], (target_ids[words] == UNKNOWN_ID).tolist())
        for index, words in enumerate(ids)
    ]
