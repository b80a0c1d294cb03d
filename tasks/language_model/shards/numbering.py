"""Turns lines into sentences of numbered words, in parallel.

Shape legend: N words (tokens), S sentences.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from elmo.errors import InputError
from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers import Tokenizer
from tasks.sources.text.source import LineBatch

MAX_WORD_LENGTH = 1000  # characters; the encoder reads 48 bytes, so a longer one is a mistake in the text
TASK_SIZE = 400_000  # characters per task of a worker: large enough that the transfer costs little
_NUM_TASKS_ALONE = 10  # with fewer tasks, one process is done before a worker has started
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


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
    tasks: Iterable[list[LineBatch]], tokenizer: Tokenizer, *, language: str, num_workers: int | None
) -> Generator[NumberedText, None, None]:
    """Sentences of numbered words of each task, in the order of the tasks, for any number of processes.

    Close the generator to stop the workers before the end of the text.

    Args:
        tasks: of `gather`; they are read only a little ahead of the results.
        tokenizer: copied to every worker.
        language: for sentence splitting.
        num_workers: number of processes; 1: only this one; None: one for each core, only this one for a short
            text.

    Raises:
        InputError: `name:line: fault` for a control character or a word that is too long.
    """
    tasks = iter(tasks)
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


def gather(batches: Iterable[LineBatch]) -> Iterator[list[LineBatch]]:
    """Combine batches into tasks of about `TASK_SIZE` characters."""
    task, size = list[LineBatch](), 0
    for batch in batches:
        task.append(batch)
        size += sum(map(len, batch.lines))
        if size >= TASK_SIZE:
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
