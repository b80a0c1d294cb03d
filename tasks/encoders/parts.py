"""The parts of a task's encoder: one encoder, or several that are concatenated, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from elmo.bilm.bilm import BiLm, build_bilm
from elmo.errors import InputError
from elmo.io.loading import load_bilm
from elmo.registry import REGISTRY
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.token_encoder import TokenEncoder

Item = TypeVar("Item")
Result = TypeVar("Result")


def build_parts(node: Mapping[str, Any]) -> dict[str, TokenEncoder]:
    """The encoders that an `encoder` node describes, by name.

    The node of a `concat` names its parts; a single encoder has the name of its type, a biLM always `elmo`.

    Raises:
        InputError: one line for each fault of each part, with its full key.
    """
    if node.get("type") == "concat":
        return dict(REGISTRY.build("encoder", node).parts.items())
    part = build_part(node)
    return {"elmo" if isinstance(part, ElmoEncoder) else node["type"]: part}


def build_part(node: Mapping[str, Any]) -> TokenEncoder:
    """The single encoder that a node describes; a biLM is wrapped in an `ElmoEncoder`."""
    if not isinstance(node, Mapping) or "type" not in node:
        raise InputError(REGISTRY.check("encoder", node)[0])
    name = node["type"]
    cls = REGISTRY.get("encoder", name)
    if issubclass(cls, BiLm):
        own = {key: value for key, value in node.items() if key != "state"}
        state = node.get("state", "auto")  # a saved model has it here
        if cls.needs_vocabulary:
            return ElmoEncoder.of_words(own, state=state)
        return ElmoEncoder.of(build_bilm(own), state=state)
    if not issubclass(cls, TokenEncoder):
        raise InputError(f"encoder.type: {name} cannot be a task's encoder or a part of one")
    built: TokenEncoder = REGISTRY.build("encoder", node)
    return built


def initialize_parts(parts: Mapping[str, TokenEncoder], model: str | Path) -> None:
    """Set the biLM among the parts to a pretrained one.

    Args:
        parts: the encoders by name.
        model: a run, a model directory, a directory with official files, or the name of a published model.

    Raises:
        InputError: no part is a biLM, the biLM has other sizes, or the model is missing or damaged.
    """
    bilms = {name: part for name, part in parts.items() if isinstance(part, ElmoEncoder)}
    if not bilms:
        raise InputError("init_from: no biLM in the encoder; choose encoder=elmo or encoder=glove_elmo")
    loaded = load_bilm(model).bilm
    for_each_part(parts, lambda part: part.take(loaded) if isinstance(part, ElmoEncoder) else None)


def check_parts(parts: Mapping[str, TokenEncoder]) -> None:
    """InputError with one line for each part that lacks a model or file to start from."""
    for_each_part(parts, lambda part: part.check())


def saved_node(parts: Mapping[str, TokenEncoder], node: Mapping[str, Any]) -> dict[str, Any]:
    """The `encoder` node for a saved model, made from that of `build_parts`: it needs no other file."""
    if node["type"] != "concat":
        return next(iter(parts.values())).saved_node(node)
    return {**node, "parts": {name: part.saved_node(node["parts"][name]) for name, part in parts.items()}}


def word_lists(parts: Mapping[str, TokenEncoder]) -> dict[str, list[str]]:
    """The word lists that a saved model needs: `part.list` -> words."""
    return {
        f"{name}.{key}": words for name, part in parts.items() for key, words in part.word_lists().items()
    }


def restore_words(parts: Mapping[str, TokenEncoder], lists: Mapping[str, list[str]]) -> None:
    """Restore the result of `word_lists`; parameters then have their shapes, but not yet their values."""
    for name, part in parts.items():
        own = {key.partition(".")[2]: words for key, words in lists.items() if key.startswith(f"{name}.")}
        part.restore_words(_WordLists(own, name=name))


class _WordLists(dict[str, list[str]]):
    """The word lists of a part by key; InputError for a missing one."""

    def __init__(self, lists: Mapping[str, list[str]], *, name: str) -> None:
        super().__init__(lists)
        self._name = name

    def __missing__(self, key: str) -> list[str]:
        raise InputError(f"the word list {self._name}.{key} is missing; copy the model's directory whole")


def for_each_part(items: Mapping[str, Item], do: Callable[[Item], Result]) -> dict[str, Result]:
    """The result of `do` for each part; the InputErrors of all parts are raised as one, with full keys."""
    results: dict[str, Result] = {}
    faults = []
    for name, item in items.items():
        key = "encoder" if len(items) == 1 else f"encoder.parts.{name}"
        try:
            results[name] = do(item)
        except InputError as error:
            faults.append(re.sub(r"^encoder(?=[.:])", key, str(error), flags=re.MULTILINE))
    if faults:
        raise InputError("\n".join(faults))
    return results
