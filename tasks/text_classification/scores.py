"""Scores of logits against gold labels: accuracy, F1, calibration, all in percent.

Gold and predicted labels are boolean rows, whether a text has one label or several.

Shape legend: N texts, V labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

CALIBRATION_BINS = 15  # equal in width, as in Guo et al. (2017)


class Decision(NamedTuple):
    """How logits become labels.

    Attributes:
        multi_label: whether a text may have several labels, or none; otherwise it has exactly one.
        threshold: probability from which on a label is predicted; only with `multi_label`.
    """

    multi_label: bool
    threshold: float

    def probabilities(self, logits_NV: Tensor) -> Tensor:
        """(N, V); independent for each label with `multi_label`, otherwise each row sums to 1."""
        return logits_NV.sigmoid() if self.multi_label else logits_NV.softmax(dim=1)

    def labels(self, logits_NV: Tensor) -> Tensor:
        """(N, V) bool, the predicted labels."""
        if self.multi_label:
            return self.probabilities(logits_NV) >= self.threshold
        return F.one_hot(logits_NV.argmax(dim=1), logits_NV.shape[1]).bool()

    def loss(self, logits_NV: Tensor, gold_NV: Tensor) -> float:
        """The mean negative log-likelihood in nats, over texts, or over labels with `multi_label`."""
        if self.multi_label:
            return float(F.binary_cross_entropy_with_logits(logits_NV, gold_NV.to(logits_NV.dtype)))
        return float(F.cross_entropy(logits_NV, gold_NV.long().argmax(dim=1)))


def score_names(*, multi_label: bool) -> list[str]:
    """The names of the figures that `scores` returns."""
    return ["loss", "accuracy", "macro_f1", *["micro_f1"] * multi_label, "calibration_error"]


def scores(logits_NV: Tensor, gold_NV: Tensor, decision: Decision) -> dict[str, float]:
    """Loss in nats; accuracy, F1 and the expected calibration error in percent.

    With several labels, a text is correct if all its labels are, macro F1 is the mean over all labels, and
    the calibration error is over every label's probability. With one label, macro F1 ignores labels that are
    neither gold nor predicted, and the calibration error is over the predicted label's probability.
    """
    predicted_NV = decision.labels(logits_NV)
    figures = {"loss": decision.loss(logits_NV, gold_NV), "accuracy": accuracy(predicted_NV, gold_NV)}
    detail = _multi_label_scores if decision.multi_label else _single_label_scores
    return figures | detail(decision.probabilities(logits_NV), predicted_NV, gold_NV)


def accuracy(predicted_NV: Tensor, gold_NV: Tensor) -> float:
    """The percentage of texts whose labels are all correct."""
    return float(text_accuracies(predicted_NV, gold_NV).mean())


def text_accuracies(predicted_NV: Tensor, gold_NV: Tensor) -> Tensor:
    """(N,) float64: 100 for a text whose labels are all correct, 0 for another."""
    return 100 * (predicted_NV == gold_NV).all(dim=1).double()


def confusion_matrix(predicted_NV: Tensor, gold_NV: Tensor) -> Tensor:
    """(V, V) counts of texts with one label each: gold in rows, predicted in columns."""
    return gold_NV.long().T @ predicted_NV.long()


def label_scores(
    predicted_NV: Tensor, gold_NV: Tensor, labels: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table: percent of precision, recall and F1 of each label, and its gold texts."""
    hits_V, predicted_V, gold_V = _counts(predicted_NV, gold_NV)
    columns = [_ratio(hits_V, predicted_V), _ratio(hits_V, gold_V), _ratio(2 * hits_V, predicted_V + gold_V)]
    rows = zip(labels, *((100 * column).tolist() for column in columns), gold_V.tolist(), strict=True)
    return ["label", "precision", "recall", "f1", "texts"], [list(row) for row in rows]


def calibration_error(probabilities_N: Tensor, is_right_N: Tensor) -> float:
    """The expected calibration error (Guo et al. 2017, equation 3), in percent.

    Predictions are binned by probability. The error is the mean over the bins, weighted by their number of
    predictions, of |accuracy - mean probability|.

    Args:
        probabilities_N: the predictions' probabilities.
        is_right_N: bool, whether each prediction is correct.
    """
    probabilities_N = probabilities_N.double()
    bins_N = (probabilities_N * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    differences = probabilities_N.new_zeros(CALIBRATION_BINS)
    differences.index_add_(0, bins_N, is_right_N.double() - probabilities_N)
    return 100 * float(differences.abs().sum() / len(probabilities_N))


def _single_label_scores(probabilities_NV: Tensor, predicted_NV: Tensor, gold_NV: Tensor) -> dict[str, float]:
    hits_V, predicted_V, gold_V = _counts(predicted_NV, gold_NV)
    occurring_V = predicted_V + gold_V > 0
    f1_V = _ratio(2 * hits_V, predicted_V + gold_V)[occurring_V]
    confidences_N = (probabilities_NV * predicted_NV).sum(dim=1)
    is_right_N = (predicted_NV & gold_NV).any(dim=1)
    return {
        "macro_f1": 100 * float(f1_V.mean()),
        "calibration_error": calibration_error(confidences_N, is_right_N),
    }


def _multi_label_scores(probabilities_NV: Tensor, predicted_NV: Tensor, gold_NV: Tensor) -> dict[str, float]:
    hits_V, predicted_V, gold_V = _counts(predicted_NV, gold_NV)
    return {
        "macro_f1": 100 * float(_ratio(2 * hits_V, predicted_V + gold_V).mean()),
        "micro_f1": 100 * float(_ratio(2 * hits_V.sum(), (predicted_V + gold_V).sum())),
        "calibration_error": calibration_error(probabilities_NV.flatten(), gold_NV.flatten()),
    }


def _counts(predicted_NV: Tensor, gold_NV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(V,) numbers of texts for which each label is predicted and gold, predicted, gold."""
    return (predicted_NV & gold_NV).sum(dim=0), predicted_NV.sum(dim=0), gold_NV.sum(dim=0)


def _ratio(counts: Tensor, totals: Tensor) -> Tensor:
    """counts / totals in float64; 0 where the total is 0."""
    return counts.double() / totals.clamp_min(1)
