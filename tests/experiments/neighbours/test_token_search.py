"""Searching vectors: exactly, in blocks, and by an index; the oracle is numpy in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elmo.errors import InputError
from experiments.neighbours import index
from experiments.neighbours.index import VectorIndex
from experiments.neighbours.search import Candidates, Found, exact_search
from experiments.neighbours.vectors import TokenVectors, normalized

NUM_VECTORS, SIZE = 500, 12


def store(path: Path, vectors: np.ndarray, *, dtype: str = "float16") -> TokenVectors:
    """Vectors in a file of its own directory."""
    path.mkdir(exist_ok=True)
    vectors.astype(dtype).tofile(path / "vectors.bin")
    return TokenVectors(path / "vectors.bin", size=vectors.shape[1], dtype=np.dtype(dtype))


def everything(vectors: TokenVectors, num_queries: int = 1) -> Candidates:
    return Candidates(np.ones(vectors.num_vectors, dtype=bool), [[]] * num_queries)


def brute_force(vectors: TokenVectors, query: np.ndarray, mask: np.ndarray, number: int) -> Found:
    """All cosines, sorted by the cosine and then by the row."""
    rows = np.flatnonzero(mask)
    scores = (vectors.rows(rows).astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    order = sorted(range(len(rows)), key=lambda i: (-scores[i], rows[i]))[:number]
    return Found(rows[order], scores[order])


def assert_same(found: Found, expected: Found) -> None:
    assert found.rows.tolist() == expected.rows.tolist()
    assert np.array_equal(found.scores, expected.scores)


@pytest.fixture(scope="module")
def random_vectors(tmp_path_factory: pytest.TempPathFactory) -> TokenVectors:
    """Some of them three times, so that there are ties, also across the edges of blocks."""
    vectors = normalized(np.random.default_rng(1).normal(size=(NUM_VECTORS, SIZE)))
    vectors[[99, 250, 499]] = vectors[7]
    vectors[[100, 101]] = vectors[0]
    return store(tmp_path_factory.mktemp("store"), vectors)


@pytest.mark.parametrize("block_rows", [None, 1, 7, 100, 499, 500, 501])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.05])
def test_exact_search_equals_brute_force_whatever_the_blocks(
    random_vectors: TokenVectors, block_rows: int | None, share: float
) -> None:
    queries = random_vectors.rows(np.array([7, 0, 300, 499]))
    allowed = np.random.default_rng(2).random(NUM_VECTORS) < share
    candidates = Candidates(allowed, [[], [(0, 1), (95, 103)], [(300, 301)], [(0, 250)]])
    found = exact_search(
        random_vectors, queries, num_neighbours=20, candidates=candidates, block_rows=block_rows
    )
    for number, query in enumerate(queries):
        assert_same(found[number], brute_force(random_vectors, query, candidates.of_query(number), 20))


def test_of_equal_vectors_the_first_of_the_text_are_found(tmp_path: Path) -> None:
    vectors = store(tmp_path, np.tile(normalized(np.arange(1.0, 9.0)), (50, 1)))
    for block_rows in (None, 3, 8):
        (found,) = exact_search(
            vectors,
            vectors.rows(np.array([40])),
            num_neighbours=5,
            candidates=everything(vectors),
            block_rows=block_rows,
        )
        assert found.rows.tolist() == [0, 1, 2, 3, 4]


def test_with_fewer_candidates_than_wanted_all_are_found(random_vectors: TokenVectors) -> None:
    allowed = np.zeros(NUM_VECTORS, dtype=bool)
    allowed[[3, 499]] = True
    queries = random_vectors.rows(np.array([3, 4]))
    found = exact_search(
        random_vectors, queries, num_neighbours=9, candidates=Candidates(allowed, [[(3, 4)], [(0, 500)]])
    )
    assert [each.rows.tolist() for each in found] == [[499], []]


@pytest.fixture(scope="module")
def many_vectors(tmp_path_factory: pytest.TempPathFactory) -> TokenVectors:
    """3,000 in 20 clusters."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(20, 16))
    vectors = centres[generator.integers(20, size=3000)] + 0.3 * generator.normal(size=(3000, 16))
    return store(tmp_path_factory.mktemp("many"), normalized(vectors))


def test_the_index_finds_nearly_all_and_says_how_many(many_vectors: TokenVectors) -> None:
    built = VectorIndex(many_vectors, progress="none")
    assert built.record.num_cells == 3000 // 64 and built.record.num_probed <= built.record.num_cells
    assert built.record.recall >= 0.95 and built.record.num_sampled == 64
    rows = np.arange(11, 3000, 100)
    queries = many_vectors.rows(rows)
    allowed = np.arange(3000) % 3 != 0
    candidates = Candidates(allowed, [[(row, row + 2)] for row in rows.tolist()])
    found = built.search(queries, num_neighbours=10, candidates=candidates)
    exact = exact_search(many_vectors, queries, num_neighbours=10, candidates=candidates)
    shares = []
    for number, (approximate, expected) in enumerate(zip(found, exact, strict=True)):
        assert candidates.of_query(number)[approximate.rows].all()
        assert (np.diff(approximate.scores) <= 0).all()
        shares.append(len(np.intersect1d(approximate.rows, expected.rows)) / 10)
        best = brute_force(many_vectors, queries[number], np.isin(np.arange(3000), approximate.rows), 10)
        assert_same(approximate, best)  # its cosines are exact
    assert np.mean(shares) > 0.9


def test_the_index_is_built_once(many_vectors: TokenVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    first = VectorIndex(many_vectors, progress="none")
    monkeypatch.setattr(index, "_build", lambda *_: pytest.fail("built again"))
    assert VectorIndex(many_vectors, progress="none").record == first.record


def test_without_faiss_the_extra_is_named(
    many_vectors: TokenVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "has_faiss", lambda: False)
    with pytest.raises(
        InputError, match=r"^index: faiss is not installed: pip install .*neighbours.*index=exact"
    ):
        VectorIndex(many_vectors, progress="none")
