"""The exception for faults in the user's input: text, files, options, sizes."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

LONGEST_LINE = 1000  # letters
LONGEST_MESSAGE = 2000


class InputError(ValueError):
    """A fault in the user's input; its message is one line: what, where (`file:line` or config key), what to
    do.

    Commands print the line without a traceback and exit with code 2. Any other exception is a bug in the
    program. Of several faults each has a line. Damaged files give values of any length: a long line loses its
    middle, and of very many lines the first are kept.
    """

    def __init__(self, message: str) -> None:
        lines = [
            line if len(line) <= LONGEST_LINE else f"{line[:700]} ... {line[-200:]}"
            for line in message.split("\n")
        ]
        ends = list(itertools.accumulate(len(line) + 1 for line in lines))
        if ends[-1] > LONGEST_MESSAGE:
            # The last line has room, too: a message that is made of this one is not shortened again.
            kept = [line for line, end in zip(lines, ends, strict=True) if end < LONGEST_MESSAGE - 100]
            lines = [*kept, f"... and {len(lines) - len(kept):,} more"]
        super().__init__("\n".join(lines))


def shown(value: object, write: Callable[[object], str] = repr) -> str:
    """The text of a value for an error message, at most 60 characters; `write` converts it to text."""
    text = write(value)
    return text if len(text) <= 60 else text[:57] + "..."


def reason_of(error: Exception) -> str:
    """What an exception of a library says, in one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


@contextmanager
def faults_of(name: object) -> Iterator[None]:
    """Within the block, each line of an InputError begins with `name`, such as the file's."""
    try:
        yield
    except InputError as error:
        raise InputError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from error


def shown_with_type(value: object) -> str:
    """`shown`, followed by the name of the value's type."""
    return f"{shown(value)} ({type(value).__name__})"


def suggest(name: str, valid: Iterable[str]) -> str:
    """The end of an error message about a name: the nearest valid names, or all of them if none is near."""
    valid, name = sorted(valid), name[:100]
    by_lower = {choice.lower(): choice for choice in valid}
    near = [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)]
    if near:
        return f"; nearest: {', '.join(near)}"
    return f"; one of: {', '.join(valid)}" if valid else "; there is none"
