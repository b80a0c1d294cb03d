"""Every number of a config has a range, and what is outside of it is one line before anything is built."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Annotated, Any

import pytest

from elmo.registry import REGISTRY
from experiments import train
from experiments.config.check import COMPONENT_PACKAGES, GIVEN
from experiments.config.command import run_command
from experiments.config.schema import SCHEMAS
from experiments.config.sections import Section

# The program gives them; or the class itself compares them with what only it knows.
BOUND_BY_CODE = {"mix.layer", *(f"{kind}.{name}" for kind, names in GIVEN.items() for name in names)}
BOUND_BY_CODE |= {
    f"data.{name}" for name in ("test_share", "dev_share", "split_seed", "split_every", "dev_every")
}
# Columns have names or numbers, of which a file has as many as it has.
BOUND_BY_CODE |= {f"data.{name}column" for name in ("text_", "second_text_", "label_", "id_")}
BOUND_BY_CODE |= {f"data.{name}_column" for name in ("first", "second", "score")}


def loose_numbers(hint: Any, where: str) -> list[str]:
    """The place, if an annotation has a number without a range."""
    if typing.get_origin(hint) is Annotated:
        inner = typing.get_args(hint)[0]
        return [] if inner in (int, float) else loose_numbers(inner, where)
    if hint in (int, float):
        return [where]
    return [place for member in typing.get_args(hint) for place in loose_numbers(member, where)]


def schema_numbers(schema: type, where: str) -> list[str]:
    hints = typing.get_type_hints(schema, include_extras=True)
    found = []
    for field in dataclasses.fields(schema):
        if isinstance(hints[field.name], type) and issubclass(hints[field.name], Section):
            found += schema_numbers(hints[field.name], f"{where}.{field.name}")
        else:
            found += loose_numbers(hints[field.name], f"{where}.{field.name}")
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_number_of_a_schema_has_a_range(name: str) -> None:
    assert schema_numbers(SCHEMAS[name], name) == []


def test_every_number_of_a_component_has_a_range() -> None:
    REGISTRY.discover(*COMPONENT_PACKAGES)
    found = []
    for kind in GIVEN:
        for name in REGISTRY.names(kind):
            cls: Any = REGISTRY.get(kind, name)
            if not cls.__module__.startswith(COMPONENT_PACKAGES):
                continue  # of a plug-in that another test has loaded
            init = inspect.unwrap(cls.__init__)
            hints = typing.get_type_hints(init, include_extras=True) if hasattr(init, "__globals__") else {}
            found += [
                f"{place} of {name}"
                for key, hint in hints.items()
                for place in loose_numbers(hint, f"{kind}.{key}")
            ]
    assert [place for place in found if place.split(" ")[0] not in BOUND_BY_CODE] == []


@pytest.mark.parametrize("value", ["1e300", "inf", "nan", "-1", "1000000000001"])
def test_a_number_without_sense_is_a_line_for_each_key(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    floats = ["optimizer.learning_rate", "trainer.clip_norm", "trainer.max_minutes", "encoder.cell_clip"]
    floats += [
        "encoder.dropout",
        "mix.dropout",
        "mix.l2",
        "features.max_gigabytes",
        "fine_tuning.layer_factor",
    ]
    floats += ["head.dropout", "schedule.final_factor", "task.label_smoothing", "task.threshold"]
    whole = ["encoder.cell_size", "encoder.num_layers", "trainer.batch_size", "trainer.num_threads", "seed"]
    whole += ["trainer.log_every", "head.hidden_size", "schedule.warmup_steps", "task.window_words"]
    keys = floats + (whole if value.lstrip("-").isdigit() else [])
    options = [
        "task=text_classification",
        "encoder=elmo_tiny",
        "head=bilstm",
        "mix=scalar",
        "schedule=linear",
    ]
    arguments = [*options, *(f"{key}={value}" for key in keys)]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == sorted(keys)
    assert all(": expected " in line for line in lines)
