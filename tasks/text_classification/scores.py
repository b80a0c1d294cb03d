"""From logits and gold labels to a loss and to scores (accuracy, F1, calibration); what simple models reach.

Whether a text has one label or several, gold and predicted labels are boolean rows.

Shape legend: N texts, V labels, W distinct words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CALIBRATION_BINS = 15  # equal in width, as in Guo et al. (2017)


class Decision(NamedTuple):
    """How scores become labels.

    Attributes:
        multi_label: whether a text may have several labels, or none; otherwise it has exactly one.
        threshold: of a label's probability, for texts that may have several.
    """

    multi_label: bool
    threshold: float

    def probabilities(self, logits_NV: Tensor) -> Tensor:
        """(N, V), of each label by itself, or adding up to 1 where a text has exactly one."""
        return logits_NV.sigmoid() if self.multi_label else logits_NV.softmax(dim=1)

    def labels(self, logits_NV: Tensor) -> Tensor:
        """(N, V) bool: the labels that are predicted."""
        if self.multi_label:
            return self.probabilities(logits_NV) >= self.threshold
        return F.one_hot(logits_NV.argmax(dim=1), logits_NV.shape[1]).bool()

    def loss(self, logits_NV: Tensor, gold_NV: Tensor) -> float:
        """The mean negative log-likelihood in nats: of texts, or of labels where a text may have several."""
        if self.multi_label:
            return float(F.binary_cross_entropy_with_logits(logits_NV, gold_NV.to(logits_NV.dtype)))
        return float(F.cross_entropy(logits_NV, gold_NV.long().argmax(dim=1)))


def label_weights(gold_NV: Tensor, *, multi_label: bool) -> Tensor:
    """(V,) weights that balance labels which the training texts have unequally often.

    Of a text by its only label: N / (V * texts with it). Of a label that a text has, beside those that it has
    not: texts without it / texts with it.
    """
    with_label_V = gold_NV.sum(dim=0).clamp_min(1).float()
    if multi_label:
        return (len(gold_NV) - with_label_V) / with_label_V
    return len(gold_NV) / (gold_NV.shape[1] * with_label_V)


def training_loss(
    logits_NV: Tensor,
    gold_NV: Tensor,
    *,
    multi_label: bool,
    weights_V: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """The mean cross entropy in nats, of texts, or of labels where a text may have several; a scalar.

    Args:
        weights_V: of `label_weights`, or None for none.
        label_smoothing: share of the gold label's probability that all V labels divide among them; where a
            text may have several, label and no label.
    """
    if multi_label:
        targets_NV = gold_NV.to(logits_NV.dtype) * (1 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits_NV, targets_NV, pos_weight=weights_V)
    gold_N = gold_NV.long().argmax(dim=1)
    return F.cross_entropy(logits_NV, gold_N, weight=weights_V, label_smoothing=label_smoothing)


def scores(logits_NV: Tensor, gold_NV: Tensor, decision: Decision) -> dict[str, float]:
    """Loss, accuracy, F1 and the expected calibration error; all but the loss between 0 and 1.

    With several labels a text counts as right when all of them are, a macro F1 is the mean over all labels,
    and calibration is that of each label's probability. With one label, a macro F1 leaves out the labels
    that are neither gold nor predicted, and calibration is that of the predicted label.
    """
    predicted_NV = decision.labels(logits_NV)
    figures = {"loss": decision.loss(logits_NV, gold_NV), "accuracy": accuracy(predicted_NV, gold_NV)}
    detail = _multi_label_scores if decision.multi_label else _single_label_scores
    return figures | detail(decision.probabilities(logits_NV), predicted_NV, gold_NV)


def accuracy(predicted_NV: Tensor, gold_NV: Tensor) -> float:
    """The share of texts all of whose labels are right."""
    return float((predicted_NV == gold_NV).all(dim=1).double().mean())


def confusion_matrix(predicted_NV: Tensor, gold_NV: Tensor) -> Tensor:
    """(V, V) counts of texts with one label each: gold in rows, predicted in columns."""
    return gold_NV.long().T @ predicted_NV.long()


def label_scores(
    predicted_NV: Tensor, gold_NV: Tensor, labels: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: precision, recall and F1 of each label, and how many texts have it."""
    hits_V, predicted_V, gold_V = _counts(predicted_NV, gold_NV)
    columns = [_ratio(hits_V, predicted_V), _ratio(hits_V, gold_V), _ratio(2 * hits_V, predicted_V + gold_V)]
    rows = zip(labels, *(column.tolist() for column in columns), gold_V.tolist(), strict=True)
    return ["label", "precision", "recall", "f1", "texts"], [list(row) for row in rows]


