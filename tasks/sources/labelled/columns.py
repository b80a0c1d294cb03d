"""Converts a table's rows to labelled texts: the columns, and the names of labels."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from elmo.errors import InputError
from tasks.sources.labelled.source import LabelledText
from tasks.sources.labelled.text_table import TextTable, refuse_missing
from tasks.sources.shared.rows import Column, Row, refuse_half_characters

LOG = logging.getLogger(__name__)

EmptyTexts: TypeAlias = Literal["refuse", "skip"]


@dataclass(frozen=True, kw_only=True)
class LabelledColumns:
    """The columns of a row's text and labels, and how to read them.

    A label is a word or a whole number; surrounding white space is removed.

    Args:
        table: the columns of the text and its name.
        label_column: the column of the label; with `multi_label` of a list of labels, or of labels separated
            by `label_separator`.
        label_names: from a label in the data, such as a number, to its name; other labels are errors. None:
            labels are used as they are.
        multi_label: whether a row may have several labels, or none.
        label_separator: separates the labels of a row; None: they are a list, or a single label.
        empty_texts: `refuse`: an empty text is an error; `skip`: its row is skipped, with a warning.

    Raises:
        InputError: options that contradict each other.
    """

    table: TextTable
    label_column: Column
    label_names: Mapping[str, str] | None = None
    multi_label: bool = False
    label_separator: str | None = None
    empty_texts: EmptyTexts = "refuse"

    def __post_init__(self) -> None:
        columns = {key: column for key, column in self.describe().items() if key.endswith("_column")}
        columns = {key: column for key, column in columns.items() if column is not None}
        if len(set(map(type, columns.values()))) > 1:
            given = ", ".join(f"data.{key}={column!r}" for key, column in columns.items())
            raise InputError(f"{given}: give all columns by name, or all by number")
        if self.label_separator is not None and not (self.multi_label and self.label_separator):
            raise InputError("data.label_separator: separates several labels; it needs data.multi_label=true")

    def describe(self) -> dict[str, Any]:
        """Everything that determines how a row is read, in plain values for JSON; the file's form is not."""
        values = asdict(self)
        table = values.pop("table")
        del table["delimiter"], table["encoding"]
        return table | values

    def read(self, rows: Iterable[Row]) -> Iterator[LabelledText]:
        """The labelled texts of rows, in order.

        Raises:
            InputError: `file:line:` and the fault: a missing column, text, label or id, or a duplicate id.
        """
        places: dict[str, str] = {}
        num_skipped = 0
        for row in rows:
            try:
                text = self._read(row, places)
            except InputError as error:
                raise InputError(f"{row.place}: {error}") from error
            if text is None:
                num_skipped += 1
            else:
                yield text
        if num_skipped:
            LOG.warning("%s: %d rows without text were left out", row.place.rpartition(":")[0], num_skipped)

    def _read(self, row: Row, places: dict[str, str]) -> LabelledText | None:
        """A row's text; None if it is empty and skipped."""
        text = self.table.text(row.values)
        if not text and self.empty_texts == "skip":
            return None
        if not text:
            raise InputError("empty text; data.empty_texts=skip leaves such rows out")
        return LabelledText(name_of(row, self.table.id_column, places), text, self._labels(row))

    def _labels(self, row: Row) -> tuple[str, ...]:
        refuse_missing(self.label_column, "label_column", row.values)
        found = row.values[self.label_column]
        if self.multi_label:
            labels = found if isinstance(found, list) else self._separate(found)
            return tuple(dict.fromkeys(self._label(label) for label in labels))
        if isinstance(found, list):
            raise InputError(f"column {self.label_column!r} has a list, which needs data.multi_label=true")
        return (self._label(found),)

    def _separate(self, cell: Any) -> list[Any]:
        """The labels of a cell that is not a list; none if it is blank."""
        if not isinstance(cell, str):
            return [] if cell is None else [cell]
        labels = [cell] if self.label_separator is None else cell.split(self.label_separator)
        return [label for label in labels if label.strip()]

    def _label(self, value: Any) -> str:
        return label_of(value, column=self.label_column, names=self.label_names)


def name_of(row: Row, id_column: Column | None, places: dict[str, str]) -> str:
    """An example's name: its id, or its place in the file where there is no column of ids.

    Args:
        row: of the example.
        id_column: of ids; None: there is none.
        places: the place of each id so far; this one is added.

    Raises:
        InputError: without the row's place: the id is missing, or was there before.
    """
    if id_column is None:
        return row.place
    refuse_missing(id_column, "id_column", row.values)
    name = as_word(row.values[id_column])
    if not name:
        raise InputError(f"no id in column {id_column!r}")
    refuse_half_characters(name)
    if name in places:
        raise InputError(f"duplicate id {name!r} (first at {places[name]})")
    places[name] = row.place
    return name


def label_of(value: Any, *, column: Column, names: Mapping[str, str] | None) -> str:
    """The label of a cell; InputError, without the row's place, if it is none.

    Args:
        value: of the cell.
        column: of the cell, for messages.
        names: from a label in the data to its name; other labels are errors. None: it is used as it is.
    """
    label = as_word(value)
    if not label:
        is_missing = value is None or label == ""
        what = "no label" if is_missing else f"{reprlib.repr(value)}, which is not a label,"
        scores = "; labels are words or whole numbers, scores cannot be learned" * isinstance(value, float)
        raise InputError(f"{what} in column {column!r}{scores}")
    refuse_half_characters(label)
    if names is None or label in names.values():
        return label
    if label not in names:
        raise InputError(f"unknown label {label!r}; known: {', '.join(names)}")
    return names[label]


def as_word(value: Any) -> str | None:
    """The text of a label's or an id's cell; None if it is neither text nor a whole number."""
    return str(value).strip() if isinstance(value, str | int) else None
