"""Means and standard deviations of an encoder's vectors on the training text, for standardised mixes.

The vectors of a biLM that was pretrained only briefly hardly differ from each other. On that scale no head
learns anything in the usual number of steps.

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

MOST_WORDS = 50_000  # sample for the statistics; the standard error of the mean is then 0.5 % of a deviation
_TEXTS_AT_ONCE = 16  # 100 MB in float64 for windows of 256 words and three layers of 1,024 dimensions
_FLOOR = 0.01  # smallest deviation of a dimension, relative to its layer's root mean square deviation


class Moments:
    """The running mean and standard deviation of a sequence of arrays, in float64 (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.number = 0
        self.mean_LP: np.ndarray = np.zeros(())
        self._squares_LP: np.ndarray = np.zeros(())  # sum of squared differences from the mean

    def add(self, vectors_NLP: np.ndarray) -> None:
        """Add the vectors of more words."""
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

        The deviation of a (nearly) constant dimension is raised to a fraction of its layer's, so that the
        dimension does not become the largest one on other text. In a constant layer it is 1.
        """
        variance_LP = self._squares_LP / max(self.number, 1)
        usual_L1 = np.sqrt(variance_LP.mean(axis=-1, keepdims=True))
        floored_LP = np.maximum(np.sqrt(variance_LP), _FLOOR * usual_L1)
        return np.where(floored_LP > 0, floored_LP, 1.0)


def standardize(
    representation: Representation, texts: Sequence[Window], stores: Mapping[str, FeatureStore]
) -> None:
    """Set the statistics of a representation's standardised mixes.

    They are computed once, with the encoder's initial weights; fine-tuning does not update them.

    Args:
        representation: new, on the device where it is to run.
        texts: the training text. If it has more than `MOST_WORDS` words, only every second, third, ... text
            is used.
        stores: the stored vectors of `texts` by the part's name; vectors of the other parts are computed.
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
    """(N, L, P) vectors of the words of some texts."""
    if store is None:
        return encode_words(part, [texts[number] for number in numbers])
    ranges = [store.ranges[number] for number in numbers]
    return np.concatenate([store.vectors_NLP[start:stop] for start, stop in ranges])
