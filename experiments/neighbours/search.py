"""Exact search: the vectors with the largest cosines, block by block of the file, in bounded memory.

Shape legend: N vectors, B of a block, Q queries, P size of a vector, K nearest ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from experiments.neighbours.vectors import TokenVectors

_BLOCK_BYTES = 8 << 20  # of a block in float32; larger ones are not faster
_FEW = 0.25  # of a block: as a smaller share, its candidates are copied before they are multiplied


class Found(NamedTuple):
    """The nearest vectors of a query, the nearest first; of equally near ones the first of the file.

    Attributes:
        rows: (K,) their numbers.
        scores: (K,) float64, the cosines.
    """

    rows: np.ndarray
    scores: np.ndarray


class Candidates(NamedTuple):
    """The vectors that may be found.

    Attributes:
        allowed_N: bool, for all queries.
        excluded: for each query the ranges of rows, first and end, that it may not find.
    """

    allowed_N: np.ndarray
    excluded: Sequence[Sequence[tuple[int, int]]]

    def of_query(self, query: int) -> np.ndarray:
        """(N,) bool: what one query may find."""
        mask_N = self.allowed_N.copy()
        for start, stop in self.excluded[query]:
            mask_N[start:stop] = False
        return mask_N


NOTHING = Found(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))


def exact_search(
    vectors: TokenVectors,
    queries_QP: np.ndarray,
    *,
    num_neighbours: int,
    candidates: Candidates,
    block_rows: int | None = None,
) -> list[Found]:
    """For each query the candidates with the largest cosines; fewer if there are fewer candidates.

    Products in single precision choose who is computed again, one by one, in double precision: the result,
    ties included, does not depend on the blocks or on the order of a library's sums.

    Args:
        vectors: of length one.
        queries_QP: float32, of length one.
        num_neighbours: K.
        candidates: see there.
        block_rows: B; None: as many as 8 MiB of float32 hold.
    """
    size = block_rows or max(1, _BLOCK_BYTES // (4 * vectors.size))
    best = [NOTHING] * len(queries_QP)
    weights_PQ = torch.from_numpy(np.ascontiguousarray(queries_QP, dtype=np.float32)).T
    buffer_BP = np.empty((min(size, vectors.num_vectors), vectors.size), dtype=np.float32)
    for start in range(0, vectors.num_vectors, size):
        stop = min(start + size, vectors.num_vectors)
        rows_B, block_BP = _block(vectors, start, candidates.allowed_N[start:stop], buffer_BP)
        if not len(rows_B):
            continue
        scores_QB = (torch.from_numpy(block_BP) @ weights_PQ).T.contiguous().numpy()
        scores_QB[:, ~candidates.allowed_N[rows_B]] = -np.inf
        for query, scores_B in enumerate(scores_QB):
            for first, end in candidates.excluded[query]:
                scores_B[slice(*np.searchsorted(rows_B, (first, end)))] = -np.inf
            near = _nearest(scores_B, best[query], num_neighbours, vectors.size)
            found = rescored(rows_B[near], block_BP[near], queries_QP[query])
            best[query] = merged(best[query], found, num_neighbours)
    return best


def _block(
    vectors: TokenVectors, start: int, allowed_B: np.ndarray, buffer_BP: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a block, and their vectors in float32: all of them, or the candidates if these are few.

    The vectors are in the buffer, so that there is one block in memory.
    """
    block_BP, inside = vectors.block(start, start + len(allowed_B)), np.flatnonzero(allowed_B)
    if len(inside) < _FEW * len(allowed_B):
        block_BP = block_BP[inside]
    else:
        inside = np.arange(len(allowed_B))
    filled_BP = buffer_BP[: len(inside)]
    filled_BP[:] = block_BP
    return inside + start, filled_BP


def rescored(rows: np.ndarray, vectors: np.ndarray, query: np.ndarray) -> Found:
    """Rows with their cosines in double precision, each summed in the same order, whatever is beside it."""
    return Found(rows, (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1))


def merged(left: Found, right: Found, num_neighbours: int) -> Found:
    """The nearest of two lists of different rows."""
    rows = np.concatenate([left.rows, right.rows])
    scores = np.concatenate([left.scores, right.scores])
    order = np.lexsort((rows, -scores))[:num_neighbours]
    return Found(rows[order], scores[order])


def _nearest(scores_B: np.ndarray, best: Found, num_neighbours: int, size: int) -> np.ndarray:
    """The places in a block of all that may be among the nearest, whatever the rounding of the scores."""
    margin = size * np.finfo(np.float32).eps  # the largest error of a sum of so many products, twice
    is_full = len(best.rows) == num_neighbours
    least = best.scores[-1] - margin if is_full else -np.finfo(np.float64).max
    near = np.flatnonzero(scores_B >= least)
    if len(near) > num_neighbours:
        last = np.partition(scores_B[near], -num_neighbours)[-num_neighbours]
        near = near[scores_B[near] >= last - margin]
    return near
