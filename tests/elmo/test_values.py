"""Tests of elmo/values.py: values outside of their ranges, and records of files, are told by their places."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from elmo.errors import InputError
from elmo.registry import Registry
from elmo.values import Dropout, FileName, Length, Range, Size, range_faults, read_record

REGISTRY = Registry()


@REGISTRY.register("tower", "plain")
class Tower:
    def __init__(
        self, *, size: Size, dropout: Dropout | None = None, floors: list[Size] | None = None
    ) -> None:
        self.size, self.dropout, self.floors = size, dropout, floors


@dataclass(frozen=True)
class Place:
    street: FileName
    number: Size


@dataclass(frozen=True)
class Letter:
    words: Annotated[list[str], Length(1, 2)]
    place: Place | None = None
    weights: dict[str, float] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"size": 0}, "tower.size: expected at least 1, got 0"),
        ({"size": 10**12}, "tower.size: expected at most 1,000,000, got 1000000000000"),
        ({"size": 1, "dropout": 1.0}, "tower.dropout: expected at least 0 and less than 1 or null, got 1.0"),
        (
            {"size": 1, "dropout": float("nan")},
            "tower.dropout: expected at least 0 and less than 1 or null, got nan",
        ),
        ({"size": 1, "floors": [1, -1]}, "tower.floors[1]: expected at least 1, got -1"),
    ],
)
def test_a_number_outside_of_its_range_is_refused_in_config_and_constructor(
    arguments: dict[str, Any], fault: str
) -> None:
    assert REGISTRY.check("tower", {"type": "plain", **arguments}) == [fault]
    with pytest.raises(InputError) as error:
        Tower(**arguments)
    assert str(error.value) == fault


def test_the_ends_of_a_range_belong_to_it_unless_it_says_otherwise() -> None:
    assert range_faults([1, 5], list[Annotated[int, Range(1, 5)]], "x") == []
    open_range = Annotated[float, Range(0, 1, above=True, below=True)]
    assert range_faults(0.0, open_range, "x") == ["x: expected more than 0 and less than 1, got 0.0"]
    assert range_faults(1.0, open_range, "x") == ["x: expected more than 0 and less than 1, got 1.0"]
    assert range_faults(0.5, open_range, "x") == []


def test_a_whole_number_that_no_float_can_hold_is_refused() -> None:
    faults = REGISTRY.check("tower", {"type": "plain", "size": 1, "dropout": 10**400})
    assert len(faults) == 1
    assert faults[0].startswith("tower.dropout: expected float | None, got 1000")


def test_a_record_is_read_with_its_types() -> None:
    content = {"words": ["a"], "place": {"street": "b.txt", "number": 3}, "weights": {"x": 1}}
    letter = read_record(Letter, content, name="letter.json")
    assert letter == Letter(["a"], Place("b.txt", 3), {"x": 1.0})
    assert isinstance(letter.weights["x"], float)
    assert read_record(Letter, {"words": ["a"], "more": 1}, name="letter.json", is_open=True) == Letter(["a"])
    assert dataclasses.asdict(letter) == {**content, "weights": {"x": 1.0}}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "expected an object with keys, got [] (list)"),
        ({}, "words: missing"),
        ({"words": "a"}, "words: expected list[str], got 'a' (str)"),
        ({"words": [1]}, "words[0]: expected str, got 1 (int)"),
        ({"words": []}, "words: expected a list of 1 to 2 items, got []"),
        ({"words": ["a"], "plaice": None}, "plaice: unknown key; nearest: place"),
        ({"words": ["a"], "place": {"street": "b"}}, "place.number: missing"),
        (
            {"words": ["a"], "place": {"street": "b", "number": True}},
            "place.number: expected int, got True (bool)",
        ),
        ({"words": ["a"], "place": {"street": "b", "number": 0}}, "place.number: expected at least 1, got 0"),
        ({"words": ["a"], "place": 3}, "place: expected Place | None, got 3 (int)"),
        *(
            (
                {"words": ["a"], "place": {"street": name, "number": 1}},
                f"place.street: expected the name of a file in the same directory, got {name!r}",
            )
            for name in ("..", "/etc/passwd", "a/b", "", ".hidden", "\ud800", "a\0")
        ),
    ],
)
def test_a_record_with_a_fault_is_refused_by_its_key(content: Any, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read_record(Letter, content, name="letter.json")
    assert str(error.value) == f"letter.json: {fault}"
