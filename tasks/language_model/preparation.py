"""Prepares a corpus once: in shards, which several processes may share, then merged into a store."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

from elmo.errors import InputError
from elmo.files import atomic_directory, atomic_write, written_once
from elmo.json_file import read_json
from elmo.text.tokenizers import Tokenizer
from elmo.values import Range, read_record
from tasks.language_model.corpus import FORMAT, Corpus
from tasks.language_model.shards.merging import merge_shards
from tasks.language_model.shards.numbering import NumberedText, gather, number_words
from tasks.language_model.shards.shard import Shard, is_finished, remove_shard, write_shard
from tasks.sources.shared.fingerprint import digest_files, fingerprint_of
from tasks.sources.shared.split import Split
from tasks.sources.text.source import LineBatch, Source

LOG = logging.getLogger(__name__)
Progress: TypeAlias = Callable[[int, int, float | None], None]  # words, sentences, fraction done (or None)

# Of some 400,000 characters: about 10 million words, which are in memory at once. With another number, or
# other tasks, FORMAT has to be another one: the shards of a preparation that goes on would not fit together.
SHARD_TASKS = 128
_DESCRIPTION = 1  # the version of what a fingerprint is made of, which is not the store's format


class _Place(NamedTuple):
    """A shard of a piece."""

    piece: int
    shard: int


@dataclass(frozen=True)
class _End:
    """What is written when a piece was read to its end."""

    num_shards: Annotated[int, Range(0, 10**12)]


@dataclass(frozen=True)
class Part:
    """A process's part of a preparation: number `index`, from 1, of `number`."""

    index: int = 1
    number: int = 1

    @classmethod
    def from_text(cls, text: str) -> Part:
        """The part that `3/16` names; InputError: it is none."""
        found = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", text)
        if found is None or int(found[1]) > int(found[2]):
            raise InputError(f"prepare.part: expected a part such as 3/16, from 1/16 to 16/16, got {text!r}")
        return cls(int(found[1]), int(found[2]))

    def has(self, number: int) -> bool:
        """Whether a piece or a shard with a number from 0 is this part's."""
        return number % self.number == self.index - 1


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

    A preparation that was stopped goes on with the shards that are missing.

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
        InputError: the text has a fault, or the disk is full; nothing but finished shards is left.
    """
    preparation = Preparation(source, tokenizer, cache_path=cache_path, split=split, seed=seed)
    path = preparation.path
    if not path.exists():
        with written_once(path):
            if not path.exists():  # another process may have prepared it meanwhile
                preparation.write_shards(Part(), num_workers=num_workers, progress=progress)
                preparation.merge()
    return Corpus(path)


class Preparation:
    """The preparation of a split: its ledger is a directory of finished shards beside the store.

    A source's text has pieces that can be read each by itself, such as files; each piece has shards, and in
    the end a file with their number. What a shard contains depends on the text alone.
    """

    def __init__(
        self, source: Source, tokenizer: Tokenizer, *, cache_path: Path, split: Split, seed: int = 1
    ) -> None:
        self.source, self.tokenizer = source, tokenizer
        self.split, self.seed = split, seed
        facts = {
            "format": _DESCRIPTION,
            "source": source.describe(split) | source.describe_cut(split, seed=seed),
            "split": split,
            "tokenizer": tokenizer.fingerprint(),
            "sentencex": importlib.metadata.version("sentencex"),
        }
        key = digest_files(facts, cache_path=cache_path)
        fingerprint = fingerprint_of(key, cache_path=cache_path)
        self._key: dict[str, Any] = {**key, "fingerprint": fingerprint, "format": FORMAT}
        self.path = cache_path / f"{fingerprint}-{FORMAT}"
        self.shards_path = cache_path / f"{fingerprint}-{FORMAT}.shards"

    def write_shards(
        self, part: Part, *, num_workers: int | None = None, progress: Progress | None = None
    ) -> None:
        """Writes the shards of a part that are missing.

        Raises:
            InputError: the text has a fault, or the disk is full.
        """
        report = _Report(progress, self.source.num_bytes(self.split), part)
        under_way = deque[_Place]()  # of the tasks that were given to workers
        ended = dict[int, int]()  # pieces that were read to their end, and the number of their shards

        def tasks() -> Iterator[list[LineBatch]]:
            for place, task in self._missing_tasks(part, ended, report):
                under_way.append(place)
                yield task

        language = self.source.language
        texts = number_words(tasks(), self.tokenizer, language=language, num_workers=num_workers)
        try:
            with closing(texts):
                placed = ((under_way.popleft(), report.seen(text)) for text in texts)
                for place, group in groupby(placed, key=itemgetter(0)):
                    write_shard(self._shard_path(place), (text for _, text in group))
                    self._mark_ended(ended, before=place.piece)
            self._mark_ended(ended, before=self._num_pieces)
        except InputError as error:
            if part.number == 1 and not isinstance(error.__cause__, OSError):
                shutil.rmtree(self.shards_path, ignore_errors=True)  # without the fault, it is another text
            raise
        finally:
            self._remove_empty()

    def is_complete(self) -> bool:
        """Whether all shards of all parts are finished."""
        return None not in (self._num_shards(piece) for piece in range(self._num_pieces)) and all(
            map(is_finished, self._shard_paths())
        )

    def merge(self) -> None:
        """Makes the store of all shards, and removes them; InputError: a shard is damaged, or no words."""
        shards = [Shard(path) for path in self._shard_paths()]
        if not any(shard.marker.num_tokens for shard in shards):
            shutil.rmtree(self.shards_path, ignore_errors=True)
            raise InputError(f"data: the {self.split} text has no words")
        # On a file system without locks, another process may do the same (FileExistsError): its result is
        # opened.
        with suppress(FileExistsError), atomic_directory(self.path) as aside:
            totals = merge_shards(shards, aside)
            (aside / "meta.json").write_text(json.dumps({**self._key, **totals}, indent=2), encoding="utf-8")
        shutil.rmtree(self.shards_path, ignore_errors=True)

    @cached_property
    def _num_pieces(self) -> int:
        return len(self.source.pieces(self.split, seed=self.seed))

    def _missing_tasks(
        self, part: Part, ended: dict[int, int], report: _Report
    ) -> Iterator[tuple[_Place, list[LineBatch]]]:
        """The tasks of a part's shards that are not finished, in order."""
        pieces = self.source.pieces(self.split, seed=self.seed)
        shares_pieces = self._num_pieces >= part.number  # otherwise every part reads all, and skips shards
        for piece, lines in enumerate(pieces):
            if shares_pieces and not part.has(piece):
                continue
            if self._is_finished(piece, report):
                continue
            tasks = gather(lines)
            for shard in count():
                place, own = _Place(piece, shard), islice(tasks, SHARD_TASKS)
                first = next(own, None)
                if first is None:
                    ended[piece] = shard
                    break
                is_skipped = not (shares_pieces or part.has(shard)) or report.skips(self._shard_path(place))
                for task in chain([first], own):
                    if not is_skipped:
                        yield place, task

    def _is_finished(self, piece: int, report: _Report) -> bool:
        """Whether a piece needs not be read: all its shards are finished."""
        num_shards = self._num_shards(piece)
        if num_shards is None:
            return False
        paths = [self._shard_path(_Place(piece, shard)) for shard in range(num_shards)]
        return all(map(is_finished, paths)) and all(map(report.skips, paths))

    def _shard_paths(self) -> list[Path]:
        return [
            self._shard_path(_Place(piece, shard))
            for piece in range(self._num_pieces)
            for shard in range(self._num_shards(piece) or 0)
        ]

    def _shard_path(self, place: _Place) -> Path:
        return self.shards_path / f"{place.piece:06}" / f"{place.shard:06}.bin"

    def _end_path(self, piece: int) -> Path:
        return self.shards_path / f"{piece:06}" / "end.json"

    def _num_shards(self, piece: int) -> int | None:
        """The number of a piece's shards; None if no process has read it to its end."""
        path = self._end_path(piece)
        return read_record(_End, read_json(path), name=str(path)).num_shards if path.exists() else None

    def _mark_ended(self, ended: dict[int, int], *, before: int) -> None:
        for piece in [piece for piece in ended if piece < before]:
            with atomic_write(self._end_path(piece)) as aside:
                aside.write_text(json.dumps({"num_shards": ended.pop(piece)}), encoding="utf-8")

    def _remove_empty(self) -> None:
        for path in (*self.shards_path.glob("*"), self.shards_path):
            with suppress(OSError):  # not empty
                path.rmdir()


class _Report:
    """Adds up what is told of a part's progress."""

    def __init__(self, progress: Progress | None, num_bytes: int | None, part: Part) -> None:
        self.progress = progress
        self.num_bytes = None if num_bytes is None else num_bytes / part.number
        self.tokens = self.sentences = self.bytes_done = 0

    def seen(self, text: NumberedText) -> NumberedText:
        """Tells of some more text, and returns it."""
        self._add(len(text.ids_N), len(text.lengths_S), text.num_bytes)
        return text

    def skips(self, path: Path) -> bool:
        """Whether a shard is finished, which is told; a damaged one is removed, with a warning."""
        if not is_finished(path):
            return False
        try:
            marker = Shard(path).marker
        except InputError as error:
            LOG.warning("%s; it is prepared anew", error)
            remove_shard(path)
            return False
        self._add(marker.num_tokens, marker.num_sentences, marker.num_text_bytes)
        return True

    def _add(self, tokens: int, sentences: int, num_bytes: int) -> None:
        self.tokens += tokens
        self.sentences += sentences
        self.bytes_done += num_bytes
        if self.progress:
            fraction = min(1.0, self.bytes_done / self.num_bytes) if self.num_bytes else None
            self.progress(self.tokens, self.sentences, fraction)
