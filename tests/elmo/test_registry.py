"""Tests of elmo/registry.py: each fault of a component's config has its line, and a sound one is built."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from elmo.errors import InputError
from elmo.registry import Registry

if TYPE_CHECKING:
    from elmo.text.characters import TypeTable as Corpus

REGISTRY = Registry()


class Pooling(enum.Enum):
    maximum = "maximum"
    mean = "mean"


@REGISTRY.register("encoder", "tower")
class Tower:
    def __init__(
        self,
        *,
        projection_size: int,
        dropout: float = 0.1,
        filters: list[list[int]] | None = None,
        activation: Literal["relu", "tanh"] = "relu",
        pooling: Pooling = Pooling.maximum,
        weights_path: Path | None = None,
        options: dict[str, Any] | None = None,
        skip: bool = True,
        max_size: int | None = None,
    ) -> None:
        self.projection_size, self.dropout, self.filters = projection_size, dropout, filters
        self.activation, self.pooling, self.weights_path = activation, pooling, weights_path
        self.options, self.skip, self.max_size = options, skip, max_size


@REGISTRY.register("encoder", "corpus_reader")
class CorpusReader:
    def __init__(self, *, size: int, corpus: Corpus) -> None:
        self.size, self.corpus = size, corpus


@REGISTRY.register("tokenizer", "spaces")
class Spaces:
    pass


def tower_faults(**arguments: object) -> list[str]:
    return REGISTRY.check("encoder", {"type": "tower", "projection_size": 3, **arguments})


def test_a_sound_node_is_built_and_its_values_converted() -> None:
    node = {"type": "tower", "projection_size": 3, "dropout": 0, "filters": [[1, 2]], "pooling": "mean"}
    assert REGISTRY.check("encoder", node) == []
    tower = REGISTRY.build("encoder", {**node, "weights_path": "a/b", "options": {"x": [1]}})
    assert (tower.projection_size, tower.filters, tower.options) == (3, [[1, 2]], {"x": [1]})
    assert isinstance(tower.dropout, float)
    assert tower.pooling is Pooling.mean
    assert tower.weights_path == Path("a/b")


def test_a_class_without_constructor_needs_only_its_type() -> None:
    assert isinstance(REGISTRY.build("tokenizer", {"type": "spaces"}), Spaces)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"projection_sise": 3}, "encoder.projection_sise: unknown key; nearest: projection_size"),
        ({"dropout": "abc"}, "encoder.dropout: expected float, got 'abc' (str)"),
        ({"dropout": True}, "encoder.dropout: expected float, got True (bool)"),
        ({"projection_size": 2.0}, "encoder.projection_size: expected int, got 2.0 (float)"),
        ({"projection_size": None}, "encoder.projection_size: expected int, got None (NoneType)"),
        ({"projection_size": "???"}, "encoder.projection_size: missing; give a value of type int"),
        ({"skip": 1}, "encoder.skip: expected bool, got 1 (int)"),
        ({"max_size": True}, "encoder.max_size: expected int | None, got True (bool)"),
        ({"filters": [[1, "a"]]}, "encoder.filters[0][1]: expected int, got 'a' (str)"),
        ({"filters": [1]}, "encoder.filters[0]: expected list[int], got 1 (int)"),
        ({"filters": 1}, "encoder.filters: expected list[list[int]] | None, got 1 (int)"),
        ({"options": [1]}, "encoder.options: expected dict[str, Any] | None, got [1] (list)"),
        ({"activation": "relo"}, "encoder.activation: unknown choice 'relo'; nearest: relu"),
        ({"activation": 1}, "encoder.activation: expected Literal['relu', 'tanh'], got 1 (int)"),
        ({"pooling": "mena"}, "encoder.pooling: unknown choice 'mena'; nearest: mean"),
    ],
)
def test_each_fault_has_one_line(arguments: dict[str, object], line: str) -> None:
    assert tower_faults(**arguments) == [line]


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ({"type": "towr"}, "encoder.type: unknown encoder 'towr'; nearest: tower"),
        ({"type": "zzz"}, "encoder.type: unknown encoder 'zzz'; one of: corpus_reader, tower"),
        (
            {"type": "spaces"},
            "encoder.type: 'spaces' is of kind tokenizer, not encoder; one of: corpus_reader, tower",
        ),
        ({"size": 3}, "encoder.type: missing; one of: corpus_reader, tower"),
        ({"type": 3}, "encoder.type: expected the name of a component (str), got 3 (int)"),
        ("tower", "encoder: expected a mapping with `type`, got 'tower' (str)"),
        ({"type": "tower"}, "encoder.projection_size: missing; give a value of type int"),
    ],
)
def test_a_node_without_a_known_type_or_a_required_argument_is_refused(node: object, line: str) -> None:
    assert REGISTRY.check("encoder", node) == [line]


def test_all_faults_are_said_at_once_and_building_raises_them() -> None:
    node = {"type": "tower", "projection_sise": 3, "dropout": "abc"}
    faults = REGISTRY.check("encoder", node, where="model.encoder")
    assert [fault.split(":")[0] for fault in faults] == [
        "model.encoder.projection_sise",
        "model.encoder.dropout",
        "model.encoder.projection_size",
    ]
    with pytest.raises(InputError) as raised:
        REGISTRY.build("encoder", node)
    assert len(str(raised.value).splitlines()) == 3


def test_given_arguments_come_from_code_alone() -> None:
    # The annotation of a given argument need not resolve: it may be imported for type checkers only.
    assert REGISTRY.build("encoder", {"type": "corpus_reader", "size": 1}, corpus="c").corpus == "c"
    node = {"type": "corpus_reader", "size": 1, "corpus": 2}
    assert REGISTRY.check("encoder", node, ["corpus"]) == ["encoder.corpus: is set by the program; remove it"]
    (fault,) = REGISTRY.check("encoder", {"type": "tower", "projection_size": 1}, ["seed"])
    assert fault.startswith("encoder.type: ")
    assert fault.endswith("Tower must take the argument 'seed'")


def test_an_unknown_name_raises_with_the_nearest() -> None:
    assert REGISTRY.get("encoder", "tower") is Tower
    assert REGISTRY.names("encoder") == ["corpus_reader", "tower"]
    with pytest.raises(InputError, match="nearest: tower"):
        REGISTRY.get("encoder", "towerr")


def test_a_name_is_taken_once_within_its_kind() -> None:
    with pytest.raises(ValueError, match="encoder 'tower' is already"):
        REGISTRY.register("encoder", "tower")(Spaces)
    REGISTRY.register("corpus kind", "tower")(Spaces)  # of a kind that a plug-in brings
    assert isinstance(REGISTRY.build("corpus kind", {"type": "tower"}), Spaces)
    assert isinstance(REGISTRY.build("encoder", {"type": "tower", "projection_size": 1}), Tower)


def test_loose_constructors_are_refused() -> None:
    class Positional:
        def __init__(self, size: int) -> None: ...

    class Anything:
        def __init__(self, **options: int) -> None: ...

    class Bare:
        def __init__(self, *, size) -> None: ...  # type: ignore[no-untyped-def]

    for cls in (Positional, Anything, Bare):
        with pytest.raises(TypeError, match=cls.__name__):
            REGISTRY.register("encoder", "loose")(cls)
    assert "loose" not in REGISTRY.names("encoder")


def test_discovery_imports_submodules_and_names_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "discovered_plugin" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("")
    (inner / "__init__.py").write_text("")
    (inner / "good.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    REGISTRY.discover("discovered_plugin")
    assert "discovered_plugin.inner.good" in sys.modules
    (inner / "worse.py").write_text("\n\nmistake\n")
    sys.path_importer_cache.clear()
    with pytest.raises(InputError, match=r"cannot import discovered_plugin.inner.worse: NameError.*py:3\)"):
        REGISTRY.discover("discovered_plugin")
    with pytest.raises(InputError, match="cannot import absent_plugin: ModuleNotFoundError"):
        REGISTRY.discover("absent_plugin")
