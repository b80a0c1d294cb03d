"""Reads plain values, of a config or of a file, as annotated types, and finds all their faults.

An annotation may have a range: `Annotated[int, Range(1, 100)]`. The same annotations stand in the
constructors of components, in the schemas of configs and in the records of files.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from elmo.errors import InputError, shown, shown_with_type, suggest

_SCALARS = (bool, int, float, str)
_WIDE = 100  # the end of a range, from which on it is technical
_LARGEST_FLOAT = int(sys.float_info.max)

Record = TypeVar("Record")


@dataclass(frozen=True)
class Range:
    """The range of a number; NaN is in none.

    Args:
        least, most: its ends.
        above, below: whether the number must be above `least`, below `most`.
    """

    least: float
    most: float
    above: bool = False
    below: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range, or no number."""
        if not isinstance(value, (int, float)):
            return True
        is_above = value > self.least if self.above else value >= self.least
        return is_above and (value < self.most if self.below else value <= self.most)

    def expected(self, value: Any) -> str:
        """The range in words; of a wide one, whose ends are technical, only the end that was passed."""
        low = f"{'more than' if self.above else 'at least'} {self.least:,}"
        high = f"{'less than' if self.below else 'at most'} {self.most:,}"
        if self.most > _WIDE and value > self.most:
            return high
        return low if self.most > _WIDE and value <= self.least else f"{low} and {high}"


@dataclass(frozen=True)
class Length:
    """The smallest and the largest number of a list's items."""

    least: int
    most: int

    def holds(self, value: Any) -> bool:
        """Whether a list has as many items."""
        return self.least <= len(value) <= self.most

    def expected(self, value: Any) -> str:
        """The lengths in words."""
        return f"a list of {self.least:,} to {self.most:,} items"


@dataclass(frozen=True)
class Pattern:
    """A regular expression that a whole string must match, and its meaning in words."""

    expression: str
    meaning: str

    def holds(self, value: Any) -> bool:
        """Whether a string matches."""
        return re.fullmatch(self.expression, value) is not None

    def expected(self, value: Any) -> str:
        """The meaning."""
        return self.meaning


