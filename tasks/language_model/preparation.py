"""From lines of text to numbered words, in parallel: the work that a corpus needs once.

Shape legend: N words (tokens), S sentences, V distinct words (types).
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
_TASK_SIZE = 400_000  # characters that a worker is given at a time, so that handing over costs little
_NUM_TASKS_ALONE = 10  # a text of fewer tasks is done before a worker has started
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class NumberedText(NamedTuple):
    """Some sentences as numbers of words, those of a list of their own."""

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
    """Sentences of numbered words, in the order of the lines, whatever the number of worker processes.

    Close it to end the workers before the text ends.

    Args:
        batches: a source's lines; read only a little ahead of what has been taken.
        tokenizer: is copied to every worker.
        language: for splitting prose.
        num_workers: processes; 1: none but this one; None: one for each core, none for a short text.

    Raises:
        InputError: `name:line: what` for a control character or an endless word.
    """
    tasks = _gather(batches)
    beginning = list(islice(tasks, _NUM_TASKS_ALONE)) if num_workers is None else []
    tasks = chain(beginning, tasks)
    if num_workers == 1 or (num_workers is None and len(beginning) < _NUM_TASKS_ALONE):
        return (number_lines(task, tokenizer, language) for task in tasks)
    return _number_in_parallel(tasks, tokenizer, language, num_workers or _count_cores())


def number_lines(batches: list[LineBatch], tokenizer: Tokenizer, language: str) -> NumberedText:
    """The sentences of some lines; one without words is left out."""
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
    """Batches put together to tasks of about the same size."""
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
    # Spawned, because a fork would copy the locks of torch's and pyarrow's threads as they happen to be.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, _start_worker, (tokenizer, language))
    waiting: deque[Future[NumberedText]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(_number_in_worker, task))
            if len(waiting) > 2 * num_workers:  # no further ahead: the text may be larger than the memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_worker_arguments: tuple[Tokenizer, str]


def _count_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))  # those that the scheduler of a cluster grants
    return os.cpu_count() or 1


def _start_worker(tokenizer: Tokenizer, language: str) -> None:
    global _worker_arguments  # the one way that a pool has to give its workers something once
    _worker_arguments = tokenizer, language
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's affair


def _number_in_worker(task: list[LineBatch]) -> NumberedText:
    return number_lines(task, *_worker_arguments)


def _sentences_of(batch: LineBatch, language: str) -> list[str]:
    lines = [line for line in batch.lines if line]
    if not batch.prose:
        return lines
    return [sentence for line in lines for sentence in split_sentences(line, language=language)]


def _check_characters(batch: LineBatch) -> int:
    """The text's bytes, ends of lines included; InputError names the first control character."""
    text = "\n".join(batch.lines)
    if _CONTROL.search(text):
        index, found = next(
            (i, found) for i, line in enumerate(batch.lines) if (found := _CONTROL.search(line))
        )
        line, start = batch.lines[index], found.start()
        code = ord(found.group())
        what = "NUL character" if code == 0 else f"control character U+{code:04X}"
        column = start - line.rfind("\n", 0, start)
        raise InputError(f"{_place(batch, index, start)}: {what} in column {column}; remove it from the text")
    return len(text.encode("utf-8", "surrogatepass")) + 1


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
