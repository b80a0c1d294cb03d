"""Reads sentences one at a time from a file or standard input: plain text or JSON lines, tokenized or raw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from elmo.errors import InputError
from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers import Tokenizer
from experiments.io.line_reader import LineReader
from tasks.sources.shared.compression import plain_name

MAX_LINE_BYTES = 1_000_000
MAX_SENTENCE_WORDS = 5000  # one sentence is computed at once: its memory must have a bound
DEFAULT_FIELD = "text"
_JSON_SUFFIXES = (".jsonl", ".ndjson")
_BATCH_LINES = 256
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Sentence(NamedTuple):
    """A sentence and the number, from 1, of its line."""

    line: int
    words: list[str]


class SentenceReader:
    """Reads sentences in constant memory, however long the text is.

    Without `prose`, every line is one sentence, and a blank one is a sentence without words; with it, a line
    is a text of any number of sentences. A line of JSON has an object whose `field` holds the text, or a
    list of words, which stand for one sentence as they are.

    Args:
        source: a path, perhaps of a compressed file, or `-` for standard input. UTF-8.
        tokenizer: splits a text into words.
        field: of JSON lines; None: `text` where the file's name is that of JSON lines, otherwise plain text.
        prose: whether texts are split into sentences.
        language: ISO 639-1, for splitting.

    Attributes:
        name: of the source, for error messages.

    Raises:
        InputError: the file is not there, or cannot be read.
    """

    def __init__(
        self, source: str, *, tokenizer: Tokenizer, field: str | None, prose: bool, language: str
    ) -> None:
        self._lines = LineReader(source, max_bytes=MAX_LINE_BYTES)
        self.name = self._lines.name
        if field is None and plain_name(Path(source)).endswith(_JSON_SUFFIXES):
            field = DEFAULT_FIELD
        self._tokenizer, self._field = tokenizer, field
        self._prose, self._language = prose, language

    @property
    def fraction(self) -> float:
        """The share of the file that has been read; for standard input 0 until its end."""
        return self._lines.fraction

    def __iter__(self) -> Iterator[Sentence]:
        """The sentences in order.

        Raises:
            InputError: `name:line: what`: no UTF-8, a NUL or another control character, an endless line or
                sentence, no JSON, no such field; or a damaged gzip file.
        """
        batch: list[tuple[int, str | list[str]]] = []
        for number, line in self._lines:
            try:
                batch.append((number, self._text(self._lines.decode(line))))
            except InputError as error:
                raise InputError(f"{self.name}:{number}: {error}") from error
            if len(batch) == _BATCH_LINES:
                yield from self._sentences(batch)
                batch = []
        yield from self._sentences(batch)

    def _text(self, line: str) -> str | list[str]:
        """The content of a line: a text, or the words of a sentence."""
        text = line if self._field is None or not line.strip() else self._of_json(line, self._field)
        for part in [text] if isinstance(text, str) else text:
            found = _CONTROL.search(part)
            if found and not (self._field is not None and found.group() in "\r\n"):
                code = ord(found.group())
                kind = "half of a character" if code > 0x7F else "control character"
                what = f"{kind} U+{code:04X}" if code else "NUL character"
                raise InputError(f"{what}; remove it from the text")
        return text

    def _of_json(self, line: str, field: str) -> str | list[str]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"no JSON ({error})") from error
        if not isinstance(row, dict) or field not in row:
            held = ", ".join(map(str, row)) if isinstance(row, dict) else f"a {type(row).__name__}"
            raise InputError(
                f"expected an object with {field!r}, got {held or 'an empty one'}; field= names another"
            )
        value: Any = row[field]
        if not isinstance(value, str) and not (
            isinstance(value, list) and all(isinstance(word, str) for word in value)
        ):
            shown = json.dumps(value)
            raise InputError(f"{field}: expected a text or a list of words, got {shown[:40]}")
        return value

    def _sentences(self, batch: list[tuple[int, str | list[str]]]) -> Iterator[Sentence]:
        texts: list[tuple[int, str]] = []
        for number, text in batch:
            if isinstance(text, list):
                continue
            parts = split_sentences(text, language=self._language) if self._prose else [text]
            texts += [(number, part) for part in parts]
        tokenized = self._tokenizer.tokenize_batch([text for _, text in texts])
        found = [Sentence(number, words) for (number, _), words in zip(texts, tokenized, strict=True)]
        found += [Sentence(number, text) for number, text in batch if isinstance(text, list)]
        for sentence in sorted(
            found, key=lambda sentence: sentence.line
        ):  # stable: the order of a line stays
            if len(sentence.words) > MAX_SENTENCE_WORDS:
                raise InputError(
                    f"{self.name}:{sentence.line}: sentence of {len(sentence.words):,} words, more than "
                    f"{MAX_SENTENCE_WORDS:,}; split the text into sentences (prose=true does)"
                )
            yield sentence


def windows(sentences: Iterator[Sentence], *, num_words: int) -> Iterator[list[Sentence]]:
    """Windows of about `num_words` words, sentence markers included; their ends depend on the text alone."""
    window: list[Sentence] = []
    size = 0
    for sentence in sentences:
        window.append(sentence)
        size += len(sentence.words) + 2
        if size >= num_words:
            yield window
            window, size = [], 0
    if window:
        yield window