Size = Annotated[int, Range(1, 1_000_000)]  # the width of a layer, the words of a window
Depth = Annotated[int, Range(1, 100)]  # layers above each other
Count = Annotated[int, Range(1, 10**12)]  # what is counted one by one: steps, words, bytes
Threads = Annotated[int, Range(1, 1024)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Positive = Annotated[float, Range(0, 10**9, above=True)]
NotNegative = Annotated[float, Range(0, 10**9)]
LearningRate = Annotated[float, Range(0, 1000, above=True)]
Probability = Annotated[float, Range(0, 1)]
Share = Annotated[float, Range(0, 1, above=True)]  # of a whole
Dropout = Annotated[float, Range(0, 1, below=True)]
FileName = Annotated[
    str, Pattern(r"(?!\.)[^/\\\0\ud800-\udfff]{1,200}", "the name of a file in the same directory")
]


def read_value(value: Any, hint: Any, where: str, faults: list[str]) -> Any:
    """A value converted to its annotated type (an int to float, a str to a Path or an Enum member).

    Args:
        value: of plain containers and scalars.
        hint: the annotation, resolved.
        where: the value's place, which begins the line of a fault.
        faults: gets a line for each fault.
    """
    found: list[str] = []
    converted = _read(value, hint, where, found)
    faults += found or range_faults(converted, hint, where)
    return converted


def read_record(cls: type[Record], values: Any, *, name: str, is_open: bool = False) -> Record:
    """The dataclass that describes a file's content, from plain values.

    Args:
        cls: a dataclass; the keys of fields with a default may be missing.
        values: what the file holds.
        name: of the file, which begins the error message.
        is_open: whether there may be more keys than the dataclass has.

    Raises:
        InputError: `name: key: fault`, the first one.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: expected an object with keys, got {shown_with_type(values)}")
    hints = resolved_hints(cls)
    known = {key: value for key, value in values.items() if not is_open or key in hints}
    faults: list[str] = []
    record = _read_fields(known, cls, "", faults)
    if faults:
        raise InputError(f"{name}: {faults[0]}")
    return typing.cast(Record, record)


def range_faults(value: Any, hint: Any, where: str) -> list[str]:
    """A line for each number, list or string in a value that is outside of its annotation's range."""
    return [
        f"{place}: expected {expected}, got {shown(found)}"
        for place, expected, found in _outside(value, hint, where)
    ]


def resolved_hints(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass's fields, with their ranges."""
    return typing.get_type_hints(cls, include_extras=True)


def hint_name(hint: Any) -> str:
    """An annotation's type as the user should read it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return hint_name(inner[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(hint_name, inner))
    if hint is None or hint is type(None):
        return "None"
    if isinstance(origin, type) and inner:
        return f"{origin.__name__}[{', '.join(map(hint_name, inner))}]"
    if isinstance(hint, type):
        return hint.__name__
    return str(hint).replace("typing.", "")


def _outside(value: Any, hint: Any, where: str) -> Iterator[tuple[str, str, Any]]:
    """The place, the expectation and the value of what is outside of its range."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        broken = next((limit for limit in inner[1:] if not limit.holds(value)), None)
        if broken is not None:
            yield where, broken.expected(value), value
        else:
            yield from _outside(value, inner[0], where)
    elif origin in (typing.Union, types.UnionType):
        yield from _outside_union(value, inner, where)
    elif origin in (list, tuple, Sequence) and isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _outside(item, inner[0], f"{where}[{index}]")
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _outside(item, inner[1], f"{where}.{key}")


def _outside_union(value: Any, members: Sequence[Any], where: str) -> Iterator[tuple[str, str, Any]]:
    if value is None:
        return
    or_null = " or null" if type(None) in members else ""
    found = [list(_outside(value, member, where)) for member in members if member is not type(None)]
    if all(found):
        for place, expected, part in found[0]:
            yield place, f"{expected}{or_null if part is value else ''}", part


def _read(value: Any, hint: Any, where: str, faults: list[str]) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _read(value, inner[0], where, faults)
    if origin in (typing.Union, types.UnionType):
        return _read_union(value, hint, where, faults)
    if origin is typing.Literal:
        return _read_choice(value, {choice: choice for choice in inner}, hint, where, faults)
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and not isinstance(value, hint):
        return _read_choice(value, dict(hint.__members__), hint, where, faults)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _read_fields(value, hint, f"{where}.", faults)
    container = origin or hint
    if container in (list, tuple, Sequence) and isinstance(value, (list, tuple)):
        item_hint = inner[0] if inner else Any
        return [_read(item, item_hint, f"{where}[{i}]", faults) for i, item in enumerate(value)]
    if container in (dict, Mapping) and isinstance(value, Mapping):
        item_hint = inner[1] if inner else Any
        return {key: _read(item, item_hint, f"{where}.{key}", faults) for key, item in value.items()}
    return _read_plain(value, hint, container, where, faults)


def _read_fields(values: Mapping[Any, Any], cls: Any, where: str, faults: list[str]) -> Any:
    """An object of a dataclass; None if its fields have faults. `where` ends with a dot, or is empty."""
    hints, found = resolved_hints(cls), list[str]()
    required = [field.name for field in dataclasses.fields(cls) if _is_required(field)]
    for key in values:
        if key not in hints:
            found.append(f"{where}{shown(key, str)}: unknown key{suggest(str(key), hints)}")
    found += [f"{where}{key}: missing" for key in required if key not in values]
    arguments = {
        key: read_value(value, hints[key], f"{where}{key}", found)
        for key, value in values.items()
        if key in hints
    }
    faults += found
    return None if found else cls(**arguments)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_plain(value: Any, hint: Any, cls: Any, where: str, faults: list[str]) -> Any:
    if hint is Any:
        return value
    if cls is float and type(value) is int and abs(value) < _LARGEST_FLOAT:
        return float(value)
    if cls is Path and isinstance(value, str):
        return Path(value)
    wanted = type(None) if cls is None else cls
    # scalars by exact type: a bool is not accepted as an int
    fits = type(value) is wanted if wanted in _SCALARS else isinstance(value, wanted)
    fits = fits and not (wanted is Sequence and isinstance(value, str))  # of its own letters
    if not fits:
        faults.append(f"{where}: expected {hint_name(hint)}, got {shown_with_type(value)}")
    return value


def _read_union(value: Any, hint: Any, where: str, faults: list[str]) -> Any:
    members = typing.get_args(hint)
    if value is None and type(None) in members:
        return None
    for member in members:
        found: list[str] = []
        converted = _read(value, member, where, found)
        if not found:
            return converted
        if not found[0].startswith(f"{where}: expected"):  # of this member's type, with a fault inside
            faults.extend(found)
            return value
    faults.append(f"{where}: expected {hint_name(hint)}, got {shown_with_type(value)}")
    return value


def _read_choice(value: Any, choices: Mapping[Any, Any], hint: Any, where: str, faults: list[str]) -> Any:
    for choice, member in choices.items():
        if type(choice) is type(value) and choice == value:
            return member
    if isinstance(value, str):
        faults.append(f"{where}: unknown choice {shown(value)}{suggest(value, map(str, choices))}")
    else:
        faults.append(f"{where}: expected {hint_name(hint)}, got {shown_with_type(value)}")
    return value
