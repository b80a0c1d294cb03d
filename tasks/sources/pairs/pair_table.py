"""Where the sides of a row's pair are, for training and for predictions alike."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from elmo.errors import InputError
from tasks.sources.labelled.text_table import refuse_missing
from tasks.sources.shared.rows import Column, Delimiter, refuse_half_characters

OF_RECORDS = ("first", "second")  # the sides of a record that has not the columns of the training data


@dataclass(frozen=True, kw_only=True)
class PairTable:
    """The columns of a pair's sides, and the form of the file.

    Args:
        first_column, second_column: the columns of the sides.
        id_column: the column of a pair's unique name; None: its position in the file is its name.
        delimiter: between the fields of csv and tsv; None: a comma, a tab.
        encoding: of the table's file.
    """

    first_column: Column = OF_RECORDS[0]
    second_column: Column = OF_RECORDS[1]
    id_column: Column | None = None
    delimiter: Delimiter | None = None
    encoding: str = "utf-8"

    @property
    def has_header(self) -> bool:
        """Whether columns have names."""
        return isinstance(self.first_column, str)

    @property
    def known_by(self) -> tuple[Column, ...]:
        """The columns by which a header is known."""
        return (self.first_column, self.second_column)

    def check(self, columns: Collection[Column]) -> None:
        """InputError if there are no columns of both sides."""
        refuse_missing(self.first_column, "first_column", columns)
        refuse_missing(self.second_column, "second_column", columns)

    def check_input(self, columns: Collection[Column]) -> None:
        """InputError if a table to predict has neither these columns nor `first` and `second`."""
        if not set(OF_RECORDS) <= set(columns):
            self.check(columns)

    def sides(self, values: Mapping[Column, Any]) -> tuple[str, str]:
        """A row's sides, "" for a blank one. InputError if one is missing, without the row's place."""
        self.check(values)
        return self._side(values, self.first_column), self._side(values, self.second_column)

    def _side(self, values: Mapping[Column, Any], column: Column) -> str:
        text = values[column]
        if text is None:
            return ""
        if not isinstance(text, str):
            raise InputError(f"column {column!r} contains {reprlib.repr(text)}, which is not text")
        refuse_half_characters(text)
        return "" if text.isspace() else text
