"""Means and standard deviations of an encoder's vectors on the training text, for mixes that standardise.

A biLM that was pretrained for a minute has vectors that hardly differ from each other: on such a scale no
head learns anything in the usual number of steps.

Shape legend: N words, L layers, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch

from tasks.encoders.token_encoder import TokenEncoder
from tasks.supervised.feature_store import FeatureStore, encode_words
from tasks.supervised.representation import Representation, Window

MOST_WORDS = 50_000  # whose statistics are taken; the mean of so many errs by 0.5 % of a deviation or more
_TEXTS_AT_ONCE = 16  # in float64: 100 MB of windows of 256 words with three layers of 1,024 dimensions
_FLOOR = 0.01  # a dimension's least deviation, as a share of its layer's root mean square deviation


class Moments:
    """The mean and the deviation of arrays that come one after the other, in float64 (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.number = 0
        self.mean_LP: np.ndarray = np.zeros(())
        self._squares_LP: np.ndarray = np.zeros(())  # sum of squared differences from the mean

    def add(self, vectors_NLP: np.ndarray) -> None:
        """Take account of more words."""
        number = len(vectors_NLP)
        if not number:
            return
        vectors_NLP = vectors_NLP.astype(np.float64)
        mean_LP = vectors_NLP.mean(axis=0)
        difference_LP, total = mean_LP - self.mean_LP, self.number + number
        self._squares_LP = (
            self._squares_LP
            + np.square(vectors_NLP - mean_LP).sum(axis=0)
            + np.square(difference_LP) * (self.number * number / total)
        )
        self.mean_LP = self.mean_LP + difference_LP * (number / total)
        self.number = total

    def deviation_LP(self) -> np.ndarray:
        """Standard deviations, all above 0.

        A dimension that is (nearly) constant has at least a share of what is usual in its layer, so that it
        does not become the largest of all on other text. In a layer that is constant altogether it is 1.
        """
        variance_LP = self._squares_LP / max(self.number, 1)
        usual_L1 = np.sqrt(variance_LP.mean(axis=-1, keepdims=True))
        floored_LP = np.maximum(np.sqrt(variance_LP), _FLOOR * usual_L1)
        return np.where(floored_LP > 0, floored_LP, 1.0)


def standardize(
    representation: Representation, texts: Sequence[Window], stores: Mapping[str, FeatureStore]
) -> None:
    """Give the standardised mixes of a representation the statistics of their parts' vectors.

    They are those of the encoder as it is: if it is fine-tuned, they stay what they were at its start.

    Args:
        representation: new, on the device where it is to run.
        texts: the training text. If it has more than `MOST_WORDS` words, every second text counts, or every
            third, and so on.
        stores: of the vectors of `texts`, by the part's name; the other parts' vectors are computed.
    """
    num_words = sum(len(sentence) for text in texts for sentence in text)
    chosen = range(0, len(texts), max(1, -(-num_words // MOST_WORDS)))
    for name, part in representation.parts.items():
        mixes = [mix for mix in representation.mixes_of(name) if mix.standardized]
        if not mixes:
            continue
        moments = Moments()
        for start in range(0, len(chosen), _TEXTS_AT_ONCE):
            moments.add(
                _vectors(
                    cast(TokenEncoder, part), texts, chosen[start : start + _TEXTS_AT_ONCE], stores.get(name)
                )
            )
        for mix in mixes:
            mix.set_statistics(
                torch.from_numpy(moments.mean_LP).float(), torch.from_numpy(moments.deviation_LP()).float()
            )


def _vectors(
    part: TokenEncoder, texts: Sequence[Window], numbers: Sequence[int], store: FeatureStore | None
) -> np.ndarray:
    """(N, L, P) of the words of some texts."""
    if store is None:
        return encode_words(part, [sentence for number in numbers for sentence in texts[number]])
    return np.concatenate(
        [store.vectors_NLP[store.offsets[number] : store.offsets[number + 1]] for number in numbers]
    )
