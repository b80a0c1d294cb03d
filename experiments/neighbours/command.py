"""The work of the command: reads the text, embeds what is missing, searches, prints and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from elmo.device import choose_device
from elmo.errors import InputError
from elmo.files import atomic_directory, refuse_existing
from elmo.inference.embedder import ElmoEmbedder
from elmo.registry import REGISTRY
from experiments.neighbours import tokens as token_files
from experiments.neighbours.context_free import check_word_vectors, context_free
from experiments.neighbours.index import INDEX_FROM, VectorIndex, check_faiss, has_faiss
from experiments.neighbours.occurrence_map import LEAST_POINTS, check_map, draw_map, map_obstacle, map_points
from experiments.neighbours.queries import (
    Occurrence,
    Query,
    candidates_of,
    check_word,
    given_queries,
    occurrence_of,
    read_queries,
    spread,
    text_queries,
)
from experiments.neighbours.report import Neighbours, print_neighbours, write_neighbours
from experiments.neighbours.schema import Index, Map, NeighboursConfig
from experiments.neighbours.search import Found, exact_search
from experiments.neighbours.text import Text, text_of
from experiments.neighbours.tokens import TokenTable, open_tokens
from experiments.neighbours.vectors import TokenVectors, normalized, open_vectors
from experiments.training.process import set_up_process
from tasks.sources.shared.fingerprint import fingerprint_of

_DIRECTORY = "neighbours"  # of the cache


def find_neighbours(config: NeighboursConfig) -> None:
    """Find the neighbours that a config asks for.

    Raises:
        InputError: the word never occurs, the text is too small, or something is missing or cannot be read.
    """
    word, cache_path = config.word.lower() if config.lowercase else config.word, Path(config.cache_dir)
    _check_tools(config)
    tokenizer = REGISTRY.build("tokenizer", config.tokenizer)
    sentences = read_queries(config.query or [], word, tokenizer, lowercase=config.lowercase)
    text = text_of(config, tokenizer)
    embedder = _embedder(config)
    tokens = _read(text, cache_path=cache_path)
    if not sentences or config.same_word:
        check_word(tokens, word, name=text.name)
    rows_M = tokens.rows_of(word)
    num_occurrences = len(rows_M)
    rows_M = rows_M[tokens.first_of_equals()[rows_M]]
    _check_numbers(config, tokens, len(rows_M), name=text.name)
    vectors = open_vectors(
        cache_path / _DIRECTORY / "vectors",
        tokens,
        embedder,
        dtype=config.dtype.value,
        progress=config.progress.value,
    )
    if sentences:
        queries = given_queries(sentences, word, embedder)
    else:
        queries = text_queries(tokens, vectors, rows_M, num_queries=config.num_queries)
    found, method = _search(config, tokens, vectors, queries)
    whatever_the_sentence = context_free(
        word,
        choice=config.word_vectors,
        num_neighbours=config.num_neighbours,
        embedder=embedder,
        tokens=tokens,
        path=vectors.path.with_name("layer_0.npy"),
    )
    encoder = f"{config.model}, layer {config.layer}"
    shown = [_shown(each, tokens) for each in found]
    result = Neighbours(word, encoder, method, whatever_the_sentence, queries, shown)
    print(f"{word}: {num_occurrences:,} of {tokens.num_tokens:,} tokens of {text.name}, {method}")
    print_neighbours(result)
    _tell_few(config, found)
    if config.output is not None:
        _write(config, result, tokens, vectors, rows_M)


def _check_tools(config: NeighboursConfig) -> None:
    """InputError for what can be known before a text is read."""
    check_word_vectors(config.word_vectors)
    if config.index is Index.faiss:
        check_faiss()
    if config.map is Map.tsne:
        check_map(LEAST_POINTS)
    if config.output is not None:
        refuse_existing(Path(config.output))


def _embedder(config: NeighboursConfig) -> ElmoEmbedder:
    embedder = ElmoEmbedder(
        config.model,
        config.weights,
        layers=int(config.layer) if config.layer.isdecimal() else config.layer,
        device=config.device,
        precision=config.precision.value,
        tokens_per_batch=config.tokens_per_batch,
    )
    # after loading the model: with these settings, its temporary memory would not be returned to the system
    set_up_process(num_threads=config.num_threads, device=choose_device(config.device))
    return embedder


def _read(text: Text, *, cache_path: Path) -> TokenTable:
    """The tokens of a text, from the cache if they were read before."""
    key = fingerprint_of({"format": token_files.FORMAT, "text": text.facts}, cache_path=cache_path)
    path = cache_path / _DIRECTORY / "texts" / key
    return open_tokens(path, text.sentences, name=text.name)


def _check_numbers(config: NeighboursConfig, tokens: TokenTable, num_occurrences: int, *, name: str) -> None:
    """InputError if the text is too small for what is wanted, before anything is computed."""
    if config.num_neighbours >= tokens.num_tokens:
        raise InputError(
            f"num_neighbours: {config.num_neighbours:,}, but {name} has {tokens.num_tokens:,} tokens,"
            " the query's own among them; ask for fewer"
        )
    if config.map is Map.tsne:
        check_map(num_occurrences)


def _search(
    config: NeighboursConfig, tokens: TokenTable, vectors: TokenVectors, queries: list[Query]
) -> tuple[list[Found], str]:
    """What each query finds, and how it was searched, in words."""
    candidates = candidates_of(
        queries,
        tokens,
        same_word=config.same_word,
        own_sentence=config.own_sentence,
        repeated_sentences=config.repeated_sentences,
    )
    vectors_QP = np.stack([query.vector for query in queries])
    is_large = int(np.count_nonzero(candidates.allowed_N)) >= INDEX_FROM
    if config.index is Index.faiss or (config.index is Index.auto and is_large and has_faiss()):
        index = VectorIndex(vectors, progress=config.progress.value)
        record = index.record
        method = (
            f"approximate search (faiss, {record.num_probed:,} of {record.num_cells:,} cells), which found"
            f" {100 * record.recall:.1f} % of the 10 nearest of {record.num_sampled} tokens"
        )
        found = index.search(vectors_QP, num_neighbours=config.num_neighbours, candidates=candidates)
        return found, method
    method = "exact search"
    if config.index is Index.auto and is_large:
        method += ' (with faiss, from the extra "neighbours", an index would be faster)'
    return (
        exact_search(vectors, vectors_QP, num_neighbours=config.num_neighbours, candidates=candidates),
        method,
    )


def _shown(found: Found, tokens: TokenTable) -> list[tuple[Occurrence, float]]:
    """What a query finds, with the sentences."""
    occurrences = (occurrence_of(tokens, row) for row in found.rows.tolist())
    return list(zip(occurrences, found.scores.tolist(), strict=True))


def _tell_few(config: NeighboursConfig, found: list[Found]) -> None:
    for number, each in enumerate(found, start=1):
        if len(each.rows) < config.num_neighbours:
            print(f"query {number}: only {len(each.rows)} tokens may be found")


def _write(
    config: NeighboursConfig,
    result: Neighbours,
    tokens: TokenTable,
    vectors: TokenVectors,
    rows_M: np.ndarray,
) -> None:
    """Write the output's directory, which appears as a whole."""
    obstacle = map_obstacle(len(rows_M))
    output = Path(config.output or "")
    with atomic_directory(output) as aside:
        write_neighbours(result, aside)
        if config.map is not Map.none and obstacle is None:
            chosen = spread(rows_M, config.map_points)
            points = map_points(
                [occurrence_of(tokens, row) for row in chosen.tolist()],
                normalized(vectors.rows(chosen)),
                result.queries,
                seed=config.seed,
            )
            draw_map(aside, points, title=f"{result.word}: {len(chosen):,} occurrences, {result.encoder}")
    if config.map is not Map.none and obstacle is not None:
        print(f"no map: {obstacle}")
    print(output)
