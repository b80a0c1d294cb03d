"""Converts a table's rows to pairs: the columns, the names of labels, the numbers of scores."""

from __future__ import annotations

import logging
import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from elmo.errors import InputError
from tasks.sources.labelled.columns import as_word, label_of, name_of
from tasks.sources.labelled.text_table import refuse_missing
from tasks.sources.pairs.pair_table import PairTable
from tasks.sources.pairs.source import PairExample, Target
from tasks.sources.shared.rows import Column, Row

LOG = logging.getLogger(__name__)

EmptySides: TypeAlias = Literal["refuse", "skip"]


@dataclass(frozen=True, kw_only=True)
class PairColumns:
    """The columns of a row's sides and target, and how to read them.

    A label is a word or a whole number; a score a finite number. Surrounding white space is removed.

    Args:
        table: the columns of the sides and of the name.
        target: whether `label_column` or `score_column` is read.
        label_column, score_column: the column of each target.
        label_names: from a label in the data, such as a number, to its name; other labels are errors. None:
            labels are used as they are.
        skipped_labels: rows with one of these are left out, with a notice, as those of SNLI without a gold
            label.
        empty_sides: `refuse`: an empty side is an error; `skip`: its row is left out, with a notice.
        file_columns: the name of a column in local files, where it is another one.

    Raises:
        InputError: options that contradict each other.
    """

    table: PairTable
    target: Target
    label_column: Column
    score_column: Column
    label_names: Mapping[str, str] | None = None
    skipped_labels: Sequence[str] = ()
    empty_sides: EmptySides = "refuse"
    file_columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        table = self.table
        columns = {"first_column": table.first_column, "second_column": table.second_column}
        columns[f"{self.target}_column"] = self._target_column
        if table.id_column is not None:
            columns["id_column"] = table.id_column
        given = ", ".join(f"data.{key}={column!r}" for key, column in columns.items())
        if len(set(map(type, columns.values()))) > 1:
            raise InputError(f"{given}: give all columns by name, or all by number")
        if len(set(columns.values())) < len(columns):
            raise InputError(f"{given}: give each a column of its own")

    @property
    def _target_column(self) -> Column:
        return self.label_column if self.target == "label" else self.score_column

    def describe(self) -> dict[str, Any]:
        """Everything that determines how a row is read, in plain values for JSON; the file's form is not."""
        values = asdict(self)
        table = values.pop("table")
        del table["delimiter"], table["encoding"]
        del values["score_column" if self.target == "label" else "label_column"]
        return table | values

    def read(self, rows: Iterable[Row], said: set[str]) -> Iterator[PairExample]:
        """The pairs of rows, in order.

        Args:
            rows: of a file or of a split of the hub.
            said: notices so far; each is given once, although data may be read several times.

        Raises:
            InputError: `file:line:` and the fault: a missing column, side, target or id, or a duplicate id.
        """
        places: dict[str, str] = {}
        left_out: Counter[str] = Counter()
        place = ""
        for row in rows:
            place = row.place.rpartition(":")[0]
            try:
                reason, pair = self._read(Row(row.place, self._renamed(row.values)), places)
            except InputError as error:
                raise InputError(f"{row.place}: {error}") from error
            if pair is None:
                left_out[reason] += 1
            else:
                yield pair
        for reason, number in left_out.items():
            notice = f"{place}: {number:,} pairs {reason} were left out"
            if notice not in said:
                said.add(notice)
                LOG.warning("%s", notice)

    def _renamed(self, values: Mapping[Column, Any]) -> Mapping[Column, Any]:
        """The values of a local file's row, by the columns' usual names."""
        renamed: dict[Column, Any] = {
            column: values[name]
            for column, name in self.file_columns.items()
            if name in values and column not in values
        }
        return {**values, **renamed} if renamed else values

    def _read(self, row: Row, places: dict[str, str]) -> tuple[str, PairExample | None]:
        """A row's pair; or why it is left out, and None."""
        column = self._target_column
        first, second = self.table.sides(row.values)
        refuse_missing(column, f"{self.target}_column", row.values)
        value = row.values[column]
        if self.target == "label" and (word := as_word(value)) in self.skipped_labels:
            return f"with the label {word!r}", None
        if not (first and second):
            if self.empty_sides == "skip":
                return "with an empty side", None
            empty = self.table.second_column if first else self.table.first_column
            raise InputError(f"empty text in column {empty!r}; data.empty_sides=skip leaves such pairs out")
        name = name_of(row, self.table.id_column, places)
        if self.target == "score":
            return "", PairExample(name, first, second, score=_score_of(value, column))
        label = label_of(value, column=column, names=self.label_names)
        return "", PairExample(name, first, second, label=label)


def _score_of(value: Any, column: Column) -> float:
    """The number of a cell; InputError, without the row's place, if it is none or not finite."""
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"{reprlib.repr(value)} in column {column!r} is no score, which is a finite number")
    return score
