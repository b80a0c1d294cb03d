"""Labels of pairs: cross-entropy, accuracy, F1, the confusion matrix.

Shape legend: N pairs, V labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elmo.errors import shown
from tasks.sentence_pair.baselines import label_baselines
from tasks.sentence_pair.examples import PairExamples
from tasks.sentence_pair.target import PairTarget
from tasks.sources.pairs.source import PairExample
from tasks.supervised.confusion import draw_confusion
from tasks.supervised.reports import Table
from tasks.text_classification.scores import (
    Decision,
    confusion_matrix,
    label_scores,
    score_names,
    scores,
    text_accuracies,
)

UNKNOWN = -1  # the gold value of a label that no training pair has
_DECISION = Decision(multi_label=False, threshold=0.5)


class LabelTarget(PairTarget):
    """One of V labels.

    A label that no training pair has cannot be predicted. Its pairs are counted as wrong; the loss leaves
    them out.

    Args:
        labels: their names.
    """

    score_names = score_names(multi_label=False)

    def __init__(self, *, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.num_outputs = len(self.labels)

    def gold(self, pairs: Sequence[PairExample]) -> Tensor:
        """(N,) the index of each label, or `UNKNOWN`."""
        ids = {label: index for index, label in enumerate(self.labels)}
        return torch.tensor([ids.get(str(pair.label), UNKNOWN) for pair in pairs])

    def facts(self, gold_N: Tensor, given: Sequence[str | float]) -> dict[str, float | str]:
        """The share of each label, and the labels that are unknown or unused."""
        counts = Counter(map(str, given))
        facts: dict[str, float | str] = {
            "pairs by label": ", ".join(f"{label} {counts[label]:,}" for label in self.labels)
        }
        unknown = counts.keys() - set(self.labels)
        if unknown:
            named = ", ".join(f"{shown(label)} ({counts[label]:,} pairs)" for label in sorted(unknown))
            facts["labels without a training pair"] = f"{named}, counted as wrong"
        return facts

    def loss(self, outputs_NK: Tensor, gold_N: Tensor) -> Tensor:
        """The mean cross-entropy in nats over pairs with a known label."""
        return F.cross_entropy(outputs_NK, gold_N, ignore_index=UNKNOWN)

    def scores(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, float]:
        """Loss in nats; accuracy, macro F1 and the calibration error in percent."""
        figures = scores(outputs_NK, self.rows(gold_N), _DECISION)
        return figures | {"loss": float(self.loss(outputs_NK, gold_N))}

    def example_scores(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, list[float]]:
        return {"accuracy": text_accuracies(_DECISION.labels(outputs_NK), self.rows(gold_N)).tolist()}

    def answer(self, outputs_K: Tensor) -> dict[str, Any]:
        """The `label`, its `probability`, and all `probabilities`."""
        probabilities = dict(zip(self.labels, outputs_K.softmax(dim=0).tolist(), strict=True))
        label = self.labels[int(outputs_K.argmax())]
        return {"label": label, "probability": probabilities[label], "probabilities": probabilities}

    def tables(self, outputs_NK: Tensor, gold_N: Tensor) -> dict[str, Table]:
        """The scores of each label, and the confusion matrix."""
        predicted_NV, gold_NV = _DECISION.labels(outputs_NK), self.rows(gold_N)
        columns, rows = label_scores(predicted_NV, gold_NV, self.labels)
        counts = confusion_matrix(predicted_NV, gold_NV).tolist()
        confusion = [[label, *row] for label, row in zip(self.labels, counts, strict=True)]
        return {
            "labels": ([*columns[:-1], "pairs"], rows),
            "confusion": (["gold", *(f"predicted {label}" for label in self.labels)], confusion),
        }

    def draw(self, path: Path, outputs_NK: Tensor, gold_N: Tensor) -> None:
        """`confusion.png`."""
        counts_VV = confusion_matrix(_DECISION.labels(outputs_NK), self.rows(gold_N))
        draw_confusion(path / "confusion.png", counts_VV, self.labels)

    def baselines(self, train: PairExamples, examples: PairExamples) -> dict[str, float]:
        """Accuracies of the most frequent label, of second sides alone, and of the words in common."""
        train_NV, gold_NV = self.rows(train.gold_N), self.rows(examples.gold_N)
        return label_baselines(train, train_NV, examples, gold_NV)

    def saved(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def rows(self, gold_N: Tensor) -> Tensor:
        """(N, V) bool, the gold labels; a row of an unknown one is all false."""
        return gold_N[:, None] == torch.arange(len(self.labels), device=gold_N.device)
