"""Sentences of a stream: the lines of a file, and windows of them that are embedded together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from elmo.errors import InputError


def windows(sentences: Iterable[list[str]], num_words: int) -> Iterator[list[list[str]]]:
    """Split a stream into lists of at least one sentence and about `num_words` words, markers included."""
    window: list[list[str]] = []
    room = num_words
    for sentence in sentences:
        window.append(sentence)
        room -= len(sentence) + 2
        if room <= 0:
            yield window
            window, room = [], num_words
    if window:
        yield window


def read_lines(path: Path, numbers: dict[str, str] | None) -> Iterator[list[str]]:
    """The words of each line, lazily; enters each line and its number (from 0, as a str) into `numbers`."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    with file:
        for number, raw in enumerate(file):
            try:
                line = raw.decode("utf-8-sig" if number == 0 else "utf-8").strip()
            except UnicodeDecodeError as error:
                wrong = raw[error.start]
                raise InputError(f"{path}:{number + 1}: invalid UTF-8 (0x{wrong:02x})") from error
            if numbers is not None:
                numbers[line] = str(number)
            yield line.split()
