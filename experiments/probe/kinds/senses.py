"""The sense of a word as that with the nearest mean vector: `probe=senses`.

Shape legend: N words of all sentences, n some of them, M words with a sense, C candidates, L layers, P size
of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Range
from experiments.probe.kinds.probe import Material, Probe, Report, View, layer_name
from experiments.probe.kinds.sense_words import Fold, SenseWords
from tasks.sources.senses.source import SenseSentence, SenseSource
from tasks.supervised.standardization import Moments

_PART = "sentences with senses"
_WORDS_AT_ONCE = 4096


@REGISTRY.register("probe", "senses")
class SenseProbe(Probe):
    """Nearest neighbours among senses (Peters et al. 2018, section 5.3), on each layer and on their average.

    A sense's vector is the mean of its words' vectors in the training documents. A test word gets that sense
    of its lemma and part of speech whose vector has the largest cosine with its own. Where its lemma never
    has this part of speech in training, it gets the lemma's most frequent sense; where the lemma never occurs
    there, it gets none, which counts as wrong. Each document is in the test set once.

    Args:
        num_folds: number of parts that the documents are divided into.
        standardized: whether each dimension of a layer first gets the mean 0 and the deviation 1, over the
            training words. The paper compares the vectors as they are.
    """

    def __init__(self, *, num_folds: Annotated[int, Range(2, 1000)], standardized: bool) -> None:
        self.num_folds, self.standardized = num_folds, standardized

    def check(self, source: Any) -> None:
        if not isinstance(source, SenseSource):
            raise InputError(
                "data: probe=senses needs words with their senses; choose such data, as data=semcor"
            )
        source.check()

    def describe(self, source: Any, *, seed: int) -> dict[str, Any]:
        return {_PART: source.describe()}

    def read(self, source: Any, *, seed: int) -> Material:
        sentences = [sentence for sentence in source.sentences() if sentence.senses]
        num_documents = len({sentence.document for sentence in sentences})
        if num_documents < self.num_folds:
            raise InputError(
                f"data: {num_documents} documents with senses, fewer than probe.num_folds={self.num_folds};"
                " more data or fewer folds; data.document_prefix begins the lines that open a document"
            )
        words = SenseWords(sentences, num_folds=self.num_folds, seed=seed)
        return SenseMaterial(sentences, words, standardized=self.standardized)


class SenseMaterial(Material):
    """Sentences with senses, in folds of documents."""

    unit = "documents"
    compared = ("accuracy",)
    pictured = ("accuracy", "ambiguous")

    def __init__(self, sentences: Sequence[SenseSentence], words: SenseWords, *, standardized: bool) -> None:
        self.sentences = {_PART: [sentence.words for sentence in sentences]}
        self.facts = words.facts()
        self._words, self._standardized = words, standardized

    def baseline(self) -> View:
        """The most frequent sense of a word's lemma and part of speech in the training documents."""
        answers_M = np.empty(len(self._words.rows_M), dtype=np.int64)
        for fold in self._words.folds():
            answers_M[fold.test] = fold.usual_T
        return View("most frequent sense", None, self._words.scores(answers_M), is_baseline=True)

    def measure(
        self, vectors: Mapping[str, np.ndarray], *, device: torch.device, report: Report
    ) -> list[View]:
        vectors_NLP = vectors[_PART]
        num_layers = vectors_NLP.shape[1]
        views = {layer_name(layer): [layer] for layer in range(num_layers)}
        if num_layers > 1:
            views["average"] = list(range(num_layers))
        answers = {name: np.empty(len(self._words.rows_M), dtype=np.int64) for name in views}
        for number, fold in enumerate(self._words.folds()):
            reader = _Reader(vectors_NLP, self._words.rows_M)
            if self._standardized:
                reader.standardize(fold.train)
            for place, (name, layers) in enumerate(views.items(), start=1):
                answers[name][fold.test] = self._nearest(fold, reader, layers)
                report((number + place / len(views)) / self._words.num_folds)
        return [
            View(name, layers[0] if len(layers) == 1 else None, self._words.scores(answers[name]))
            for name, layers in views.items()
        ]

    def _nearest(self, fold: Fold, reader: _Reader, layers: Sequence[int]) -> np.ndarray:
        """The candidate of each test word of a fold."""
        answers_T = fold.usual_T.copy()
        means_CP = self._means(fold, reader, layers)
        ambiguous = np.flatnonzero(fold.is_ambiguous_T)
        ambiguous = ambiguous[np.argsort(self._words.key_M[fold.test[ambiguous]], kind="stable")]
        for block in _blocks(ambiguous):
            vectors_nP, key_n = reader(fold.test[block], layers), self._words.key_M[fold.test[block]]
            starts = np.flatnonzero(np.diff(key_n, prepend=-1))
            for start, stop in zip(starts, [*starts[1:], len(block)], strict=True):
                first, last = np.searchsorted(self._words.key_C, [key_n[start], key_n[start] + 1])
                known = first + np.flatnonzero(fold.counts_C[first:last])
                nearest = (vectors_nP[start:stop] @ means_CP[known].T).argmax(axis=1)
                answers_T[block[start:stop]] = known[nearest]
        return answers_T

    def _means(self, fold: Fold, reader: _Reader, layers: Sequence[int]) -> np.ndarray:
        """(C, P) the mean vector of each candidate in training, of length 1; 0 of those that do not occur."""
        train = fold.train[np.argsort(self._words.candidate_M[fold.train], kind="stable")]
        sums_CP = np.zeros((len(fold.counts_C), reader.size), dtype=np.float32)
        for block in _blocks(train):
            candidate_n = self._words.candidate_M[block]
            starts = np.flatnonzero(np.diff(candidate_n, prepend=-1))
            sums_CP[candidate_n[starts]] += np.add.reduceat(reader(block, layers), starts)
        lengths_C1 = np.linalg.norm(sums_CP, axis=1, keepdims=True)
        return sums_CP / np.where(lengths_C1 > 0, lengths_C1, 1)  # whose direction is that of the mean


class _Reader:
    """Reads the vectors of words with a sense, the mean of some layers."""

    def __init__(self, vectors_NLP: np.ndarray, rows_M: np.ndarray) -> None:
        self._vectors_NLP, self._rows_M = vectors_NLP, rows_M
        _, L, self.size = vectors_NLP.shape
        self._mean_LP = np.zeros((L, self.size), dtype=np.float32)
        self._scale_LP = np.ones((L, self.size), dtype=np.float32)

    def standardize(self, words: np.ndarray) -> None:
        """From now on, each dimension of a layer has the mean 0 and the deviation 1 over these words."""
        moments = Moments()
        for block in _blocks(words):
            moments.add(self._vectors_NLP[self._rows_M[block]])
        self._mean_LP = moments.mean_LP.astype(np.float32)
        self._scale_LP = (1 / moments.deviation_LP()).astype(np.float32)

    def __call__(self, words: np.ndarray, layers: Sequence[int]) -> np.ndarray:
        """(n, P) float32."""
        total_nP = np.zeros((len(words), self.size), dtype=np.float32)
        for layer in layers:
            vectors_nP = self._vectors_NLP[self._rows_M[words], layer].astype(np.float32)
            total_nP += (vectors_nP - self._mean_LP[layer]) * self._scale_LP[layer]
        return total_nP / len(layers)


def _blocks(words: np.ndarray) -> Iterator[np.ndarray]:
    """The words in pieces of bounded size."""
    return (words[start : start + _WORDS_AT_ONCE] for start in range(0, len(words), _WORDS_AT_ONCE))
