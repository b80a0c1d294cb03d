"""Prepares a corpus once: tokenizes its lines in parallel and writes its sentences as word numbers to disk.

Shape legend: N words (tokens), S sentences, V distinct words (types).
"""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from elmo.errors import InputError
from elmo.files import atomic_directory, written_once
from elmo.text.characters import NUM_MARKERS, TypeTable
from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers import Tokenizer
from elmo.text.vocabulary import MARKERS
from tasks.language_model.corpus import FORMAT, Corpus
from tasks.sources.shared.fingerprint import digest_files, fingerprint_of
from tasks.sources.shared.split import Split
from tasks.sources.text.source import LineBatch, Source

Progress: TypeAlias = Callable[[int, int, float | None], None]  # words, sentences, fraction done (or None)

MAX_WORD_LENGTH = 1000  # characters; the encoder reads 48 bytes, so a longer one is a mistake in the text
_TASK_SIZE = 400_000  # characters per task of a worker: large enough that the transfer costs little
_NUM_TASKS_ALONE = 10  # with fewer tasks, one process is done before a worker has started
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def prepare_corpus(
    source: Source,
    tokenizer: Tokenizer,
    *,
    cache_path: Path,
    split: Split,
    seed: int = 1,
    num_workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Opens the corpus of a source's split; prepares it first if needed.

    Args:
        source: the text.
        tokenizer: splits sentences into words.
        cache_path: the directory of all stores; a store's name is a fingerprint of its text and tokenizer.
        split: of the source.
        seed: chooses the part of a training split that is cut.
        num_workers: number of processes that tokenize; 1: only this one; None: one for each core. The result
            does not depend on it.
        progress: called with words, sentences and the fraction done (None if unknown).

    Raises:
        InputError: the text has a fault, or the disk is full; no files are left.
    """
    facts = {
        "format": FORMAT,
        "source": source.describe(split) | source.describe_cut(split, seed=seed),
        "split": split,
        "tokenizer": tokenizer.fingerprint(),
        "sentencex": importlib.metadata.version("sentencex"),
    }
    key = digest_files(facts, cache_path=cache_path)
    fingerprint = fingerprint_of(key, cache_path=cache_path)
    path = cache_path / fingerprint
    if not path.exists():
        with written_once(path):
            if not path.exists():  # another process may have prepared it meanwhile
                lines = source.read_lines(split, seed=seed)
                texts = number_words(lines, tokenizer, language=source.language, num_workers=num_workers)
                _prepare(path, texts, {**key, "fingerprint": fingerprint}, source.num_bytes(split), progress)
    return Corpus(path)


def _prepare(
    path: Path,
    texts: Generator[NumberedText, None, None],
    key: Mapping[str, Any],
    num_bytes: int | None,
    progress: Progress | None,
) -> None:
    # On a file system without locks, another process may do the same (FileExistsError): its result is opened.
    with closing(texts), suppress(FileExistsError), atomic_directory(path) as aside:
        totals = _write_store(aside, texts, num_bytes, progress)
        if not totals["num_tokens"]:
            raise InputError(f"data: the {key['split']} text has no words")
        (aside / "meta.json").write_text(json.dumps({**key, **totals}, indent=2), encoding="utf-8")


class NumberedText(NamedTuple):
    """Some sentences as numbers of words in a list of distinct words."""

    words: list[str]  # distinct, by first appearance
    ids_N: np.ndarray  # int32 positions in `words`
    lengths_S: np.ndarray  # int64 words of each sentence
    num_bytes: int  # of the text, for the progress bar


class _Numbering(dict[str, int]):
    """Gives each new word the next number."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def number_words(
    batches: Iterable[LineBatch], tokenizer: Tokenizer, *, language: str, num_workers: int | None
) -> Generator[NumberedText, None, None]:
    """Sentences of numbered words, in the order of the lines, for any number of worker processes.

    Close the generator to stop the workers before the end of the text.

    Args:
        batches: a source's lines; they are read only a little ahead of the results.
        tokenizer: copied to every worker.
        language: for sentence splitting.
        num_workers: number of processes; 1: only this one; None: one for each core, only this one for a short
            text.

    Raises:
        InputError: `name:line: fault` for a control character or a word that is too long.
    """
    tasks = _gather(batches)
    beginning = list(islice(tasks, _NUM_TASKS_ALONE)) if num_workers is None else []
    tasks = chain(beginning, tasks)
    if num_workers == 1 or (num_workers is None and len(beginning) < _NUM_TASKS_ALONE):
        return (number_lines(task, tokenizer, language) for task in tasks)
    return _number_in_parallel(tasks, tokenizer, language, num_workers or _count_cores())


def number_lines(batches: list[LineBatch], tokenizer: Tokenizer, language: str) -> NumberedText:
    """The sentences of some lines as word numbers, without empty sentences."""
    numbering = _Numbering()
    ids, lengths, num_bytes = list[np.ndarray](), list[int](), 0
    for batch in batches:
        num_bytes += _check_characters(batch)
        num_known = len(numbering)
        sentences = tokenizer.tokenize_batch(_sentences_of(batch, language))
        lengths += [len(words) for words in sentences if words]
        ids.append(np.fromiter(map(numbering.__getitem__, chain.from_iterable(sentences)), dtype=np.int32))
        _check_lengths(islice(numbering, num_known, None), batch)
    return NumberedText(list(numbering), np.concatenate(ids), np.array(lengths, dtype=np.int64), num_bytes)


def _gather(batches: Iterable[LineBatch]) -> Iterator[list[LineBatch]]:
    """Combine batches into tasks of about `_TASK_SIZE` characters."""
    task, size = list[LineBatch](), 0
    for batch in batches:
        task.append(batch)
        size += sum(map(len, batch.lines))
        if size >= _TASK_SIZE:
            yield task
            task, size = [], 0
    if task:
        yield task


