"""Overrides as text: values written so that Hydra reads them again, and lists of them merged by key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from elmo.errors import InputError
from experiments.io.run_record import flatten

_PLAIN = re.compile(r"[A-Za-z_/.][\w/.\-]*")
_WORDS = {"null", "true", "false", "nan", "inf"}


def value_text(value: Any) -> str:
    """A plain value as Hydra writes it on a command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{value_text(key)}:{value_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        # Backslashes are themselves, but for those before a quotation mark.
        escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
        return f"'{escaped}'"
    return str(value)


def override_texts(values: Mapping[str, Any]) -> list[str]:
    """The overrides that a mapping of a file stands for, in which keys are dotted or nested."""
    return [f"{key}={value_text(value)}" for key, value in flatten(values).items()]


def key_of(text: str) -> str:
    """The key of an override, without the sign before it."""
    return text.lstrip("+~").partition("=")[0]


def merged(*parts: Iterable[str]) -> list[str]:
    """The overrides of all parts; of several with the same key the last one."""
    return list({key_of(text): text for part in parts for text in part}.values())


def swept_texts(text: str) -> list[str]:
    """The values of an override such as `seed=1,2` or `seed=range(1,6)`, as text; one if it is not swept.

    Raises:
        InputError: it cannot be read, or has no list of values, as `interval(0,1)` has none.
    """
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise InputError(f"{text}: cannot be read; {str(error).splitlines()[0]}") from error
    if not override.is_sweep_override():
        return [text.partition("=")[2]]
    if not override.is_discrete_sweep():
        raise InputError(f"{text}: has no list of values, which a sweep needs; experiments.tune searches it")
    return list(override.sweep_string_iterator())


def read_value(text: str) -> Any:
    """The plain value that stands behind `=` in an override."""
    value: Any = OverridesParser.create().parse_override(f"key={text}").value()
    return value
