"""Predictions of a trained text classifier, with the contribution of each word.

Shape legend: N texts, B windows of all of them, T words of the longest window, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tasks.sources.labelled.text_table import TextTable
from tasks.supervised.representation import WindowBatch
from tasks.supervised.saliency import gradient_saliency
from tasks.text_classification.model import Classifier, logits_of_windows
from tasks.text_classification.reports import answer
from tasks.text_classification.scores import Decision
from tasks.text_classification.windows import TextReader


class GivenText(NamedTuple):
    """An input record: its id (or None) and its text, which may be long; its words are not held."""

    record_id: Any
    text: str


class TextPredictor:
    """Predicts the labels of new texts.

    Args:
        model: in evaluation mode, on its device.
        reader: splits texts into windows.
        labels: the V names of the labels.
        decision: how logits become labels.
        table: where the text of a record is that has the columns of the training data.
    """

    def __init__(
        self,
        *,
        model: Classifier,
        reader: TextReader,
        labels: Sequence[str],
        decision: Decision,
        table: TextTable,
    ) -> None:
        self.model, self.reader, self.table = model, reader, table
        self.labels, self.decision = labels, decision

    def read(self, record: Mapping[Any, Any]) -> GivenText:
        """Read the text of a record, by the columns of the training data or as its `text`.

        Raises:
            InputError: it has none.
        """
        table = self.table
        if table.text_column not in record and "text" in record:
            table = replace(table, text_column="text", second_text_column=None)
        record_id = record.get(table.id_column, record.get("id"))
        return GivenText(record_id, table.text(record))

    def predict(self, inputs: Sequence[GivenText]) -> list[dict[str, Any]]:
        """For each text its `label` and `probability`, or its `labels`; and all `probabilities`."""
        if not inputs:
            return []
        windows = [self.reader.windows(given.text) for given in inputs]
        logits_NV = logits_of_windows(self.model, windows)
        return [
            ({} if given.record_id is None else {"id": given.record_id})
            | answer(logits_V, self.labels, self.decision)
            for given, logits_V in zip(inputs, logits_NV, strict=True)
        ]

    def explain(self, inputs: Sequence[GivenText]) -> list[list[tuple[str, float]]]:
        """The words of each text and their contributions to the prediction: gradient times input.

        This is the first-order contribution of a word's vector to the logit of the predicted label. If a text
        may have several labels, it is the contribution to the sum of the predicted labels' logits or, if no
        label is predicted, to the negative of the largest logit. Values are divided by the largest magnitude
        in their text.
        """
        return [self._explain(given) for given in inputs]

    def _explain(self, given: GivenText) -> list[tuple[str, float]]:
        text = self.reader.read(given.text)
        batch = WindowBatch(text.windows, {})
        device = self.model.linear.weight.device
        text_of_window_B = torch.zeros(len(text.windows), dtype=torch.long, device=device)
        with torch.no_grad():
            words = self.model.represent(batch.to(device))
        vectors = [v.requires_grad_() for v in (words.vectors, words.injected) if v is not None]

        def score() -> Tensor:
            return self._prediction_score(self.model.classify(words, text_of_window_B, 1))

        saliency_BT = gradient_saliency(vectors, score)
        values = saliency_BT[words.mask]
        values = values / values.abs().max().clamp_min(torch.finfo(values.dtype).tiny)
        text_words = [word for sentence in batch.sentences for word in sentence]
        return list(zip(text_words, values.tolist(), strict=True))

    def _prediction_score(self, logits_NV: Tensor) -> Tensor:
        """The scalar whose gradient explains the prediction for a single text."""
        predicted_NV = self.decision.labels(logits_NV)
        return logits_NV[predicted_NV].sum() if predicted_NV.any() else -logits_NV.max()
