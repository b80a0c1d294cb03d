"""The exception for faults in the user's input: text, files, options, sizes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class InputError(ValueError):
    """A fault in the user's input; its message is one line: what, where (`file:line` or config key), what to
    do.

    Commands print the line without a traceback and exit with code 2. Any other exception is a bug in the
    program.
    """


def shown(value: object, write: Callable[[object], str] = repr) -> str:
    """The text of a value for an error message, at most 60 characters; `write` converts it to text."""
    text = write(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown_with_type(value: object) -> str:
    """`shown`, followed by the name of the value's type."""
    return f"{shown(value)} ({type(value).__name__})"


def suggest(name: str, valid: Iterable[str]) -> str:
    """The end of an error message about a name: the nearest valid names, or all of them if none is near."""
    valid = sorted(valid)
    by_lower = {choice.lower(): choice for choice in valid}
    near = [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)]
    if near:
        return f"; nearest: {', '.join(near)}"
    return f"; one of: {', '.join(valid)}" if valid else "; there is none"
