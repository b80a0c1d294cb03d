"""Baselines: the most frequent label, and naive Bayes on word counts.

Shape legend: N texts, V labels, W distinct words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.text_classification.examples import TextExamples
from tasks.text_classification.scores import accuracy


def baseline_figures(train: TextExamples, test: TextExamples, *, multi_label: bool) -> dict[str, float]:
    """Test accuracies in percent of the most frequent training label and of naive Bayes on word counts."""
    naive_bayes_NV = naive_bayes_labels(train.words(), train.gold_NV, test.words(), multi_label=multi_label)
    return {
        "test/majority_accuracy": majority_accuracy(train, test),
        "test/naive_bayes_accuracy": accuracy(naive_bayes_NV, test.gold_NV),
    }


def majority_accuracy(train: TextExamples, texts: TextExamples) -> float:
    """The accuracy in percent of the training texts' most frequent label (or set of labels)."""
    return accuracy(most_frequent_labels(train.gold_NV).expand_as(texts.gold_NV), texts.gold_NV)


def most_frequent_labels(gold_NV: Tensor) -> Tensor:
    """(V,) bool: the most frequent set of labels; of equally frequent ones the first."""
    found = Counter(map(tuple, gold_NV.tolist()))
    return torch.tensor(found.most_common(1)[0][0])


def naive_bayes_labels(
    train_texts: Iterable[Iterable[str]],
    train_gold_NV: Tensor,
    texts: Iterable[Iterable[str]],
    *,
    multi_label: bool,
) -> Tensor:
    """(N, V) bool: predictions of a multinomial naive Bayes model with add-one smoothing on word counts.

    Words that do not occur in the training texts are ignored. If a text may have several labels, each label
    has a binary model of its own.
    """
    vocabulary: dict[str, int] = {}
    train = [
        np.array([vocabulary.setdefault(word, len(vocabulary)) for word in text], np.int64)
        for text in train_texts
    ]
    known = [np.array([vocabulary[w] for w in text if w in vocabulary], np.int64) for text in texts]
    gold_NV = train_gold_NV.numpy()
    if not multi_label:
        predicted = _naive_bayes(train, gold_NV.argmax(axis=1), known, gold_NV.shape[1], len(vocabulary))
        return F.one_hot(torch.from_numpy(predicted), gold_NV.shape[1]).bool()
    each = [_naive_bayes(train, gold_N.astype(np.int64), known, 2, len(vocabulary)) for gold_N in gold_NV.T]
    return torch.from_numpy(np.stack(each, axis=1)).bool()


def _naive_bayes(
    train: Sequence[np.ndarray],
    classes_N: np.ndarray,
    texts: Sequence[np.ndarray],
    num_classes: int,
    num_words: int,
) -> np.ndarray:
    """(N,) the most probable class of each text, given its word ids."""
    classes = np.repeat(classes_N, [len(text) for text in train])
    cells = classes * num_words + np.concatenate(train)
    counts_CW = np.bincount(cells, minlength=num_classes * num_words).reshape(num_classes, num_words) + 1.0
    log_words_WC = np.log(counts_CW / counts_CW.sum(axis=1, keepdims=True)).T
    with np.errstate(divide="ignore"):  # a class without texts has probability 0
        log_classes_C = np.log(np.bincount(classes_N, minlength=num_classes) / len(classes_N))
    return np.array([(log_classes_C + log_words_WC[text].sum(axis=0)).argmax() for text in texts])
