"""The registry: builds components from config nodes by name, and reports all faults of a node at once."""

from __future__ import annotations

import difflib
import enum
import importlib
import inspect
import pkgutil
import traceback
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from elmo.errors import InputError, shown_with_type

MISSING_VALUE = "???"  # OmegaConf's mark for a value that the user must set
_SCALARS = (bool, int, float, str)

Class = TypeVar("Class", bound=type)


class Registry:
    """Component classes by kind and name; a name is unique within its kind.

    The kinds of this project are its config groups. Registering a class creates its kind, so that a plug-in
    may add kinds of its own.
    """

    def __init__(self) -> None:
        self._classes: dict[str, dict[str, type]] = {}

    def register(self, kind: str, name: str) -> Callable[[Class], Class]:
        """Class decorator that registers a class under `name`.

        Raises:
            ValueError: the name is taken.
            TypeError: the constructor has an argument that is not keyword-only or not annotated.
        """

        def enter(cls: Class) -> Class:
            other = self._classes.get(kind, {}).get(name)
            if other is not None:
                raise ValueError(f"{_full_name(cls)}: {kind} {name!r} is already {_full_name(other)}")
            _refuse_loose_constructor(cls)
            self._classes.setdefault(kind, {})[name] = cls
            return cls

        return enter

    def kinds(self) -> list[str]:
        return sorted(self._classes)

    def names(self, kind: str) -> list[str]:
        return sorted(self._classes.get(kind, {}))

    def kinds_of(self, name: object) -> list[str]:
        """The kinds that have a class of this name."""
        return [kind for kind in self.kinds() if name in self._classes[kind]]

    def get(self, kind: str, name: str) -> type:
        """The class of a name; InputError with the nearest names if there is none."""
        fault = self._name_fault(kind, name)
        if fault:
            raise InputError(f"{kind}.type: {fault}")
        return self._classes[kind][name]

    def check(self, kind: str, node: Any, given: Collection[str] = (), where: str | None = None) -> list[str]:
        """All faults of a config node, one line each that begins with the key; [] if it can be built.

        Args:
            kind: the kind of component.
            node: `{type: <registered name>, argument: value}`.
            given: names of the arguments that the program will pass to `build`.
            where: the node's key in the config; None: the same as `kind`.
        """
        return self._read(kind, node, given, where or kind)[1]

    def build(self, kind: str, node: Mapping[str, Any], **given: Any) -> Any:
        """Build the component that a node describes.

        Args:
            kind: the kind of component.
            node: `{type: <registered name>, argument: value}`.
            given: arguments that the program passes; they must not be in the node.

        Raises:
            InputError: one line for each fault of the node.
        """
        arguments, faults = self._read(kind, node, given, kind)
        if faults:
            raise InputError("\n".join(faults))
        return self._classes[kind][node["type"]](**arguments, **given)

    def discover(self, *packages: str) -> None:
        """Import packages and all their submodules, which registers their classes.

        Raises:
            InputError: names a module that cannot be imported, and the line that failed.
        """
        for package in packages:
            module = _import(package)
            for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{package}."):
                if not found.name.endswith(".__main__"):
                    _import(found.name)

    def _name_fault(self, kind: str, name: object) -> str | None:
        if name in self._classes.get(kind, {}):
            return None
        if not isinstance(name, str):
            return f"expected the name of a component (str), got {shown_with_type(name)}"
        others = " or ".join(self.kinds_of(name))
        if not others:
            return f"unknown {kind} {name!r}{suggest(name, self.names(kind))}"
        return f"{name!r} is of kind {others}, not {kind}{suggest(name, self.names(kind))}"

    def _read(
        self, kind: str, node: Any, given: Collection[str], where: str
    ) -> tuple[dict[str, Any], list[str]]:
        """The constructor's arguments in a node, converted, and the node's faults."""
        if not isinstance(node, Mapping):
            return {}, [f"{where}: expected a mapping with `type`, got {shown_with_type(node)}"]
        name = node.get("type", MISSING_VALUE)
        if name == MISSING_VALUE:
            return {}, [f"{where}.type: missing{suggest('', self.names(kind))}"]
        fault = self._name_fault(kind, name)
        if fault:
            return {}, [f"{where}.type: {fault}"]
        return _read_arguments(self._classes[kind][name], node, given, where)


REGISTRY = Registry()


def suggest(name: str, valid: Iterable[str]) -> str:
    """The end of an error message about a name: the nearest valid names, or all of them if none is near."""
    valid = sorted(valid)
    by_lower = {choice.lower(): choice for choice in valid}
    near = [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)]
    if near:
        return f"; nearest: {', '.join(near)}"
    return f"; one of: {', '.join(valid)}" if valid else "; there is none"


