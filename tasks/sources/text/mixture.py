"""A mixture: the texts of several sources, each a part with a name."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from elmo.errors import InputError
from elmo.registry import REGISTRY, ComponentNode
from elmo.text.sentence_splitting import split_sentences
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.text.source import LineBatch, Source
from tasks.sources.text.split_lines import SplitLines

LOG = logging.getLogger(__name__)
_READ: dict[Split, Split] = {"train": "train", "dev": "dev", "test": "dev"}  # the parts' split of each split
_GIVEN: tuple[Split, ...] = ("train",)  # the others are taken from the parts' dev texts
_HELD_OUT: tuple[Split, ...] = ("dev", "test")  # of the excluded sources
_HASH_BYTES = 8

Nodes = Mapping[str, ComponentNode | None]


@REGISTRY.register("data", "mixture")
class MixtureSource(Source):
    """The training texts of several sources, one after the other.

    A part is any data source, also one of a task: its texts are read, without their labels or questions.
    Nothing is read of the parts' test splits: dev and test of a mixture are samples of the parts' dev splits.

    Args:
        parts: the config nodes of the sources, by names of your choice; null: the part is left out.
        lower_case_copies: whether each training paragraph is read a second time, in lower case.
        excluded: the config nodes of sources, by names of your choice; a training sentence that is also in
            their dev or test split is left out. Letters and digits are compared, in lower case.
        split_every: of this many paragraphs of the parts' dev splits, the last is for test, the middle one
            for dev.
    """

    def __init__(
        self,
        *,
        parts: Nodes,
        lower_case_copies: bool = False,
        excluded: Nodes | None = None,
        split_every: int = 20,
    ) -> None:
        self.lower_case_copies = lower_case_copies
        self._parts = _build(parts, "data.parts")
        self._excluded = _build(excluded or {}, "data.excluded")
        self._rule = SplitLines(split_every=split_every)
        if not self._parts:
            raise InputError("data.parts: none is given; name a source, such as data.parts.sotu.type=sotu")
        first = self._parts[0]
        self.language = first.source.language
        for part in (*self._parts, *self._excluded):
            if part.source.language != self.language:
                raise InputError(
                    f"{part.key}.language: {part.source.language}, but {first.key} has {self.language}: all"
                    " parts are split into sentences by the rules of one language"
                )

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        for part in self._parts:
            with _named(part.key):
                part.source.check({_READ[split] for split in splits})
        for part in self._excluded if "train" in splits else ():
            with _named(part.key):
                part.source.check(_HELD_OUT)

    def describe(self, split: Split) -> dict[str, Any]:
        parts = [_describe(part, _READ[split]) for part in self._parts]
        if split != "train":
            return {"parts": parts, **self._rule.describe(split, _GIVEN)}
        excluded = [_describe(part, held_out) for part in self._excluded for held_out in _HELD_OUT]
        return {"parts": parts, "lower_case_copies": self.lower_case_copies, "excluded": excluded}

    def describe_cut(self, split: Split, *, seed: int) -> dict[str, Any]:
        cuts = [part.source.describe_cut(_READ[split], seed=seed) for part in self._parts]
        return {"cuts": cuts} if any(cuts) else {}

    def cut_facts(self) -> dict[str, float]:
        return {
            f"{name} of {part.key}": value
            for part in self._parts
            for name, value in part.source.cut_facts().items()
        }

    def num_bytes(self, split: Split) -> int | None:
        sizes = [part.source.num_bytes(split) for part in self._parts]
        if split != "train" or None in sizes:
            return None
        return sum(filter(None, sizes)) * (2 if self.lower_case_copies else 1)

    def lines(self, split: Split) -> Iterator[LineBatch]:
        return self.read_lines(split, seed=0)

    def read_lines(self, split: Split, *, seed: int) -> Iterator[LineBatch]:
        for piece in self.pieces(split, seed=seed):
            yield from piece

    def pieces(self, split: Split, *, seed: int) -> list[Iterator[LineBatch]]:
        pieces = [
            (part, piece) for part in self._parts for piece in _pieces_of(part, _READ[split], seed=seed)
        ]
        if split != "train":
            batches = (batch for _, piece in pieces for batch in piece)
            return [self._rule.take(split, _GIVEN, batches)]
        held_out = _HeldOut(self._excluded, language=self.language)
        return [self._with_copies(held_out.leave_out(piece, part.key)) for part, piece in pieces]

    def _with_copies(self, batches: Iterable[LineBatch]) -> Iterator[LineBatch]:
        for batch in batches:
            yield batch
            if self.lower_case_copies:
                lowered = map(str.lower, batch.lines)
                copies = [
                    "" if copy == line else copy for line, copy in zip(batch.lines, lowered, strict=True)
                ]
                yield batch._replace(lines=copies)


class _Part(NamedTuple):
    """A source of the mixture and its key in the config."""

    source: Source
    key: str


class _HeldOut:
    """The dev and test sentences of some sources, which are read with the first training text."""

    def __init__(self, sources: Collection[_Part], *, language: str) -> None:
        self._sources, self._language = sources, language
        self._hashes: set[bytes] | None = None

    def leave_out(self, batches: Iterator[LineBatch], key: str) -> Iterator[LineBatch]:
        """The batches of the part `key` without these sentences; a warning tells how many there were."""
        if not self._sources:
            yield from batches
            return
        if self._hashes is None:
            self._hashes = set(self._read()) - {_hash("")}
        num_found = 0
        for batch in batches:
            lines = list(batch.lines)
            for index, line in enumerate(lines):
                sentences = self._sentences(line, batch.prose)
                kept = [sentence for sentence in sentences if _hash(sentence) not in self._hashes]
                if len(kept) < len(sentences):
                    lines[index] = " ".join(kept)
                    num_found += len(sentences) - len(kept)
            yield batch._replace(lines=lines)
        if num_found:
            LOG.warning("%s: %d sentences of data.excluded were left out", key, num_found)

    def _read(self) -> Iterator[bytes]:
        for part in self._sources:
            for split in _HELD_OUT:
                for piece in _pieces_of(part, split, seed=0):
                    for batch in piece:
                        for line in batch.lines:
                            yield from map(_hash, self._sentences(line, batch.prose))

    def _sentences(self, line: str, prose: bool) -> list[str]:
        return split_sentences(line, language=self._language) if prose else [line]


def _build(nodes: Nodes, where: str) -> list[_Part]:
    """The sources of the nodes that are given; InputError: a line for each fault of their keys."""
    given = {f"{where}.{name}": node for name, node in nodes.items() if node is not None}
    faults = [fault for key, node in given.items() for fault in REGISTRY.check("data", node, where=key)]
    if faults:
        raise InputError("\n".join(faults))
    parts = []
    for key, node in given.items():
        with _named(key):
            source = REGISTRY.build("data", node)
        if not isinstance(source, Source):
            raise InputError(f"{key}: {node['type']} has no running text")
        parts.append(_Part(source, key))
    return parts


def _describe(part: _Part, split: Split) -> dict[str, Any]:
    with _named(part.key):
        return part.source.describe(split)


def _pieces_of(part: _Part, split: Split, *, seed: int) -> list[Iterator[LineBatch]]:
    with _named(part.key):
        return [_read(piece, part.key) for piece in part.source.pieces(split, seed=seed)]


def _read(batches: Iterator[LineBatch], key: str) -> Iterator[LineBatch]:
    with _named(key):
        yield from batches


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Within the block, errors name a part in the place of `data`."""
    try:
        yield
    except InputError as error:
        lines = str(error).splitlines()
        named = [
            key + line.removeprefix("data") if line.startswith(("data.", "data:")) else f"{key}: {line}"
            for line in lines
        ]
        raise InputError("\n".join(named)) from error


def _hash(sentence: str) -> bytes:
    letters = "".join(filter(str.isalnum, sentence)).casefold()
    return hashlib.blake2b(letters.encode("utf-8", "replace"), digest_size=_HASH_BYTES).digest()
