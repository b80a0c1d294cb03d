"""The vectors of all tokens of a text, of length one, on disk: computed once, searched by any query.

Shape legend: N tokens, R of them, P size of a vector.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elmo.errors import InputError
from elmo.files import written_once
from experiments.io.sentence_reader import windows
from experiments.io.vector_spool import VectorSpool
from experiments.logging.progress import make_progress
from experiments.neighbours.tokens import TokenTable

if TYPE_CHECKING:
    from elmo.inference.embedder import ElmoEmbedder

FORMAT = 1  # of the files; if it changes, all vectors are computed again
VECTORS_FILE = "vectors.bin"  # as a `VectorSpool` names it
WINDOW_WORDS = 8_192  # words that are computed and committed together; a killed process loses at most these
_NOT_DECISIVE = ("model", "versions")  # of an embedder's metadata: the path, and what changes the rounding


class TokenVectors:
    """(N, P) vectors in a file, of which only what is asked for is mapped into memory.

    Args:
        path: of a file of N P numbers.
        size: P.
        dtype: of the numbers.
    """

    def __init__(self, path: Path, *, size: int, dtype: np.dtype[Any]) -> None:
        self.path, self.size, self.dtype = path, size, dtype
        self.num_vectors = path.stat().st_size // (size * dtype.itemsize)

    def block(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, P) vectors of consecutive tokens, mapped; the mapping ends with the array."""
        offset = start * self.size * self.dtype.itemsize
        shape = (stop - start, self.size)
        return np.memmap(self.path, self.dtype, mode="r", offset=offset, shape=shape)

    def rows(self, rows_R: np.ndarray) -> np.ndarray:
        """(R, P) float32 vectors of some tokens."""
        if not len(rows_R):
            return np.empty((0, self.size), dtype=np.float32)
        return np.asarray(self.block(0, self.num_vectors)[rows_R], dtype=np.float32)


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Vectors along the last axis with a length of one; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny))


def open_vectors(
    directory: Path, tokens: TokenTable, embedder: ElmoEmbedder, *, dtype: str, progress: str
) -> TokenVectors:
    """The vectors of a text's tokens; what is missing of them is computed, and kept if that is interrupted.

    Args:
        directory: of all vectors; each text, model and layer has a directory in it.
        tokens: of the text.
        embedder: with the layer.
        dtype: of the file.
        progress: kind of the display.

    Raises:
        InputError: the disk is full, or the directory cannot be written.
    """
    decisive = {key: value for key, value in embedder.metadata.items() if key not in _NOT_DECISIVE}
    settings = {"format": FORMAT, "text": tokens.key, "dtype": dtype, **decisive}
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    path = directory / digest.hexdigest()
    kind = np.dtype(dtype)
    num_bytes = tokens.num_tokens * embedder.size * kind.itemsize
    if not _is_complete(path, num_bytes):
        with written_once(path):
            if not _is_complete(path, num_bytes):  # another process may have computed it meanwhile
                shutil.rmtree(path, ignore_errors=True)  # damaged
                _compute(path, settings, tokens, embedder, kind, progress)
    return TokenVectors(path / VECTORS_FILE, size=embedder.size, dtype=kind)


def _is_complete(path: Path, num_bytes: int) -> bool:
    file = path / VECTORS_FILE
    return file.is_file() and file.stat().st_size == num_bytes


def _compute(
    path: Path,
    settings: dict[str, Any],
    tokens: TokenTable,
    embedder: ElmoEmbedder,
    dtype: np.dtype[Any],
    progress: str,
) -> None:
    """Compute the vectors beside their place, from where an interrupted command has stopped."""
    partial = path.with_name(f"{path.name}.partial")
    needed = tokens.num_tokens * embedder.size * dtype.itemsize
    path.parent.mkdir(parents=True, exist_ok=True)
    with VectorSpool(partial, settings=settings, shape=(-1, embedder.size), dtype=dtype) as spool:
        free = shutil.disk_usage(path.parent).free
        if free < needed - spool.num_words * embedder.size * dtype.itemsize:
            raise InputError(
                f"cache_dir: {path.parent}: {needed:,} bytes are needed for the vectors, {free:,} are free; "
                "make room, or give another cache_dir"
            )
        try:
            _embed_rest(spool, tokens, embedder, progress)
        except KeyboardInterrupt:
            if not spool.is_empty:
                print(f"{partial} keeps what is done; the same command goes on", file=sys.stderr)
            raise
    os.rename(partial, path)


def _embed_rest(spool: VectorSpool, tokens: TokenTable, embedder: ElmoEmbedder, progress_kind: str) -> None:
    with make_progress(
        progress_kind,
        title="embedding",
        start_tokens=spool.num_words,
        start_fraction=spool.num_words / tokens.num_tokens,
    ) as progress:
        for window in windows(tokens.sentences(spool.num_sentences), num_words=WINDOW_WORDS):
            for sentence, vectors in zip(
                window, embedder.stream([sentence.words for sentence in window]), strict=True
            ):
                spool.append(sentence.words, normalized(vectors))
            spool.commit()
            progress.update(
                fraction=spool.num_words / tokens.num_tokens,
                tokens=spool.num_words,
                sentences=spool.num_sentences,
            )
