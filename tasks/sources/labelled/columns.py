"""From a table's rows to labelled texts: which columns, and how labels are named."""

from __future__ import annotations

import logging
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from elmo.errors import InputError
from tasks.sources.labelled.source import LabelledText
from tasks.sources.shared.rows import Column, Row

LOG = logging.getLogger(__name__)

EmptyTexts: TypeAlias = Literal["refuse", "skip"]

_COLUMN_KEYS = ("text_column", "second_text_column", "label_column", "id_column")


@dataclass(frozen=True, kw_only=True)
class LabelledColumns:
    """Where a row's text and labels stand.

    A label is a word or a whole number; blanks around it are dropped.

    Args:
        text_column: the text.
        label_column: the label; with `multi_label` a list of labels, or labels with `label_separator`.
        second_text_column: more text, which follows as a paragraph of its own; None: there is none.
        id_column: tells texts apart; None: their places do.
        label_names: the names of labels that are written otherwise, for example as numbers; other labels are
            faults. None: labels are as written.
        multi_label: whether a row may have several labels, or none.
        label_separator: stands between the labels of a row; None: they are a list, or there is one.
        empty_texts: `refuse`: they are faults; `skip`: their rows are left out and counted.
        blank_pattern: a regular expression of what stands for a blank in texts, such as markup.

    Raises:
        InputError: options that do not go together.
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
                f"data.blank_pattern: {self.blank_pattern!r} is no regular expression: {error}"
            ) from error

    @property
    def has_header(self) -> bool:
        """Whether columns have names."""
        return isinstance(self.text_column, str)

    def describe(self) -> dict[str, Any]:
        """All that decides what becomes of a row, plain values for JSON."""
        return asdict(self)

    def read(self, rows: Iterable[Row]) -> Iterator[LabelledText]:
        """The labelled texts of rows, in order.

        Raises:
            InputError: `file:line:` and the fault: a column that is not there; no text, label or id; an id
                that was there before.
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
        """A row's text, "" when it is blank."""
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
            raise InputError(f"{row.place}: column {column!r} holds {reprlib.repr(text)}, which is no text")
        _check_unicode(text, row.place)
        return re.sub(self.blank_pattern, " ", text) if self.blank_pattern else text

    def _name(self, row: Row, places: dict[str, str]) -> str:
        if self.id_column is None:
            return row.place
        name = _as_word(self._value(row, "id_column"))
        if not name:
            raise InputError(f"{row.place}: no id in column {self.id_column!r}")
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
                f"{row.place}: column {self.label_column!r} holds a list, which needs data.multi_label=true"
            )
        return (self._label(found, row.place),)

    def _separate(self, cell: Any) -> list[Any]:
        """The labels of a cell that is no list; none where it is blank."""
        if not isinstance(cell, str):
            return [] if cell is None else [cell]
        labels = [cell] if self.label_separator is None else cell.split(self.label_separator)
        return [label for label in labels if label.strip()]

    def _label(self, value: Any, place: str) -> str:
        label = _as_word(value)
        if not label:
            is_missing = value is None or label == ""
            what = "no label" if is_missing else f"{reprlib.repr(value)}, which is no label,"
            raise InputError(f"{place}: {what} in column {self.label_column!r}")
        _check_unicode(label, place)
        if self.label_names is None or label in self.label_names.values():
            return label
        if label not in self.label_names:
            raise InputError(f"{place}: unknown label {label!r}; known: {', '.join(self.label_names)}")
        return self.label_names[label]


def _as_word(value: Any) -> str | None:
    """What a cell of a label or an id says; None when it holds anything but a word or a whole number."""
    return str(value).strip() if isinstance(value, str | int) else None


def _check_unicode(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can write such halves
        raise InputError(f"{place}: character {error.start + 1} is half of a surrogate pair") from error
