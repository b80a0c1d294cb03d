"""Statistics of an encoder's vectors against numpy, whichever way they are read.

Shape legend: N words, L layers, P size of a vector, S sentences, W words of the longest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.encoders.token_encoder import TokenEncoder
from tasks.supervised import standardization
from tasks.supervised.feature_store import FeatureCache, FeatureStore
from tasks.supervised.representation import Representation, Window, WindowBatch
from tasks.supervised.standardization import Moments, standardize

TEXTS: list[Window] = [[[f"w{i}", "x"], ["y" * (i % 5 + 1)]] for i in range(40)]


class Digits(TokenEncoder):
    """Vectors that differ by a few thousandths around 0.55; the last dimension is constant."""

    num_layers, size = 2, 4

    def __init__(self, *, is_contextual: bool = True) -> None:
        super().__init__()
        self.is_contextual = is_contextual
        self.scale = nn.Parameter(torch.tensor(0.003), requires_grad=False)

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        vectors_LSWP = torch.zeros(2, len(sentences), max(map(len, sentences)), 4)
        for row, sentence in enumerate(sentences):
            for place, word in enumerate(sentence):
                generator = np.random.default_rng(list(word.encode()))
                values_LP = torch.from_numpy(generator.normal(size=(2, 4))).float()
                values_LP[:, 3] = 0
                vectors_LSWP[:, row, place] = 0.55 + self.scale * torch.tensor([[1.0], [2.0]]) * values_LP
        return vectors_LSWP


def vectors_of(texts: Sequence[Window]) -> np.ndarray:
    """(N, L, P)."""
    words = [word for text in texts for sentence in text for word in sentence]
    return Digits()([words])[:, 0].transpose(0, 1).double().numpy()


def make(*, injection: str = "input", standardized: bool = True, **parts: TokenEncoder) -> Representation:
    mix: dict[str, Any] = {"type": "scalar", "dropout": 0.0, "standardized": standardized}
    parts = parts or {"elmo": Digits()}
    return Representation(parts=parts, mix=mix, injection=injection, word_dropout=0.0)


def statistics(representation: Representation, name: str = "elmo") -> np.ndarray:
    """(2, L, P) means and deviations."""
    (mix, *_) = representation.mixes_of(name)
    return torch.stack([mix.mean_LP, mix.deviation_LP]).double().numpy()


@pytest.mark.parametrize("offset", [0.0, 0.55, 1e4])
def test_moments_that_come_in_pieces_are_numpys(offset: float) -> None:
    vectors_NLP = np.random.default_rng(1).normal(size=(1000, 2, 3)) * 0.003 + offset
    moments = Moments()
    for piece in np.split(vectors_NLP, [1, 1, 17, 600]):
        moments.add(piece)
    np.testing.assert_allclose(moments.mean_LP, vectors_NLP.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.deviation_LP(), vectors_NLP.std(axis=0), rtol=1e-6)


def test_a_constant_dimension_has_a_hundredth_of_its_layers_deviation_and_a_constant_layer_one() -> None:
    vectors_NLP = np.random.default_rng(1).normal(size=(100, 2, 4))
    vectors_NLP[:, 0, 3], vectors_NLP[:, 1] = 7, 7
    moments = Moments()
    moments.add(vectors_NLP)
    usual = np.sqrt(vectors_NLP[:, 0].var(axis=0).mean())
    assert moments.deviation_LP()[0, 3] == pytest.approx(0.01 * usual)
    assert moments.deviation_LP()[1].tolist() == [1, 1, 1, 1]


def test_the_head_sees_vectors_of_mean_0_and_deviation_1_whatever_the_encoders_scale() -> None:
    representation = make(injection="input")
    standardize(representation, TEXTS, {})
    expected_NLP = vectors_of(TEXTS)
    mean_LP, deviation_LP = statistics(representation)
    np.testing.assert_allclose(mean_LP, expected_NLP.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation_LP[:, :3], expected_NLP.std(axis=0)[:, :3], rtol=1e-4)
    words = representation(WindowBatch(TEXTS))
    seen_NP = (
        words.vectors[words.mask][:, :3] * 2**0.5
    )  # the mean of two layers that know nothing of each other
    assert seen_NP.mean(dim=0).abs().max() < 1e-3
    assert seen_NP.std(dim=0).min() > 0.7 and seen_NP.std(dim=0).max() < 1.3


def test_stored_vectors_give_the_statistics_of_a_running_encoder(tmp_path: Path) -> None:
    cache = FeatureCache(
        path=tmp_path, max_gigabytes=1.0, dtype="float32", report=lambda *_: None, notice=lambda _: None
    )
    running, stored = make(), make()
    store = cache.store(Digits(), TEXTS)
    assert isinstance(store, FeatureStore)
    standardize(running, TEXTS, {})
    standardize(stored, TEXTS, {"elmo": store})
    np.testing.assert_allclose(statistics(stored), statistics(running), rtol=1e-6)


def test_of_a_long_text_a_part_counts_from_its_beginning_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardization, "MOST_WORDS", 50)  # of 120
    representation = make()
    standardize(representation, TEXTS, {})
    expected_NLP = vectors_of(TEXTS[::3])
    np.testing.assert_allclose(statistics(representation)[0], expected_NLP.mean(axis=0), rtol=1e-6)


def test_contextual_parts_are_standardised_wherever_they_join_and_others_are_not() -> None:
    representation = make(injection="both", words=Digits(is_contextual=False), elmo=Digits())
    standardize(representation, TEXTS, {})
    at_input, at_output = representation.mixes_of("elmo")
    assert torch.equal(at_input.mean_LP, at_output.mean_LP)
    assert not any(mix.standardized for mix in representation.mixes_of("words"))
    plain = make(standardized=False)
    standardize(plain, TEXTS, {})
    assert not [name for name in plain.state_dict() if "mean" in name]
