"""Approximate search by an index of faiss, for millions of vectors; how much it misses is measured.

Shape legend: N vectors, Q queries, P size of a vector.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elmo.errors import InputError
from elmo.files import atomic_write, written_once
from elmo.json_file import read_json
from elmo.values import Count, Probability, read_record
from experiments.logging.progress import make_progress
from experiments.neighbours.search import Candidates, Found, exact_search, merged, rescored
from experiments.neighbours.vectors import TokenVectors

if TYPE_CHECKING:
    from collections.abc import Sequence

INDEX_FROM = 1_000_000  # vectors, from which on `index=auto` builds an index
_INDEX_FILE, _RECORD_FILE = "index.faiss", "index.json"
_BLOCK_ROWS = 1 << 15
_TRAINED_PER_CELL = 64  # vectors that the clustering reads for each cell; faiss advises 39 at least
_WANTED_RECALL = 0.95
_SAMPLED = 64  # vectors by which the recall is measured
_MEASURED_NEIGHBOURS = 10
_RESCORED = 4  # times as many as are wanted are taken from the index, and computed again exactly


@dataclass(frozen=True)
class IndexRecord:
    """What was measured of an index when it was built.

    Attributes:
        num_cells: into which the vectors are clustered.
        num_probed: of the cells nearest to a query, whose vectors are compared with it.
        recall: the share of the 10 nearest vectors that the index finds, over `num_sampled` vectors of the
            text, against the exact search.
        num_sampled: see there.
    """

    num_cells: Count
    num_probed: Count
    recall: Probability
    num_sampled: Count


class VectorIndex:
    """An inverted file of vectors in 8 bits a number; what it finds is computed again from the vectors.

    Args:
        vectors: of length one; the index lies beside their file, and is built if there is none.
        progress: kind of the display.

    Attributes:
        record: what was measured.

    Raises:
        InputError: faiss is not installed, or the index cannot be written.
    """

    def __init__(self, vectors: TokenVectors, *, progress: str) -> None:
        check_faiss()
        self._vectors = vectors
        record_path = vectors.path.with_name(_RECORD_FILE)
        if not record_path.exists():
            with written_once(record_path):
                if not record_path.exists():  # another process may have written it meanwhile
                    _build(vectors, record_path.with_name(_INDEX_FILE), progress)
                    self._open()
                    record = self._measured()
                    with atomic_write(record_path) as aside:
                        aside.write_text(json.dumps(asdict(record)), encoding="utf-8")
        self._open()
        self.record = read_record(IndexRecord, read_json(record_path), name=str(record_path))

    def search(self, queries_QP: np.ndarray, *, num_neighbours: int, candidates: Candidates) -> list[Found]:
        """As `exact_search`, but it may miss some; the cosines of what it finds are exact."""
        return self._search(queries_QP, num_neighbours, candidates, self.record.num_probed)

    def _open(self) -> None:
        faiss = _faiss()
        self._index = faiss.read_index(
            str(self._vectors.path.with_name(_INDEX_FILE)), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
        )

    def _search(
        self, queries_QP: np.ndarray, num_neighbours: int, candidates: Candidates, num_probed: int
    ) -> list[Found]:
        faiss = _faiss()
        found = []
        for number, query_P in enumerate(queries_QP):
            bits = np.packbits(candidates.of_query(number), bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=num_probed)
            wanted = min(_RESCORED * num_neighbours, self._vectors.num_vectors)
            _, rows = self._index.search(
                np.ascontiguousarray(query_P[None], dtype=np.float32), wanted, params=parameters
            )
            rows = np.sort(rows[0][rows[0] >= 0])
            exact = rescored(rows, self._vectors.rows(rows), query_P)
            found.append(merged(exact, Found(rows[:0], exact.scores[:0]), num_neighbours))
        return found

    def _measured(self) -> IndexRecord:
        """Double the number of cells that are compared until the index finds nearly all that it should."""
        num_cells = int(self._index.nlist)
        sampled = _evenly(self._vectors.num_vectors, _SAMPLED)
        queries = self._vectors.rows(sampled)
        everything = Candidates(
            np.ones(self._vectors.num_vectors, dtype=bool), [[(row, row + 1)] for row in sampled.tolist()]
        )
        wanted = min(_MEASURED_NEIGHBOURS, self._vectors.num_vectors - 1)
        exact = exact_search(self._vectors, queries, num_neighbours=wanted, candidates=everything)
        num_probed, recall = min(8, num_cells), 0.0
        while True:
            found = self._search(queries, wanted, everything, num_probed)
            recall = _recall(exact, found)
            if recall >= _WANTED_RECALL or num_probed == num_cells:
                return IndexRecord(num_cells, num_probed, recall, len(sampled))
            num_probed = min(2 * num_probed, num_cells)


def check_faiss() -> None:
    """InputError if faiss is not installed."""
    if not has_faiss():
        raise InputError(
            'index: faiss is not installed: pip install -e ".[neighbours]"; or search with index=exact'
        )


def has_faiss() -> bool:
    """Whether faiss is installed."""
    return importlib.util.find_spec("faiss") is not None


def _faiss() -> Any:
    """The library, with as many threads as torch; late, and of any type, as its own types are not right."""
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells for which processors it is not built
    library: Any = importlib.import_module("faiss")
    library.omp_set_num_threads(torch.get_num_threads())
    return library


def _recall(exact: Sequence[Found], found: Sequence[Found]) -> float:
    shares = [
        len(np.intersect1d(right.rows, left.rows)) / max(1, len(right.rows))
        for right, left in zip(exact, found, strict=True)
    ]
    return float(np.mean(shares))


def _build(vectors: TokenVectors, path: Path, progress_kind: str) -> None:
    """Cluster a sample of the vectors, sort all into the cells, and write the index."""
    faiss = _faiss()
    num_vectors = vectors.num_vectors
    num_cells = max(1, min(round(num_vectors**0.5), num_vectors // _TRAINED_PER_CELL))
    index = faiss.index_factory(vectors.size, f"IVF{num_cells},SQ8", faiss.METRIC_INNER_PRODUCT)
    with make_progress(progress_kind, title="indexing", unit="vectors") as progress:
        index.train(vectors.rows(_evenly(num_vectors, _TRAINED_PER_CELL * num_cells)))
        for start in range(0, num_vectors, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, num_vectors)
            index.add(np.asarray(vectors.block(start, stop), dtype=np.float32))
            progress.update(fraction=stop / num_vectors, tokens=stop)
    with atomic_write(path) as aside:
        faiss.write_index(index, str(aside))


def _evenly(number: int, wanted: int) -> np.ndarray:
    """At most `wanted` of a number of rows, at even distances."""
    return np.unique(np.linspace(0, number - 1, num=min(number, wanted)).astype(np.int64))
