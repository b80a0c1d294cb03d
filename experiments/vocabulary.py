"""The words of a text, counted and written: `python -m experiments.vocabulary [data=...] [output=FILE]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from elmo.errors import InputError
from experiments.config.command import run_command
from experiments.config.schema import VocabularyCommandConfig

if TYPE_CHECKING:
    import numpy as np

    from elmo.text.vocabulary import Vocabulary
    from tasks.language_model.corpus import Corpus

MIN_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)
SIZES = tuple(factor * 10**power for power in range(3, 8) for factor in (1, 2, 5))


def main(config: VocabularyCommandConfig, overrides: list[str]) -> None:
    """Print counts and coverages of a text's words, and write the vocabulary."""
    from elmo.text.vocabulary import Vocabulary
    from experiments.logging.progress import summary_table

    output = None if config.output is None else Path(config.output)
    if output is not None and output.exists():
        raise InputError(f"output={output}: exists already; nothing is overwritten")
    corpora = _prepare(config)
    train = corpora["train"]
    words = Vocabulary.from_counts(train.types, train.counts_V, min_count=1, max_size=None)
    chosen = Vocabulary.from_counts(
        train.types, train.counts_V, min_count=config.min_count, max_size=config.max_size
    )
    summary_table(
        [
            [name, corpus.num_tokens, corpus.num_sentences, corpus.num_types - 2]
            for name, corpus in corpora.items()
        ],
        columns=["text", "words", "sentences", "distinct words"],
    )
    print()
    summary_table(
        _coverage_rows(words, corpora, num_chosen=len(chosen)),
        columns=["vocabulary", "smallest count", *(f"covers of {name}" for name in corpora), ""],
    )
    if output is not None:
        chosen.save(output)
        print(f"{output}: {len(chosen):,} words with <S>, </S> and <UNK>; to train: vocabulary.path={output}")


def _prepare(config: VocabularyCommandConfig) -> dict[str, Corpus]:
    import torch

    from experiments.logging.progress import make_progress
    from tasks.language_model.task import prepare_corpora
    from tasks.sources.shared.split import SPLITS
    from tasks.task import Setup

    with make_progress(config.progress.value, title="counting") as progress:
        setup = Setup(
            nodes={"data": config.data, "tokenizer": config.tokenizer},
            vocabulary={},
            batch_size=1,
            seed=config.seed,
            device=torch.device("cpu"),
            cache_path=Path(config.cache_dir),
            report=lambda tokens, sentences, fraction: progress.update(
                fraction=fraction or 0.0, tokens=tokens, sentences=sentences
            ),
        )
        return prepare_corpora(setup, SPLITS)


def _coverage_rows(
    words: Vocabulary, corpora: Mapping[str, Corpus], *, num_chosen: int
) -> list[list[str | int | float | None]]:
    """For vocabularies of growing sizes: size, smallest count, coverage of each split, and a mark."""
    counts = {name: _counts_by_id(words, corpus) for name, corpus in corpora.items()}
    totals = {name: corpus.num_tokens for name, corpus in corpora.items()}
    num_markers = len(words) - int((counts["train"] > 0).sum())
    descending = counts["train"][num_markers:]
    sizes = {num_markers + int((descending >= count).sum()) for count in MIN_COUNTS}
    sizes |= {size for size in SIZES if size < len(words)} | {num_chosen}
    return [
        [
            size,
            int(descending[size - num_markers - 1]),
            *(f"{counts[name][:size].sum() / totals[name]:.2%}" for name in corpora),
            "chosen" if size == num_chosen else "",
        ]
        for size in sorted(sizes)
        if size > num_markers
    ]


def _counts_by_id(words: Vocabulary, corpus: Corpus) -> np.ndarray:
    """(V,) occurrences of each word of a vocabulary in a corpus; none of the markers."""
    import numpy as np

    from elmo.text.vocabulary import MARKERS

    counts = np.bincount(words.ids_of(corpus.types), weights=corpus.counts_V, minlength=len(words))
    counts[: len(MARKERS)] = 0
    return counts


def command() -> int:
    """`elmo-vocabulary`, which is `python -m experiments.vocabulary`: the exit code."""
    return run_command(main, config_name="vocabulary")


if __name__ == "__main__":
    sys.exit(command())
