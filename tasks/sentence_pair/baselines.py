"""Baselines: the most frequent label, the second sides alone, and the words that both sides have.

Shape legend: N pairs, V labels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.sentence_pair.examples import PairExamples
from tasks.text_classification.baselines import most_frequent_labels, naive_bayes_labels
from tasks.text_classification.scores import accuracy

_BINS = 10  # of the overlap, equal in width


def label_baselines(
    train: PairExamples, train_NV: Tensor, examples: PairExamples, gold_NV: Tensor
) -> dict[str, float]:
    """Accuracies in percent of rules that are learned from training pairs.

    `majority` is the most frequent label; `second_side` naive Bayes on the words of the second sides alone,
    which shows how much the annotators' ways of writing give away (Gururangan et al. 2018); `overlap` the
    most frequent label of training pairs with about as many words in common.

    Args:
        train, examples: the pairs.
        train_NV, gold_NV: bool, their gold labels.
    """
    second_sides = naive_bayes_labels(
        (second for _, second in train.sides()),
        train_NV,
        (second for _, second in examples.sides()),
        multi_label=False,
    )
    return {
        "majority_accuracy": accuracy(most_frequent_labels(train_NV).expand_as(gold_NV), gold_NV),
        "second_side_accuracy": accuracy(second_sides, gold_NV),
        "overlap_accuracy": accuracy(_of_similar_overlap(train, train_NV, examples), gold_NV),
    }


def overlaps(examples: PairExamples) -> np.ndarray:
    """(N,) the Jaccard similarity of each pair's sides as sets of lower-cased words, from 0 to 1."""
    found = []
    for first, second in examples.sides():
        first_set, second_set = ({word.casefold() for word in side} for side in (first, second))
        found.append(len(first_set & second_set) / len(first_set | second_set))
    return np.array(found)


def _of_similar_overlap(train: PairExamples, train_NV: Tensor, examples: PairExamples) -> Tensor:
    """(N, V) bool: the most frequent label of training pairs in the same bin of the overlap.

    Bins without training pairs have the most frequent label of all.
    """
    counts_KV = train_NV.sum(dim=0).double().expand(_BINS, -1) * 1e-9  # decides where there is nothing else
    counts_KV = counts_KV.clone().index_add_(0, torch.from_numpy(_bins(train)), train_NV.double())
    labels_K = counts_KV.argmax(dim=1)
    return F.one_hot(labels_K[torch.from_numpy(_bins(examples))], train_NV.shape[1]).bool()


def _bins(examples: PairExamples) -> np.ndarray:
    return np.minimum(overlaps(examples) * _BINS, _BINS - 1).astype(np.int64)
