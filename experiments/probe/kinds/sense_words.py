"""Words with their senses as numbers, in folds of documents, and the most frequent sense of each lemma.

Shape legend: M words with a sense, C candidates, T test words of a fold, D documents.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from experiments.probe.kinds.probe import Score
from tasks.sources.senses.source import SenseSentence
from tasks.sources.shared.fraction import draw

NO_SENSE = -1
_LEAST_SHARE = 0.01  # of the words, for a part of speech that has a score of its own


class Fold(NamedTuple):
    """A fold: its documents are the test set, all others the training text.

    Attributes:
        train, test: indices of words, (training words,) and (T,).
        counts_C: how often each candidate occurs in training.
        usual_T: the candidate of each test word's key that is most frequent in training; of a key that does
            not occur there, that of the lemma; `NO_SENSE` if this does not occur either.
        is_ambiguous_T: whether training has several senses of the test word's key.
    """

    train: np.ndarray
    test: np.ndarray
    counts_C: np.ndarray
    usual_T: np.ndarray
    is_ambiguous_T: np.ndarray


class SenseWords:
    """All words with a sense.

    A key is a lemma with its part of speech. A candidate is a sense of a key; candidates are sorted by key.

    Args:
        sentences: with at least one sense each.
        num_folds: at most as many as there are documents.
        seed: of the folds; they depend on it and on the documents' names alone.

    Attributes:
        rows_M: the place of each word among all words of the sentences.
        key_M, candidate_M: numbers.
        key_C: the key of each candidate.
    """

    def __init__(self, sentences: Sequence[SenseSentence], *, num_folds: int, seed: int) -> None:
        starts = np.cumsum([0, *(len(sentence.words) for sentence in sentences)])
        found = [(i, sense) for i, sentence in enumerate(sentences) for sense in sentence.senses]
        self.rows_M = np.array([starts[i] + sense.position for i, sense in found])
        self.num_folds = num_folds
        self._tag_M = np.array([sense.tag for _, sense in found])
        self.key_M = _numbers((sense.lemma, sense.tag) for _, sense in found)
        lemma_M = _numbers(sense.lemma for _, sense in found)
        self._sense_M = _numbers(sense.sense for _, sense in found)
        candidates, candidate_M = np.unique(
            np.stack([self.key_M, self._sense_M, lemma_M]), axis=1, return_inverse=True
        )
        self.candidate_M = candidate_M.ravel()  # it has two axes in numpy 2.0
        self.key_C, self._sense_C, self._lemma_C = candidates
        self._lemma_M = lemma_M
        self._document_M = _numbers(sentences[i].document for i, _ in found)
        names = list(dict.fromkeys(sentence.document for sentence in sentences))
        shuffled = sorted(range(len(names)), key=lambda place: (draw(seed, names[place]), names[place]))
        fold_D = np.empty(len(names), dtype=np.int64)
        fold_D[shuffled] = np.arange(len(names)) % num_folds
        self._fold_M = fold_D[self._document_M]

    def folds(self) -> Iterator[Fold]:
        """The folds in order; every word is a test word in one of them."""
        for number in range(self.num_folds):
            train, test = np.flatnonzero(self._fold_M != number), np.flatnonzero(self._fold_M == number)
            counts_C = np.bincount(self.candidate_M[train], minlength=len(self.key_C))
            of_key = _most_frequent(self.key_C, counts_C)[self.key_M[test]]
            of_lemma = _most_frequent(self._lemma_C, counts_C)[self._lemma_M[test]]
            num_known = np.bincount(self.key_C, counts_C > 0)
            yield Fold(
                train,
                test,
                counts_C,
                np.where(of_key == NO_SENSE, of_lemma, of_key),
                num_known[self.key_M[test]] > 1,
            )

    def facts(self) -> dict[str, int]:
        """Counts of the words, and of those that no training text can help with."""
        no_lemma = no_key = no_sense = ambiguous = 0
        for train, test, counts_C, usual_T, is_ambiguous_T in self.folds():
            no_lemma += int((usual_T == NO_SENSE).sum())
            no_key += int((~np.isin(self.key_M[test], self.key_M[train])).sum())
            no_sense += int((counts_C[self.candidate_M[test]] == 0).sum())
            ambiguous += int(is_ambiguous_T.sum())
        return {
            "documents": int(self._document_M.max()) + 1,
            "words with a sense": len(self.rows_M),
            "lemmas": int(self._lemma_M.max()) + 1,
            "senses": int(self._sense_M.max()) + 1,
            "ambiguous in training": ambiguous,
            "sense unseen in training": no_sense,
            "lemma unseen in training, no answer": no_lemma,
            "lemma seen as another part of speech, its most frequent sense": no_key - no_lemma,
        }

    def scores(self, answers_M: np.ndarray) -> dict[str, Score]:
        """The accuracy of answers, which are candidates: of all words, and of kinds of words.

        Only where training has several senses of a word's lemma and part of speech is it `ambiguous`.
        """
        known_M = answers_M != NO_SENSE
        right_M = known_M & (self._sense_C[np.where(known_M, answers_M, 0)] == self._sense_M)
        is_ambiguous_M = np.zeros(len(right_M), dtype=bool)
        for fold in self.folds():
            is_ambiguous_M[fold.test] = fold.is_ambiguous_T
        kinds = {"accuracy": np.ones(len(right_M), dtype=bool), "ambiguous": is_ambiguous_M}
        for tag, count in zip(*np.unique(self._tag_M, return_counts=True), strict=True):
            if tag and count >= _LEAST_SHARE * len(right_M):
                kinds[str(tag)] = self._tag_M == tag
        return {name: self._score(right_M, counted_M) for name, counted_M in kinds.items() if counted_M.any()}

    def _score(self, right_M: np.ndarray, counted_M: np.ndarray) -> Score:
        number = int(self._document_M.max()) + 1
        hits_D = np.bincount(self._document_M, right_M & counted_M, minlength=number)
        return Score(hits_D[None], np.bincount(self._document_M, counted_M, minlength=number))


def _numbers(values: Iterable[Hashable]) -> np.ndarray:
    """The number of each value, in the order in which they first occur."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _most_frequent(group_C: np.ndarray, counts_C: np.ndarray) -> np.ndarray:
    """The most frequent candidate of each group, the first one of several; `NO_SENSE` if none occurs."""
    best = np.full(int(group_C.max()) + 1, NO_SENSE)
    rarest_first = np.lexsort((-np.arange(len(counts_C)), counts_C))
    rarest_first = rarest_first[counts_C[rarest_first] > 0]
    best[group_C[rarest_first]] = rarest_first  # of several values for a place, numpy keeps the last one
    return best
