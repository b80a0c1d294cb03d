"""A space is written in the syntax of Hydra's overrides, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from elmo.errors import InputError
from experiments.tune.space import Choices, Numbers, read_space


class First:
    """Draws the first of all values, or a wanted choice."""

    def __init__(self, **wanted: str) -> None:
        self.wanted = wanted

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        return self.wanted.get(name, choices[0])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return low


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("choice(elmo,word)", Choices(("elmo", "word"))),
        ("1,null", Choices(("1", "null"))),
        ("choice([1,2],0.5)", Choices(("[1,2]", "0.5"))),
        ("range(1,10,step=2)", Numbers(1, 9, 2)),
        ("range(1,10,step=4)", Numbers(1, 9, 4)),
        ("range(3)", Numbers(0, 2, 1)),
        ("range(0.1,0.5,step=0.1)", Numbers(0.1, 0.4, 0.1)),
        ("interval(0,1)", Numbers(0.0, 1.0)),
        ("int(interval(8,64))", Numbers(8, 64)),
        ("tag(log,interval(1e-4,1))", Numbers(1e-4, 1.0, log=True)),
        ("int(tag(log,interval(8,64)))", Numbers(8, 64, log=True)),
        ("tag(log,range(1,9))", Numbers(1, 8, log=True)),
    ],
)
def test_each_form_of_a_sweep_is_read(text: str, domain: Any) -> None:
    (parameter,) = read_space({"key": text}).parameters
    assert parameter.domain == domain


def test_a_value_at_a_step_is_written_as_it_is_meant() -> None:
    space = read_space({"key": "range(0.1,0.5,step=0.1)"})
    draws = First()
    draws.suggest_float = lambda *given, **named: 0.1 + 2 * 0.1  # type: ignore[method-assign]
    assert space.draw(draws) == {"key": "0.3"}


def test_the_first_entry_counts_whose_conditions_hold() -> None:
    rates = [{"when": "head=cnn", "value": "interval(0.5,1)"}, {"value": "interval(0.1,1)"}]
    space = read_space({"head": "choice(pooled,cnn)", "optimizer": {"rate": rates}})
    assert space.draw(First()) == {"head": "pooled", "optimizer.rate": "0.1"}
    assert space.draw(First(head="cnn")) == {"head": "cnn", "optimizer.rate": "0.5"}
    assert [parameter.name for parameter in space.parameters][1:] == [
        "optimizer.rate (head=cnn)",
        "optimizer.rate",
    ]


def test_every_choice_and_every_end_is_in_an_example_with_its_conditions() -> None:
    space = read_space(
        {
            "encoder": "choice(elmo,word)",
            "head": "choice(pooled,bilstm,cnn)",
            "head.size": {"when": "head=bilstm", "value": "int(interval(8,64))"},
            "head.depth": {"when": ["head=bilstm", "encoder=word"], "value": "choice(1,2)"},
        }
    )
    examples = list(space.examples())
    assert {"encoder": "elmo", "head": "cnn"} in examples
    assert {"encoder": "elmo", "head": "bilstm", "head.size": "64"} in examples
    assert {"encoder": "word", "head": "bilstm", "head.size": "8", "head.depth": "2"} in examples
    assert len(examples) == len({tuple(example.items()) for example in examples}) == 7


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("elmo", "space.key: elmo is no set of values; write choice"),
        (3, "space.key: 3 is no set of values; write choice"),
        ("glob(*)", "space.key: glob(*) names options by a pattern; write choice"),
        ("choice(", "space.key: key=choice( cannot be read; write choice"),
        ("choice(1,1)", "space.key: has a value twice"),
        ("interval(2,1)", "space.key: begins at 2, above its end 1"),
        ("tag(log,interval(0,1))", "space.key: log takes numbers above 0 alone, and it begins at 0"),
        ("range(4,4)", "space.key: the range is empty"),
        ("tag(log,range(1,9,step=2))", "space.key: a range with log has no step"),
        ({"when": "head=cnn"}, "space.key: value is missing; expected {value"),
        ({"valu": "1,2", "when": "head=cnn"}, "space.key: unknown key 'valu'; expected {value"),
        (
            {"value": "1,2", "when": "hed=cnn"},
            "space.key.when: hed is no choice that stands above; nearest: head",
        ),
        (
            {"value": "1,2", "when": "head=bilstn"},
            "space.key.when: bilstn is no choice of head; nearest: bilstm",
        ),
        ([{"value": "1,2", "when": "head"}], "space.key[0].when: head cannot be read; expected KEY=VALUE"),
    ],
)
def test_an_entry_that_cannot_be_read_is_one_line(entry: Any, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        read_space({"head": "choice(pooled,bilstm,cnn)", "key": entry})
    assert str(caught.value).startswith(fault)
    assert len(str(caught.value).splitlines()) == 1
