"""The tokens of a text as arrays on disk: a text is read once, and kept for later queries.

Shape legend: N tokens, S sentences with words.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from elmo.errors import InputError
from elmo.files import atomic_directory, written_once
from elmo.json_file import read_json
from experiments.io.sentence_reader import Sentence

FORMAT = 1  # of the files; if it changes, all texts are read again
NO_SENSE = -1
_TOKENS_FILE, _SENTENCES_FILE, _NAMES_FILE = "tokens.bin", "sentences.npy", "names.json"
_TOKEN = np.dtype([("type", "<i4"), ("sense", "<i4")])
_SENTENCE = np.dtype([("start", "<i8"), ("line", "<i8"), ("digest", "<u8")])
_MOST_SUGGESTED = 3


class TextSentence(NamedTuple):
    """A sentence, the number of its first line, and the sense of each word, where it is known.

    `senses` of length zero: no sense is known.
    """

    line: int
    words: Sequence[str]
    senses: Sequence[str | None] = ()


class TokenTable:
    """The tokens of a text.

    Args:
        path: a directory that `open_tokens` has written.

    Attributes:
        key: the directory's name, which the text and its tokenizer decide.
        types: the distinct words, in the order of the text.
        types_N: the number of each token's type, memory-mapped.
        senses: the names of the senses; empty if none is known.
        senses_N: the number of each token's sense, or `NO_SENSE`; memory-mapped.
        starts_S: the first token of each sentence.
        lines_S: the line, from 1, on which it begins.
        digests_S: a hash of its words: equal sentences have equal ones.
    """

    def __init__(self, path: Path) -> None:
        self.key = path.name
        names = read_json(path / _NAMES_FILE)
        self.types: list[str] = names["types"]
        self.senses: list[str] = names["senses"]
        tokens_N = np.memmap(path / _TOKENS_FILE, _TOKEN, mode="r")
        self.types_N, self.senses_N = tokens_N["type"], tokens_N["sense"]
        sentences_S = np.load(path / _SENTENCES_FILE, allow_pickle=False)
        self.starts_S, self.lines_S = sentences_S["start"], sentences_S["line"]
        self.digests_S = sentences_S["digest"]

    @property
    def num_tokens(self) -> int:
        return len(self.types_N)

    @property
    def num_sentences(self) -> int:
        return len(self.starts_S)

    def rows_of(self, word: str) -> np.ndarray:
        """The tokens that are a word, in order."""
        numbers = {known: number for number, known in enumerate(self.types)}
        return np.flatnonzero(self.types_N == numbers.get(word, -1))

    def sentence_of(self, row: int) -> int:
        """The sentence of a token."""
        return int(np.searchsorted(self.starts_S, row, side="right")) - 1

    def range_of(self, sentence: int) -> tuple[int, int]:
        """The first token of a sentence and the one behind its last."""
        ends = self.starts_S[sentence + 1 : sentence + 2]
        return int(self.starts_S[sentence]), int(ends[0]) if len(ends) else self.num_tokens

    def words_of(self, sentence: int) -> list[str]:
        """The words of a sentence."""
        start, stop = self.range_of(sentence)
        return [self.types[number] for number in self.types_N[start:stop].tolist()]

    def sense_of(self, row: int) -> str | None:
        """The sense of a token, where it is known."""
        number = int(self.senses_N[row])
        return None if number == NO_SENSE else self.senses[number]

    def sentences(self, start: int = 0) -> Iterator[Sentence]:
        """The sentences from a number on, one at a time in memory."""
        for sentence in range(start, self.num_sentences):
            yield Sentence(int(self.lines_S[sentence]), self.words_of(sentence))

    def equal_sentences(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """The ranges of tokens of all sentences of the same words."""
        return [
            self.range_of(sentence)
            for sentence in np.flatnonzero(self.digests_S == digest_of(words)).tolist()
        ]

    def first_of_equals(self) -> np.ndarray:
        """(N,) bool: whether a token stands in the first of the sentences that have the same words."""
        is_first_S = np.zeros(self.num_sentences, dtype=bool)
        is_first_S[np.unique(self.digests_S, return_index=True)[1]] = True
        lengths_S = np.diff(self.starts_S, append=self.num_tokens)
        return np.repeat(is_first_S, lengths_S)

    def nearest_spellings(self, word: str) -> list[str]:
        """The types that look most like a word; first of all those that differ in their case alone."""
        same = [known for known in self.types if known.lower() == word.lower()]
        length = len(word)
        alike = [known for known in self.types if abs(len(known) - length) <= max(1, length // 3)]
        near = difflib.get_close_matches(word, alike, n=_MOST_SUGGESTED, cutoff=0.6)
        return list(dict.fromkeys([*same, *near]))[:_MOST_SUGGESTED]


def open_tokens(path: Path, read: Callable[[], Iterable[TextSentence]], *, name: str) -> TokenTable:
    """The tokens that a directory holds; if there is none yet, those of the sentences, written there.

    Args:
        path: of the directory, named by all that decides the tokens.
        read: the sentences of the text, if they are needed.
        name: of the text, for error messages.

    Raises:
        InputError: the text has no word, or the directory cannot be written.
    """
    if not path.is_dir():
        with written_once(path):
            if not path.is_dir():  # another process may have written it meanwhile
                with suppress(FileExistsError), atomic_directory(path) as aside:
                    _write(aside, read(), name)
    return TokenTable(path)


def digest_of(words: Sequence[str]) -> np.uint64:
    """A hash of a sentence's words."""
    text = "\0".join(words).encode("utf-8", "surrogatepass")
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))


def _write(path: Path, sentences: Iterable[TextSentence], name: str) -> None:
    types: dict[str, int] = {}
    senses: dict[str, int] = {}
    starts, lines, digests, num_tokens = array("q"), array("q"), array("Q"), 0
    with (path / _TOKENS_FILE).open("wb") as file:
        for line, words, found in sentences:
            if not words:
                continue
            starts.append(num_tokens)
            lines.append(line)
            digests.append(int(digest_of(words)))
            _append(file, words, found, types, senses)
            num_tokens += len(words)
    if not num_tokens:
        raise InputError(f"text: {name} has no words; expected a sentence a line")
    table_S = np.empty(len(starts), dtype=_SENTENCE)
    table_S["start"], table_S["line"], table_S["digest"] = starts, lines, digests
    np.save(path / _SENTENCES_FILE, table_S, allow_pickle=False)
    names = {"types": list(types), "senses": list(senses)}
    (path / _NAMES_FILE).write_text(json.dumps(names), encoding="utf-8")


def _append(
    file: IO[bytes],
    words: Sequence[str],
    found: Sequence[str | None],
    types: dict[str, int],
    senses: dict[str, int],
) -> None:
    """Write the tokens of a sentence; new types and senses get the next numbers."""
    tokens = np.empty(len(words), dtype=_TOKEN)
    tokens["type"] = [types.setdefault(word, len(types)) for word in words]
    tokens["sense"] = [
        NO_SENSE if sense is None else senses.setdefault(sense, len(senses))
        for sense in found or [None] * len(words)
    ]
    file.write(tokens.data)
