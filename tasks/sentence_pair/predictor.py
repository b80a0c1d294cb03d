"""Predictions of a trained model for new pairs of sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from elmo.errors import InputError
from tasks.sentence_pair.examples import number_sides
from tasks.sentence_pair.model import PairModel, outputs_of
from tasks.sentence_pair.target import PairTarget
from tasks.sources.pairs.pair_table import OF_RECORDS, PairTable
from tasks.text_classification.windows import TextReader


class GivenPair(NamedTuple):
    """An input record: its id (or None) and its sides."""

    record_id: Any
    first: str
    second: str


class PairPredictor:
    """Predicts the labels or scores of new pairs.

    Args:
        model: in evaluation mode, on its device.
        reader: tokenizes a side.
        target: what is predicted.
        table: where the sides of a record are that has the columns of the training data.
    """

    def __init__(self, *, model: PairModel, reader: TextReader, target: PairTarget, table: PairTable) -> None:
        self.model, self.reader, self.target, self.table = model, reader, target, table

    def read(self, record: Mapping[Any, Any]) -> GivenPair:
        """Read the sides of a record, by the columns of the training data or as its `first` and `second`.

        Raises:
            InputError: one is missing or empty.
        """
        table = self.table
        if set(OF_RECORDS) <= record.keys() and not set(table.known_by) <= record.keys():
            table = replace(table, first_column=OF_RECORDS[0], second_column=OF_RECORDS[1])
        first, second = table.sides(record)
        for column, side in ((table.first_column, first), (table.second_column, second)):
            if not side:
                raise InputError(f"{column}: empty text")
        return GivenPair(record.get(table.id_column, record.get("id")), first, second)

    def predict(self, inputs: Sequence[GivenPair]) -> list[dict[str, Any]]:
        """For each pair its `label`, `probability` and all `probabilities`, or its `score`."""
        if not inputs:
            return []
        examples = number_sides(((given.first, given.second) for given in inputs), self.reader)
        outputs_NK = outputs_of(self.model, examples, batch_size=len(inputs))
        return [
            ({} if given.record_id is None else {"id": given.record_id}) | self.target.answer(outputs_K)
            for given, outputs_K in zip(inputs, outputs_NK, strict=True)
        ]
