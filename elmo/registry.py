"""The registry: builds components from config nodes by name, and reports all faults of a node at once."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import traceback
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

from elmo.errors import InputError, shown, shown_with_type, suggest
from elmo.values import hint_name, range_faults, read_value

MISSING_VALUE = "???"  # OmegaConf's mark for a value that the user must set


class _HasType:
    """The range of a component's config node: it names its type."""

    def holds(self, value: Any) -> bool:
        """Whether a mapping names a type."""
        return isinstance(value.get("type"), str)

    def expected(self, value: Any) -> str:
        """The mapping in words."""
        return "a mapping with `type`"


ComponentNode = Annotated[Mapping[str, Any], _HasType()]

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

        From then on its constructor refuses, with an InputError, values outside of the ranges in its
        annotations (see `elmo.values`), however it is called.

        Raises:
            ValueError: the name is taken.
            TypeError: the constructor has an argument that is not keyword-only or not annotated.
        """

        def enter(cls: Class) -> Class:
            other = self._classes.get(kind, {}).get(name)
            if other is not None:
                raise ValueError(f"{_full_name(cls)}: {kind} {name!r} is already {_full_name(other)}")
            _refuse_loose_constructor(cls)
            if _parameters(cls):
                cls.__init__ = _with_ranges(cls.__init__, kind)  # type: ignore[misc]
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
        if not isinstance(name, str):
            return f"expected the name of a component (str), got {shown_with_type(name)}"
        if name in self._classes.get(kind, {}):
            return None
        others = " or ".join(self.kinds_of(name))
        if not others:
            return f"unknown {kind} {shown(name)}{suggest(name, self.names(kind))}"
        return f"{shown(name)} is of kind {others}, not {kind}{suggest(name, self.names(kind))}"

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


def _read_arguments(
    cls: type, node: Mapping[str, Any], given: Collection[str], where: str
) -> tuple[dict[str, Any], list[str]]:
    parameters = _parameters(cls)
    hints = _hints(vars(cls).get("__init__"), [name for name in parameters if name not in given])
    arguments: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in node.items():
        if key == "type":
            continue
        if key in given:
            faults.append(f"{where}.{key}: is set by the program; remove it")
        elif key not in hints:
            faults.append(f"{where}.{shown(key, str)}: unknown key{suggest(str(key), hints)}")
        elif isinstance(value, str) and value == MISSING_VALUE:
            faults.append(f"{where}.{key}: missing; give a value of type {hint_name(hints[key])}")
        else:
            arguments[key] = read_value(value, hints[key], f"{where}.{key}", faults)
    for key, hint in hints.items():
        if key not in node and parameters[key].default is inspect.Parameter.empty:
            faults.append(f"{where}.{key}: missing; give a value of type {hint_name(hint)}")
    for key in given:
        if key not in parameters:
            faults.append(f"{where}.type: {_full_name(cls)} must take the argument {key!r}")
    return arguments, faults


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    # A class without a constructor inherits the one of object, or of typing.Protocol; neither takes
    # arguments, although the signature of the second has *args.
    init: Any = vars(cls).get("__init__", cls.__init__)  # type: ignore[misc]
    if init is object.__init__ or init.__module__ == "typing":
        return {}
    parameters = dict(inspect.signature(init).parameters)
    parameters.pop(next(iter(parameters)))  # self
    return parameters


def _hints(init: Any, names: Collection[str]) -> dict[str, Any]:
    """The resolved annotations of the named constructor arguments, in the constructor's order.

    The others are not resolved: their annotations may use names that are only imported for type checkers.
    """
    if not names:
        return {}

    def stub() -> None: ...

    stub.__annotations__ = {name: init.__annotations__[name] for name in names}
    scope = inspect.unwrap(init).__globals__
    resolved = typing.get_type_hints(stub, globalns=scope, include_extras=True)
    return {name: resolved[name] for name in names}


def _with_ranges(init: Callable[..., None], kind: str) -> Callable[..., None]:
    """A constructor that refuses arguments outside of their annotations' ranges."""

    @functools.cache
    def hint_of(name: str) -> Any:
        try:
            return _hints(init, [name])[name]
        except (KeyError, NameError):  # no such argument; or a class that only type checkers import
            return Any

    @functools.wraps(init)
    def checked(self: Any, **arguments: Any) -> None:
        faults = [
            fault
            for name, value in arguments.items()
            for fault in range_faults(value, hint_of(name), f"{kind}.{name}")
        ]
        if faults:
            raise InputError("\n".join(faults))
        init(self, **arguments)

    return checked


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