def calibration_error(probabilities_N: Tensor, is_right_N: Tensor) -> float:
    """The expected calibration error (Guo et al. 2017, equation 3), between 0 and 1.

    Predictions are binned by probability, and each bin has the difference of the share of predictions that
    are right and their mean probability; the mean of its magnitude is weighted by the bins' predictions.

    Args:
        probabilities_N: of the predictions.
        is_right_N: bool.
    """
    probabilities_N = probabilities_N.double()
    bins_N = (probabilities_N * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    differences = probabilities_N.new_zeros(CALIBRATION_BINS)
    differences.index_add_(0, bins_N, is_right_N.double() - probabilities_N)
    return float(differences.abs().sum() / len(probabilities_N))


def _single_label_scores(probabilities_NV: Tensor, predicted_NV: Tensor, gold_NV: Tensor) -> dict[str, float]:
    hits_V, predicted_V, gold_V = _counts(predicted_NV, gold_NV)
    occurring_V = predicted_V + gold_V > 0
    f1_V = _ratio(2 * hits_V, predicted_V + gold_V)[occurring_V]
    confidences_N = (probabilities_NV * predicted_NV).sum(dim=1)
    is_right_N = (predicted_NV & gold_NV).any(dim=1)
    return {
        "macro_f1": float(f1_V.mean()),
        "calibration_error": calibration_error(confidences_N, is_right_N),
    }


def _multi_label_scores(probabilities_NV: Tensor, predicted_NV: Tensor, gold_NV: Tensor) -> dict[str, float]:
    hits_V, predicted_V, gold_V = _counts(predicted_NV, gold_NV)
    return {
        "macro_f1": float(_ratio(2 * hits_V, predicted_V + gold_V).mean()),
        "micro_f1": float(_ratio(2 * hits_V.sum(), (predicted_V + gold_V).sum())),
        "calibration_error": calibration_error(probabilities_NV.flatten(), gold_NV.flatten()),
    }


def _counts(predicted_NV: Tensor, gold_NV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(V,) texts where a label is predicted and gold, where it is predicted, where it is gold."""
    return (predicted_NV & gold_NV).sum(dim=0), predicted_NV.sum(dim=0), gold_NV.sum(dim=0)


def _ratio(counts: Tensor, totals: Tensor) -> Tensor:
    """In float64, 0 where the total is 0."""
    return counts.double() / totals.clamp_min(1)


def most_frequent_labels(gold_NV: Tensor) -> Tensor:
    """(V,) bool: the labels, together, that most texts have; of equally frequent ones the first met."""
    found = Counter(map(tuple, gold_NV.tolist()))
    return torch.tensor(found.most_common(1)[0][0])


def naive_bayes_labels(
    train_texts: Iterable[Iterable[str]],
    train_gold_NV: Tensor,
    texts: Iterable[Iterable[str]],
    *,
    multi_label: bool,
) -> Tensor:
    """(N, V) bool: what a multinomial naive Bayes model with add-one smoothing predicts from counts of words.

    Words that the training texts lack are left out. Where a text may have several labels, each label has a
    model of its own, for the texts with it and those without.
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
    """(N,) the most probable class of each text, from the ids of words."""
    classes = np.repeat(classes_N, [len(text) for text in train])
    cells = classes * num_words + np.concatenate(train)
    counts_CW = np.bincount(cells, minlength=num_classes * num_words).reshape(num_classes, num_words) + 1.0
    log_words_WC = np.log(counts_CW / counts_CW.sum(axis=1, keepdims=True)).T
    with np.errstate(divide="ignore"):  # a class without a text is impossible
        log_classes_C = np.log(np.bincount(classes_N, minlength=num_classes) / len(classes_N))
    return np.array([(log_classes_C + log_words_WC[text].sum(axis=0)).argmax() for text in texts])