def _number_in_parallel(
    tasks: Iterable[list[LineBatch]], tokenizer: Tokenizer, language: str, num_workers: int
) -> Generator[NumberedText, None, None]:
    # Spawned: a fork would copy locks that threads of torch and pyarrow may hold, and could then hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, _start_worker, (tokenizer, language))
    waiting: deque[Future[NumberedText]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(_number_in_worker, task))
            if len(waiting) > 2 * num_workers:  # bounded: the text may be larger than the memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_worker_arguments: tuple[Tokenizer, str]


def _count_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))  # the cores that a cluster's scheduler allows
    return os.cpu_count() or 1


def _start_worker(tokenizer: Tokenizer, language: str) -> None:
    global _worker_arguments  # the only way to pass something to a pool's workers once
    _worker_arguments = tokenizer, language
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles interrupts


def _number_in_worker(task: list[LineBatch]) -> NumberedText:
    return number_lines(task, *_worker_arguments)


def _sentences_of(batch: LineBatch, language: str) -> list[str]:
    lines = [line for line in batch.lines if line]
    if not batch.prose:
        return lines
    return [sentence for line in lines for sentence in split_sentences(line, language=language)]


def _check_characters(batch: LineBatch) -> int:
    """The number of bytes of the text, with line ends; InputError names the first control character."""
    text = "\n".join(batch.lines)
    if _CONTROL.search(text):
        index, found = next(
            (i, found) for i, line in enumerate(batch.lines) if (found := _CONTROL.search(line))
        )
        line, start = batch.lines[index], found.start()
        code = ord(found.group())
        kind = "half of a character" if code > 0x7F else "control character"
        what = f"{kind} U+{code:04X}" if code else "NUL character"
        column = start - line.rfind("\n", 0, start)
        raise InputError(f"{_place(batch, index, start)}: {what} in column {column}; remove it from the text")
    return len(text.encode()) + 1


def _check_lengths(new_words: Iterable[str], batch: LineBatch) -> None:
    longest = max(new_words, key=len, default="")
    if len(longest) > MAX_WORD_LENGTH:
        places = (
            _place(batch, i, line.find(longest)) for i, line in enumerate(batch.lines) if longest in line
        )
        raise InputError(
            f"{next(places, batch.name)}: word of {len(longest):,} characters ({longest[:20]!r}...), more "
            f"than {MAX_WORD_LENGTH:,}; separate the words, or choose a tokenizer for this language"
        )


def _place(batch: LineBatch, index: int, position: int) -> str:
    """The file and line of a character of a batch's line; a paragraph may span several lines of the file."""
    return f"{batch.name}:{batch.first_line + index + batch.lines[index].count(chr(10), 0, position)}"


class _TypeCounter:
    """The distinct words read so far, their type ids and counts."""

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self._counts_V = np.zeros(1 << 16, dtype=np.int64)

    def add(self, text: NumberedText) -> np.ndarray:
        """Counts some more words and returns their type ids, (N,) int32."""
        types = self.types
        numbers = [types.setdefault(word, len(types) + NUM_MARKERS) for word in text.words]
        type_ids = np.array(numbers, dtype=np.int32)
        while len(self._counts_V) < len(types) + NUM_MARKERS:
            self._counts_V = np.concatenate([self._counts_V, np.zeros_like(self._counts_V)])
        self._counts_V[type_ids] += np.bincount(text.ids_N, minlength=len(type_ids))
        return type_ids[text.ids_N]

    def counts(self, *, num_sentences: int) -> np.ndarray:
        """(V,) counts of all types; each marker occurs once in a sentence."""
        self._counts_V[:NUM_MARKERS] = num_sentences
        return self._counts_V[: len(self.types) + NUM_MARKERS]


def _write_store(
    directory: Path, texts: Iterable[NumberedText], num_bytes: int | None, progress: Progress | None
) -> dict[str, int]:
    """Writes sentences as they arrive, then the types (only these are held in memory). Returns the totals."""
    counter = _TypeCounter()
    num_tokens = num_sentences = num_bytes_done = 0
    tokens_path, sentences_path = directory / "tokens.bin", directory / "sentences.bin"
    with tokens_path.open("wb") as tokens, sentences_path.open("wb") as sentences:
        sentences.write(bytes(8))
        for text in texts:
            tokens.write(counter.add(text).data)
            sentences.write((num_tokens + np.cumsum(text.lengths_S)).data)
            num_tokens += len(text.ids_N)
            num_sentences += len(text.lengths_S)
            num_bytes_done += text.num_bytes
            if progress:
                progress(
                    num_tokens, num_sentences, min(1.0, num_bytes_done / num_bytes) if num_bytes else None
                )
    counts_V = counter.counts(num_sentences=num_sentences)
    num_type_bytes = _write_types(directory, counter.types, counts_V)
    markers = [counter.types[marker] for marker in MARKERS if marker in counter.types]
    return {
        "num_tokens": num_tokens,
        "num_sentences": num_sentences,
        "num_types": len(counts_V),
        "num_type_bytes": num_type_bytes,
        "num_literal_markers": int(counts_V[markers].sum()),
    }


def _write_types(directory: Path, words: Iterable[str], counts_V: np.ndarray) -> int:
    """Writes the table of types and their counts; returns the number of bytes of all words."""
    table = TypeTable.from_words(words)
    for name, array in (("types", table.blob), ("type_offsets", table.offsets), ("counts", counts_V)):
        (directory / f"{name}.bin").write_bytes(array.data)
    return len(table.blob)
