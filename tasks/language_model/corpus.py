"""A prepared corpus: a directory of plain arrays, built once for a text and a tokenizer, read piece by piece.

Shape legend: N words (tokens), S sentences, V distinct words (types).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from elmo.errors import InputError
from elmo.files import directory_aside
from elmo.text.characters import NUM_MARKERS, TypeTable
from elmo.text.tokenizers import Tokenizer
from elmo.text.vocabulary import MARKERS
from tasks.language_model.preparation import NumberedText, number_words
from tasks.sources.text.source import Source, Split

FORMAT = 1  # of the store; a change makes every corpus be prepared anew

Progress: TypeAlias = Callable[[int, int, float | None], None]  # words, sentences, share done if known


class Corpus:
    """A prepared corpus, opened read-only. Opening takes milliseconds, whatever its size.

    A type id is a distinct word's number: 0 and 1 are the markers `<S>` and `</S>`, words begin with 2, by
    first appearance. A literal `<S>` of the text is a word like others.

    Args:
        path: the store's directory.

    Raises:
        InputError: there is no complete store of this format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
            _check_sizes(path, meta)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{path}: no complete prepared corpus ({error}); delete it, run again"
            ) from error
        self.fingerprint: str = meta["fingerprint"]
        self.num_tokens: int = meta["num_tokens"]  # words, markers not counted
        self.num_sentences: int = meta["num_sentences"]
        self.num_types: int = meta["num_types"]  # the two markers counted
        self.num_literal_markers: int = meta["num_literal_markers"]  # words <S>, </S>, <UNK> of the text
        self.counts_V = _map(path / "counts.bin", np.int64)  # a marker's is the number of sentences
        self.types = TypeTable(_map(path / "types.bin", np.uint8), _map(path / "type_offsets.bin", np.int64))

    def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Sentences `start` to `stop`, read from the disk: what is not held by the caller stays in no memory.

        Returns:
            (N,) int32 type ids of their words, without markers, and (stop - start + 1,) int64 offsets into
            them: sentence `start + i` is `ids[offsets[i]:offsets[i + 1]]`.
        """
        if not 0 <= start <= stop <= self.num_sentences:
            raise IndexError(f"sentences {start} to {stop} of {self.num_sentences}")
        # Not memory-mapped: pages of a map that have been touched count as this process's memory.
        offsets = np.fromfile(self.path / "sentences.bin", np.int64, stop - start + 1, offset=8 * start)
        num_ids = int(offsets[-1] - offsets[0])
        ids = np.fromfile(self.path / "tokens.bin", np.int32, num_ids, offset=4 * int(offsets[0]))
        return ids, offsets - offsets[0]


def prepare_corpus(
    source: Source,
    tokenizer: Tokenizer,
    *,
    cache_path: Path,
    split: Split,
    num_workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Opens the corpus of a source's split, preparing it first where that has not been done yet.

    Args:
        source: the text.
        tokenizer: makes its words.
        cache_path: the directory of all stores; this one's name is a fingerprint of text and tokenizer.
        split: which part of the source.
        num_workers: processes that tokenize; 1: only this one; None: one for each core. Changes nothing else.
        progress: called now and then with words, sentences and the share done (None where it is not known).

    Raises:
        InputError: a fault of the text or no room on the disk; nothing is left behind.
    """
    key = {
        "format": FORMAT,
        "source": source.fingerprint(split),
        "split": split,
        "tokenizer": tokenizer.fingerprint(),
        "sentencex": importlib.metadata.version("sentencex"),
    }
    fingerprint = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
    path = cache_path / fingerprint
    if not path.exists():
        texts = number_words(
            source.lines(split), tokenizer, language=source.language, num_workers=num_workers
        )
        # Another process may prepare the same corpus: whoever is first has made what all of them open.
        with closing(texts), suppress(FileExistsError), directory_aside(path) as aside:
            totals = _write_store(aside, texts, source.num_bytes(split), progress)
            if not totals["num_tokens"]:
                raise InputError(f"data: the {split} text has no words")
            meta = json.dumps({**key, **totals, "fingerprint": fingerprint}, indent=2)
            (aside / "meta.json").write_text(meta, encoding="utf-8")
    return Corpus(path)


class _TypeCounter:
    """The distinct words so far, their type ids and counts."""

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
    """Writes sentences as they come, then the types, all that is held in memory. Returns the totals."""
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
    """Writes the table of types and their counts; returns the bytes of all words."""
    table = TypeTable.from_words(words)
    for name, array in (("types", table.blob), ("type_offsets", table.offsets), ("counts", counts_V)):
        (directory / f"{name}.bin").write_bytes(array.data)
    return len(table.blob)


def _check_sizes(path: Path, meta: dict[str, Any]) -> None:
    if meta["format"] != FORMAT:
        raise ValueError(f"format {meta['format']}, not {FORMAT}")
    sizes = {
        "tokens": 4 * meta["num_tokens"],
        "sentences": 8 * (meta["num_sentences"] + 1),
        "types": meta["num_type_bytes"],
        "type_offsets": 8 * (meta["num_types"] + 1),
        "counts": 8 * meta["num_types"],
    }
    for name, size in sizes.items():
        if (path / f"{name}.bin").stat().st_size != size:
            raise ValueError(f"{name}.bin has not {size} bytes")


def _map(path: Path, dtype: type) -> np.ndarray:
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
