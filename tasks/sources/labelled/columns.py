"""Converts a table's rows to labelled texts: the columns, and the names of labels."""

from __future__ import annotations

import logging
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from elmo.errors import InputError
from tasks.sources.labelled.source import LabelledText
from tasks.sources.shared.rows import Column, Row, check_unicode

LOG = logging.getLogger(__name__)

EmptyTexts: TypeAlias = Literal["refuse", "skip"]

_COLUMN_KEYS = ("text_column", "second_text_column", "label_column", "id_column")


@dataclass(frozen=True, kw_only=True)
class LabelledColumns:
    """The columns of a row's text and labels, and how to read them.

    A label is a word or a whole number; surrounding white space is removed.

    Args:
        text_column: the column of the text.
        label_column: the column of the label; with `multi_label` of a list of labels, or of labels separated
            by `label_separator`.
        second_text_column: the column of more text, which is added as a new paragraph; None: there is none.
        id_column: the column of a text's unique name; None: its position in the file is its name.
        label_names: from a label in the data, such as a number, to its name; other labels are errors. None:
            labels are used as they are.
        multi_label: whether a row may have several labels, or none.
        label_separator: separates the labels of a row; None: they are a list, or a single label.
        empty_texts: `refuse`: an empty text is an error; `skip`: its row is skipped, with a warning.
        blank_pattern: a regular expression; its matches in texts, such as markup, are replaced by a space.

    Raises:
        InputError: options that contradict each other.
    """

    text_column: Column
    label_column: Column
    second_text_column: Column | None = None
    id_column: Column | None = None
    label_names: Mapping[str, str] | None = None
    multi_label: bool = False
    label_separator: str | None = None
    empty_texts: EmptyTexts = "refuse"
    blank_pattern: str | None = None

    def __post_init__(self) -> None:
        columns = {key: getattr(self, key) for key in _COLUMN_KEYS if getattr(self, key) is not None}
        if len(set(map(type, columns.values()))) > 1:
            given = ", ".join(f"data.{key}={column!r}" for key, column in columns.items())
            raise InputError(f"{given}: give all columns by name, or all by number")
        if self.label_separator is not None and not (self.multi_label and self.label_separator):
            raise InputError("data.label_separator: separates several labels; it needs data.multi_label=true")
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

    def describe(self) -> dict[str, Any]:
        """Everything that determines how a row is read, in plain values for JSON."""
        return asdict(self)

    def read(self, rows: Iterable[Row]) -> Iterator[LabelledText]:
        """The labelled texts of rows, in order.

        Raises:
            InputError: `file:line:` and the fault: a missing column, text, label or id, or a duplicate id.
        """
        places: dict[str, str] = {}
        num_skipped = 0
        for row in rows:
            text = self._text(row)
            if not text and self.empty_texts == "skip":
                num_skipped += 1
                continue
            if not text:
                raise InputError(f"{row.place}: empty text; data.empty_texts=skip leaves such rows out")
            yield LabelledText(self._name(row, places), text, self._labels(row))
        if num_skipped:
            LOG.warning("%s: %d rows without text were left out", row.place.rpartition(":")[0], num_skipped)

    def _value(self, row: Row, key: str) -> Any:
        column = getattr(self, key)
        if column not in row.values:
            names = ", ".join(map(str, row.values))
            raise InputError(f"{row.place}: no column {column!r} (data.{key}), only {names}")
        return row.values[column]

    def _text(self, row: Row) -> str:
        """A row's text; "" if it is blank."""
        text = self._text_of(row, "text_column")
        if self.second_text_column is not None:
            text = f"{text}\n{self._text_of(row, 'second_text_column')}"
        return "" if text.isspace() else text

    def _text_of(self, row: Row, key: str) -> str:
        text = self._value(row, key)
        if text is None:
            return ""
        if not isinstance(text, str):
            column = getattr(self, key)
            raise InputError(
                f"{row.place}: column {column!r} contains {reprlib.repr(text)}, which is not text"
            )
        check_unicode(text, row.place)
        return re.sub(self.blank_pattern, " ", text) if self.blank_pattern else text

    def _name(self, row: Row, places: dict[str, str]) -> str:
        if self.id_column is None:
            return row.place
        name = _as_word(self._value(row, "id_column"))
        if not name:
            raise InputError(f"{row.place}: no id in column {self.id_column!r}")
        check_unicode(name, row.place)
        if name in places:
            raise InputError(f"{row.place}: duplicate id {name!r} (first at {places[name]})")
        places[name] = row.place
        return name

    def _labels(self, row: Row) -> tuple[str, ...]:
        found = self._value(row, "label_column")
        if self.multi_label:
            labels = found if isinstance(found, list) else self._separate(found)
            return tuple(dict.fromkeys(self._label(label, row.place) for label in labels))
        if isinstance(found, list):
            raise InputError(
                f"{row.place}: column {self.label_column!r} has a list, which needs data.multi_label=true"
            )
        return (self._label(found, row.place),)

    def _separate(self, cell: Any) -> list[Any]:
        """The labels of a cell that is not a list; none if it is blank."""
        if not isinstance(cell, str):
            return [] if cell is None else [cell]
        labels = [cell] if self.label_separator is None else cell.split(self.label_separator)
        return [label for label in labels if label.strip()]

    def _label(self, value: Any, place: str) -> str:
        label = _as_word(value)
        if not label:
            is_missing = value is None or label == ""
            what = "no label" if is_missing else f"{reprlib.repr(value)}, which is not a label,"
            raise InputError(f"{place}: {what} in column {self.label_column!r}")
        check_unicode(label, place)
        if self.label_names is None or label in self.label_names.values():
            return label
        if label not in self.label_names:
            raise InputError(f"{place}: unknown label {label!r}; known: {', '.join(self.label_names)}")
        return self.label_names[label]


def _as_word(value: Any) -> str | None:
    """The text of a label's or an id's cell; None if it is neither text nor a whole number."""
    return str(value).strip() if isinstance(value, str | int) else None
