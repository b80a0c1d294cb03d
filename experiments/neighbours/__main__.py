"""Contextual nearest neighbours: `python -m experiments.neighbours model=DIR text=FILE word=WORD`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

from experiments.config.command import run_command
from experiments.neighbours.schema import NeighboursConfig


def main(config: NeighboursConfig, overrides: list[str]) -> None:
    """Print the neighbours of a word's occurrences, and write them and a map if wanted."""
    from experiments.neighbours.command import find_neighbours  # late: importing torch takes a second

    find_neighbours(config)


def run(arguments: Sequence[str]) -> int:
    """Find neighbours as these arguments say, and return the exit code."""
    return run_command(main, config_name="neighbours", arguments=list(_as_hydra_reads(arguments)))


def command() -> int:
    """`elmo-neighbours`, which is `python -m experiments.neighbours`: the exit code."""
    return run(sys.argv[1:])


def _as_hydra_reads(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, in which a word and sentences, each a `query=`, may have any characters.

    Values that are lists or stand in quotes already are left as they are.
    """
    queries = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        is_plain = value != "" and value[0] not in "['\""
        if key == "query" and is_plain and value != "null":
            queries.append(_quoted(value))
        elif key == "word" and is_plain and not re.fullmatch(r"[\w,]+", value):
            yield f"word={_quoted(value)}"
        else:
            yield argument
    if queries:
        yield f"query=[{','.join(queries)}]"


def _quoted(text: str) -> str:
    """A text in quotes, as Hydra's grammar reads it, in which nothing is interpolated."""
    escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ("\\" + found[2]) * bool(found[2]), text)
    return f'"{escaped}"'.replace("${", "\\${")


if __name__ == "__main__":
    sys.exit(command())