def _read_arguments(
    cls: type, node: Mapping[str, Any], given: Collection[str], where: str
) -> tuple[dict[str, Any], list[str]]:
    parameters = _parameters(cls)
    hints = _hints(cls, [name for name in parameters if name not in given])
    arguments: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in node.items():
        if key == "type":
            continue
        if key in given:
            faults.append(f"{where}.{key}: is set by the program; remove it")
        elif key not in hints:
            faults.append(f"{where}.{key}: unknown key{suggest(str(key), hints)}")
        elif isinstance(value, str) and value == MISSING_VALUE:
            faults.append(f"{where}.{key}: missing; give a value of type {_hint_name(hints[key])}")
        else:
            arguments[key] = _read_value(value, hints[key], f"{where}.{key}", faults)
    for key, hint in hints.items():
        if key not in node and parameters[key].default is inspect.Parameter.empty:
            faults.append(f"{where}.{key}: missing; give a value of type {_hint_name(hint)}")
    for key in given:
        if key not in parameters:
            faults.append(f"{where}.type: {_full_name(cls)} must take the argument {key!r}")
    return arguments, faults


def _read_value(value: Any, hint: Any, where: str, faults: list[str]) -> Any:
    """A config value converted to its annotated type (an int to float, a str to a Path or an Enum member)."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_union(value, hint, where, faults)
    if origin is typing.Literal:
        return _read_choice(value, {choice: choice for choice in inner}, hint, where, faults)
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and not isinstance(value, hint):
        return _read_choice(value, dict(hint.__members__), hint, where, faults)
    container = origin or hint
    if container in (list, tuple, Sequence) and isinstance(value, (list, tuple)):
        item_hint = inner[0] if inner else Any
        return [_read_value(item, item_hint, f"{where}[{i}]", faults) for i, item in enumerate(value)]
    if container in (dict, Mapping) and isinstance(value, Mapping):
        item_hint = inner[1] if inner else Any
        return {key: _read_value(item, item_hint, f"{where}.{key}", faults) for key, item in value.items()}
    return _read_plain(value, hint, container, where, faults)


def _read_plain(value: Any, hint: Any, cls: Any, where: str, faults: list[str]) -> Any:
    if hint is Any:
        return value
    if cls is float and type(value) is int:
        return float(value)
    if cls is Path and isinstance(value, str):
        return Path(value)
    wanted = type(None) if cls is None else cls
    # scalars by exact type: a bool is not accepted as an int
    fits = type(value) is wanted if wanted in _SCALARS else isinstance(value, wanted)
    if not fits:
        faults.append(f"{where}: expected {_hint_name(hint)}, got {shown_with_type(value)}")
    return value


def _read_union(value: Any, hint: Any, where: str, faults: list[str]) -> Any:
    members = typing.get_args(hint)
    if value is None and type(None) in members:
        return None
    for member in members:
        found: list[str] = []
        converted = _read_value(value, member, where, found)
        if not found:
            return converted
        if not found[0].startswith(f"{where}: expected"):  # of this member's type, with a fault inside
            faults.extend(found)
            return value
    faults.append(f"{where}: expected {_hint_name(hint)}, got {shown_with_type(value)}")
    return value


def _read_choice(value: Any, choices: Mapping[Any, Any], hint: Any, where: str, faults: list[str]) -> Any:
    for choice, member in choices.items():
        if type(choice) is type(value) and choice == value:
            return member
    if isinstance(value, str):
        faults.append(f"{where}: unknown choice {value!r}{suggest(value, map(str, choices))}")
    else:
        faults.append(f"{where}: expected {_hint_name(hint)}, got {shown_with_type(value)}")
    return value


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    # A class without a constructor inherits the one of object, or of typing.Protocol; neither takes
    # arguments, although the signature of the second has *args.
    init: Any = vars(cls).get("__init__", cls.__init__)  # type: ignore[misc]
    if init is object.__init__ or init.__module__ == "typing":
        return {}
    parameters = dict(inspect.signature(init).parameters)
    parameters.pop(next(iter(parameters)))  # self
    return parameters


def _hints(cls: type, names: Collection[str]) -> dict[str, Any]:
    """The resolved annotations of the named constructor arguments, in the constructor's order.

    The others are not resolved: their annotations may use names that are only imported for type checkers.
    """
    init: Any = cls.__init__  # type: ignore[misc]
    if not names:
        return {}

    def stub() -> None: ...

    stub.__annotations__ = {name: init.__annotations__[name] for name in names}
    resolved = typing.get_type_hints(stub, globalns=init.__globals__)
    return {name: resolved[name] for name in names}


def _refuse_loose_constructor(cls: type) -> None:
    for name, parameter in _parameters(cls).items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(
                f"{_full_name(cls)}: {parameter} must be a keyword-only argument of the constructor"
            )
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(f"{_full_name(cls)}: argument {name} has no annotation")


def _import(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a user's package may raise anything; its author needs the place in it
        raise InputError(f"cannot import {name}: {type(error).__name__}: {error}{_place(error)}") from error


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return ""  # its message already contains the place
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    outside = [frame for frame in frames if frame.filename != __file__]
    return f" ({outside[-1].filename}:{outside[-1].lineno})" if outside else ""


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _hint_name(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " | ".join(_hint_name(member) for member in typing.get_args(hint))
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return hint.__name__
    return str(hint).replace("typing.", "").replace("collections.abc.", "")
