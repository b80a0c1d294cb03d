"""Contamination: whether a pretrained model was trained on sentences of a task's test split.

A model directory contains 64-bit hashes of the model's training sentences, of letters and digits only, so
that the tokenizer makes no difference. Short sentences ("Thank you.") occur in every text; only those with at
least 40 letters are used. At most a million hashes are kept (8 MB), the smallest ones: as hashes are like
random numbers, they are a fair sample. Only test sentences whose hashes are as small are looked up; this
estimates the fraction of known test sentences to a few percent for any text.

Shape legend: B letters, V types, N words, S sentences, H hashes.
"""

from __future__ import annotations

import tokenize
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from elmo.errors import InputError, reason_of
from elmo.files import atomic_write
from tasks.sources.shared.bit_mixing import mix_bits

FILE = "training_sentences.npy"  # in a model's directory
MOST_HASHES = 1 << 20
FEWEST_LETTERS = 40
WARNED_SHARE = 0.1  # more than usual: 6 % of BBC News's test sentences also occur in its training articles
_BASE = 0x9E3779B97F4A7C15  # of the polynomial hash: odd, so that no power of it is zero


class SentenceHasher:
    """Hashes sentences that are given as word numbers.

    Args:
        words: the word of each number, in order; words without letters or digits do not change a hash.
    """

    def __init__(self, words: Iterable[str]) -> None:
        letters = ["".join(filter(str.isalnum, word)).casefold().encode("utf-8", "replace") for word in words]
        bytes_B = np.frombuffer(b"".join(letters), dtype=np.uint8).astype(np.uint64) + np.uint64(1)
        self._lengths_V = np.fromiter(map(len, letters), dtype=np.int64, count=len(letters))
        offsets = np.concatenate([[0], np.cumsum(self._lengths_V)])
        self._hashes_V = _join(bytes_B, np.ones_like(bytes_B, dtype=np.int64), offsets)

    def hashes(self, ids_N: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """(H,) uint64 hashes of the sentences with at least `FEWEST_LETTERS` letters.

        Args:
            ids_N: the word numbers of all sentences.
            offsets: (S + 1,); sentence i is `ids_N[offsets[i]:offsets[i + 1]]`.
        """
        lengths_N = self._lengths_V[ids_N]
        num_letters_S = np.diff(np.concatenate([[0], np.cumsum(lengths_N)])[offsets])
        hashes_S = _join(self._hashes_V[ids_N], lengths_N, offsets)
        return mix_bits(hashes_S[num_letters_S >= FEWEST_LETTERS])


class TrainingSentences:
    """A bounded sample of the sentences that a model was trained on.

    Args:
        hashes: (H,) uint64, ascending and distinct.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        self.hashes = hashes

    @classmethod
    def collect(cls, parts: Iterable[np.ndarray]) -> TrainingSentences:
        """The smallest of all hashes, for a text of any size in bounded memory."""
        kept, waiting, num_waiting = np.zeros(0, dtype=np.uint64), list[np.ndarray](), 0
        for part in parts:
            small = part if len(kept) < MOST_HASHES else part[part < kept[-1]]
            waiting.append(small)
            num_waiting += len(small)
            if num_waiting >= MOST_HASHES:
                kept, waiting, num_waiting = np.unique(np.concatenate([kept, *waiting]))[:MOST_HASHES], [], 0
        return cls(np.unique(np.concatenate([kept, *waiting]))[:MOST_HASHES])

    @classmethod
    def load(cls, model: str | Path) -> TrainingSentences | None:
        """The sample in a run's or a model's directory; None if there is none, as for official files."""
        for path in (Path(model) / FILE, Path(model) / "model" / FILE):
            if path.is_file():
                return cls(_read_hashes(path))
        return None

    def count(self, hashes: np.ndarray) -> tuple[int, int]:
        """The number of known sentences of a text, and of distinct ones that could be looked up."""
        distinct = np.unique(hashes)
        if len(self.hashes) >= MOST_HASHES:
            distinct = distinct[distinct <= self.hashes[-1]]
        return int(np.isin(distinct, self.hashes, assume_unique=True).sum()), len(distinct)


def _read_hashes(path: Path) -> np.ndarray:
    try:  # mapped: a wrong length in the header must not take memory
        hashes = np.load(path, mmap_mode="r", allow_pickle=False)
        if hashes.ndim != 1 or hashes.dtype != np.uint64:
            raise ValueError(f"an array of {hashes.dtype} with {hashes.ndim} dimensions")
    except (OSError, ValueError, EOFError, tokenize.TokenError) as error:  # the last one of a header
        raise InputError(f"{path}: damaged ({reason_of(error)}); copy the model's directory whole") from error
    return np.array(hashes)


def save_training_sentences(directory: Path, parts: Iterable[np.ndarray], *, initial: str | None) -> None:
    """Write the sample of a model's training sentences into its directory.

    Args:
        directory: of the model.
        parts: hashes of the sentences that it was trained on.
        initial: the run or model that it started from, whose training sentences are included; None: none.
    """
    before = None if initial is None else TrainingSentences.load(initial)
    read = TrainingSentences.collect(chain([] if before is None else [before.hashes], parts))
    with atomic_write(directory / FILE) as aside, aside.open("wb") as file:
        np.save(file, read.hashes, allow_pickle=False)


def contamination_facts(initial: str | None, hashes: np.ndarray) -> dict[str, str]:
    """A warning for the user if the run's initial model was trained on much of the run's test text.

    Args:
        initial: the run or model that the run starts from; None: none.
        hashes: of the test sentences.
    """
    known = None if initial is None else TrainingSentences.load(initial)
    num_known, num_checked = (0, 0) if known is None else known.count(hashes)
    if num_known <= WARNED_SHARE * num_checked:
        return {}
    share = (
        f"{num_known / num_checked:.0%} of the test sentences ({num_known:,} of {num_checked:,} looked up)"
    )
    return {"warning": f"{share} were in the training text of init_from: the scores on test will be too good"}


def hash_sentences(sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """(H,) uint64 hashes of the sentences with at least `FEWEST_LETTERS` letters."""
    number_of = {word: i for i, word in enumerate(dict.fromkeys(chain.from_iterable(sentences)))}
    ids_N = np.fromiter((number_of[w] for w in chain.from_iterable(sentences)), dtype=np.int64)
    offsets = np.cumsum([0, *map(len, sentences)])
    return SentenceHasher(number_of).hashes(ids_N, offsets)


def _join(hashes: np.ndarray, lengths: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The hash of each sequence of pieces, from the hashes and lengths of its pieces.

    A hash is the polynomial in `_BASE` whose coefficients are the letters, modulo 2^64, so that it does not
    depend on how the letters are divided into pieces. Sums over sequences are differences of cumulative sums,
    which are exact modulo 2^64.
    """
    ends = np.cumsum(lengths)
    totals = np.concatenate([[0], ends])[offsets[1:]]
    behind = np.repeat(totals, np.diff(offsets)) - ends  # letters between a piece and the end of its sequence
    powers = np.full(int(behind.max(initial=0)) + 1, _BASE, dtype=np.uint64)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(hashes * powers[behind], dtype=np.uint64)])
    return sums[offsets[1:]] - sums[offsets[:-1]]
