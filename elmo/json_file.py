"""Reads JSON files that anybody may have written or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from elmo.errors import InputError, reason_of

MOST_LEVELS = 100  # of nesting; our own files have ten


def read_json(path: Path) -> Any:
    """The content of a JSON file in UTF-8.

    Raises:
        InputError: `path: ` and why it cannot be read.
    """
    if path.exists() and not path.is_file():  # a FIFO would block for ever
        raise InputError(f"{path}: not a file")
    try:
        return parse_json(path.read_bytes(), name=str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def parse_json(data: bytes, *, name: str) -> Any:
    """The content of a JSON text in UTF-8; InputError that begins with `name` if it is none, or nested too
    deeply."""
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON, or damaged ({reason_of(error)})") from error
    if _is_deeper(content, MOST_LEVELS):
        raise InputError(f"{name}: more than {MOST_LEVELS} levels of nesting")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    if not isinstance(content, (list, dict)):
        return False
    items = content.values() if isinstance(content, dict) else content
    nested = [item for item in items if isinstance(item, (list, dict))]  # long lists have numbers
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in nested)
