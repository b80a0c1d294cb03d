"""The sentences of a file or of standard input, one by one: plain text or JSON lines, tokenized or raw."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple

from elmo.errors import InputError
from elmo.sentences import split_sentences
from elmo.tokenizers import Tokenizer

STANDARD_STREAM = "-"
MAX_LINE_BYTES = 1_000_000
MAX_SENTENCE_WORDS = 5000  # one sentence is computed at once: its memory must have a bound
DEFAULT_FIELD = "text"
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_BATCH_LINES = 256
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Sentence(NamedTuple):
    """A sentence and the number, from 1, of the line it stands in."""

    line: int
    words: list[str]


class SentenceReader:
    """Reads sentences in constant memory, however long the text is.

    Without `prose`, every line is one sentence, and a blank one is a sentence without words; with it, a line
    is a text of any number of sentences. A line of JSON has an object whose `field` holds the text, or a
    list of words, which stand for one sentence as they are.

    Args:
        source: a path, of plain or gzip text, or `-` for standard input. UTF-8.
        tokenizer: makes words of a text.
        field: of JSON lines; None: `text` where the file's name is that of JSON lines, otherwise plain text.
        prose: whether texts are split into sentences.
        language: ISO 639-1, for splitting.

    Attributes:
        name: begins the messages about a line.
        fraction: the share of the file that has been read; of standard input, 0 up to its end.

    Raises:
        InputError: the file is not there, or cannot be read.
    """

    def __init__(
        self, source: str, *, tokenizer: Tokenizer, field: str | None, prose: bool, language: str
    ) -> None:
        self.name = "stdin" if source == STANDARD_STREAM else source
        self._path = None if source == STANDARD_STREAM else _checked_path(source)
        if field is None and source.endswith(_JSON_SUFFIXES):
            field = DEFAULT_FIELD
        self._tokenizer, self._field = tokenizer, field
        self._prose, self._language = prose, language
        self.fraction = 0.0

    def __iter__(self) -> Iterator[Sentence]:
        """The sentences in order.

        Raises:
            InputError: `name:line: what`: no UTF-8, a NUL or another control character, an endless line or
                sentence, no JSON, no such field; or a damaged gzip file.
        """
        with self._opened() as (file, raw):
            batch: list[tuple[int, str | list[str]]] = []
            for number in count(1):
                line = file.readline(MAX_LINE_BYTES)
                if not line:
                    break
                batch.append((number, self._text(number, self._decoded(number, line))))
                if len(batch) == _BATCH_LINES:
                    self.fraction = _share_read(raw)
                    yield from self._sentences(batch)
                    batch = []
        self.fraction = 1.0
        yield from self._sentences(batch)

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, IO[bytes] | None]]:
        """What to read lines from, and the file whose size and position tell how far it is."""
        if self._path is None:
            yield sys.stdin.buffer, None
            return
        try:
            with self._path.open("rb") as raw:
                if self._path.suffix != ".gz":
                    yield raw, raw
                    return
                with gzip.GzipFile(fileobj=raw) as unzipped:
                    yield unzipped, raw
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{self.name}: damaged gzip file ({error})") from error

    def _decoded(self, number: int, line: bytes) -> str:
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise InputError(
                f"{self.name}:{number}: line of {MAX_LINE_BYTES:,} bytes or more; expected a sentence or a "
                "paragraph a line"
            )
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"0x{line[error.start]:02x}"
            raise InputError(
                f"{self.name}:{number}: invalid UTF-8 at byte {error.start + 1} ({byte}); convert the text"
            ) from error
        return text.removesuffix("\n").removesuffix("\r").removeprefix("\ufeff" if number == 1 else "")

    def _text(self, number: int, line: str) -> str | list[str]:
        """What a line holds: a text, or a sentence's words."""
        text = line if self._field is None or not line.strip() else self._of_json(number, line, self._field)
        for part in [text] if isinstance(text, str) else text:
            found = _CONTROL.search(part)
            if found and not (self._field is not None and found.group() in "\r\n"):
                code = ord(found.group())
                kind = "half of a character" if code > 0x7F else "control character"
                what = f"{kind} U+{code:04X}" if code else "NUL character"
                raise InputError(f"{self.name}:{number}: {what}; remove it from the text")
        return text

    def _of_json(self, number: int, line: str, field: str) -> str | list[str]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.name}:{number}: no JSON ({error})") from error
        if not isinstance(row, dict) or field not in row:
            held = ", ".join(map(str, row)) if isinstance(row, dict) else f"a {type(row).__name__}"
            raise InputError(
                f"{self.name}:{number}: expected an object with {field!r}, got {held or 'an empty one'}; "
                "field= names another"
            )
        value: Any = row[field]
        if not isinstance(value, str) and not (
            isinstance(value, list) and all(isinstance(word, str) for word in value)
        ):
            shown = json.dumps(value)
            raise InputError(
                f"{self.name}:{number}: {field}: expected a text or a list of words, got {shown[:40]}"
            )
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
    """Sentences in runs of about so many words, markers counted; where one ends depends on the text alone."""
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


def _share_read(file: IO[bytes] | None) -> float:
    size = os.fstat(file.fileno()).st_size if file else 0
    return min(1.0, file.tell() / size) if file and size else 0.0  # a pipe has no size


def _checked_path(source: str) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        raise InputError(f"input: {source} is a directory, expected a file")
    if not path.exists():
        raise InputError(f"input: no such file: {source}")
    if not os.access(path, os.R_OK):
        raise InputError(f"input: {source} cannot be read (permission denied)")
    return path
