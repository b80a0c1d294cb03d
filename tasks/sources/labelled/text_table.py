"""Where the text of a table's row is, for training and for predictions alike."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from elmo.errors import InputError
from tasks.sources.shared.rows import Column, Delimiter, refuse_half_characters

OF_RECORDS = "text"  # the text of a record that has not the columns of the training data


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The columns of a text, and the form of the file.

    Args:
        text_column: the column of the text.
        second_text_column: the column of more text, which is added as a new paragraph; None: there is none.
        id_column: the column of a text's unique name; None: its position in the file is its name.
        blank_pattern: a regular expression; its matches in texts, such as markup, are replaced by a space.
        delimiter: between the fields of csv and tsv; None: a comma, a tab.
        encoding: of the table's file.

    Raises:
        InputError: `blank_pattern` is no regular expression.
    """

    text_column: Column = "text"
    second_text_column: Column | None = None
    id_column: Column | None = None
    blank_pattern: str | None = None
    delimiter: Delimiter | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        try:
            re.compile(self.blank_pattern or "")
        except re.error as error:
            raise InputError(
                f"data.blank_pattern: {self.blank_pattern!r} is not a regular expression: {error}"
            ) from error

    @property
    def has_header(self) -> bool:
        """Whether columns have names."""
        return isinstance(self.text_column, str)

    @property
    def known_by(self) -> tuple[Column, ...]:
        """The columns by which a header is known."""
        return (self.text_column,)

    def check_input(self, columns: Collection[Column]) -> None:
        """InputError if a table to predict has neither these columns nor `text`."""
        if OF_RECORDS not in columns:
            self.check(columns)

    def check(self, columns: Collection[Column]) -> None:
        """InputError if there is no column of a text."""
        for key in ("text_column", "second_text_column"):
            column = getattr(self, key)
            if column is not None:
                refuse_missing(column, key, columns)

    def text(self, values: Mapping[Column, Any]) -> str:
        """A row's text; "" if it is blank. InputError if there is none, without the row's place."""
        self.check(values)
        text = self._text_of(values[self.text_column], self.text_column)
        if self.second_text_column is not None:
            text += "\n" + self._text_of(values[self.second_text_column], self.second_text_column)
        return "" if text.isspace() else text

    def _text_of(self, text: Any, column: Column) -> str:
        if text is None:
            return ""
        if not isinstance(text, str):
            raise InputError(f"column {column!r} contains {reprlib.repr(text)}, which is not text")
        refuse_half_characters(text)
        return re.sub(self.blank_pattern, " ", text) if self.blank_pattern else text


def refuse_missing(column: Column, key: str, columns: Collection[Column]) -> None:
    """InputError, without the place, if a table does not have the column that `data.<key>` names."""
    if column not in columns:
        names = ", ".join(map(str, columns)) or "none"
        is_whole = len(columns) == 1 and re.search(r"[,;|\t]", names)
        advice = "; data.delimiter=... names what separates columns" if is_whole else ""
        raise InputError(f"no column {column!r} (data.{key}), only {names}{advice}")
