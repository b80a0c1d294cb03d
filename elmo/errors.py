"""The one exception for faults in what the user gave: text, files, options, sizes."""

from __future__ import annotations

from collections.abc import Callable


class InputError(ValueError):
    """A fault in the user's input, said in one line: what, where (`file:line` or config key), what to do.

    Commands print the line without a traceback and exit with code 2. Any other exception is a
    defect of the program.
    """


def shown(value: object, write: Callable[[object], str] = repr) -> str:
    """A value as an error line shows it, cut behind 60 characters; `write` gives its text."""
    text = write(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown_with_type(value: object) -> str:
    """`shown`, and the name of the value's type."""
    return f"{shown(value)} ({type(value).__name__})"
