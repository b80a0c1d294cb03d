"""The character encoder against the oracle, by hand, and by its gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from elmo.bilm.char_cnn import CharCnn, Highway
from elmo.errors import InputError
from elmo.text.characters import PAD, TypeTable

FILTERS = [[1, 3], [2, 4], [3, 5], [7, 6]]  # 18 in all
WORDS = [
    "a",
    "cat",
    "the",
    "日本語",
    "😀👍🏽",
    "",
    "x" * 48,
    "é" * 40,
    "a" + "é" * 40,
    "<S>",
    "Constantinople",
]
TABLE = TypeTable.from_words(WORDS)
TYPES = np.arange(len(TABLE))


def make_cnn(**changes: Any) -> CharCnn:
    arguments: dict[str, Any] = {
        "embedding_size": 4,
        "filters": FILTERS,
        "num_highways": 1,
        "projection_size": 5,
        "activation": "relu",
    }
    cnn = CharCnn(**(arguments | changes))
    oracle.widen(cnn)
    return cnn


def characters(type_ids: np.ndarray = TYPES, *, widest_filter: int = 7) -> Tensor:
    return torch.from_numpy(TABLE.characters(type_ids, widest_filter=widest_filter))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "changes",
    [
        {"num_highways": 0},
        {"num_highways": 1, "activation": "tanh"},
        {"num_highways": 2},
        {"num_highways": 2, "activation": "tanh", "projection_size": 18},
        {"filters": [[7, 6], [1, 3], [3, 5]]},
        {"filters": [[50, 2], [1, 1]], "embedding_size": 1},
    ],
)
def test_vectors_are_the_oracles(changes: dict[str, Any], dtype: torch.dtype) -> None:
    cnn = make_cnn(**changes).to(dtype)
    weights = oracle.cnn_weights({name: p.detach().double().numpy() for name, p in cnn.named_parameters()})
    rows = [oracle.BEGIN_ROW, oracle.END_ROW, *map(oracle.character_row, WORDS)]
    expected = np.stack([oracle.word_vector(row, weights, cnn.activation) for row in rows])
    oracle.assert_near(cnn(characters(widest_filter=cnn.widest_filter)), expected)


@pytest.mark.parametrize("type_ids", [[2, 3, 0], [7], [8, 2, 10], [1], list(range(len(TABLE)))])
def test_cropped_rows_give_the_vectors_of_50_characters(type_ids: list[int]) -> None:
    cnn = make_cnn(filters=[[1, 3], [2, 4], [5, 5], [7, 6]]).double()
    cropped, full = characters(np.array(type_ids)), characters(np.array(type_ids), widest_filter=50)
    assert full.shape[1] == 50
    torch.testing.assert_close(cnn(cropped), cnn(full), rtol=0, atol=1e-12)


def test_a_words_vector_does_not_depend_on_the_words_beside_it() -> None:
    cnn = make_cnn().double()
    together = cnn(characters())
    alone = torch.cat([cnn(characters(np.array([type_id]))) for type_id in TYPES])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_padding_takes_part_in_the_maximum_where_a_word_leaves_room_for_it() -> None:
    cnn = CharCnn(
        embedding_size=1, filters=[[1, 1], [2, 1]], num_highways=0, projection_size=2, activation="relu"
    )
    with torch.no_grad():
        cnn.embedding.fill_(1.0)
        cnn.embedding[PAD] = 10.0
        for weight in cnn.convolutions:
            weight.fill_(1.0)
        cnn.convolution_biases[1].fill_(0.5)
    a_and_48_bytes = characters(np.array([2, 8]), widest_filter=2)
    assert cnn(a_and_48_bytes).tolist() == [[10.0, 20.5], [1.0, 2.5]]
    assert cnn(characters(np.array([2]), widest_filter=2)).tolist() == [[10.0, 20.5]]


def test_the_bias_is_added_before_the_activation() -> None:
    cnn = CharCnn(embedding_size=1, filters=[[1, 2]], num_highways=0, projection_size=2, activation="tanh")
    with torch.no_grad():
        cnn.embedding.zero_()
        cnn.convolution_biases[0].copy_(torch.tensor([0.5, -0.5]))
    assert cnn(characters(np.array([2])))[0].tolist() == pytest.approx([math.tanh(0.5), -math.tanh(0.5)])


def test_carry_gates_the_transform_and_the_rest_passes() -> None:
    highway = Highway(2)
    with torch.no_grad():
        highway.carry.weight.zero_()
        highway.transform.weight.copy_(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
        highway.transform.bias.zero_()
        highway.carry.bias.copy_(torch.tensor([math.log(3.0), math.log(1 / 3)]))  # gates of 3/4 and 1/4
    y = highway(torch.tensor([[8.0, 4.0]]))
    assert y.tolist() == [pytest.approx([0.75 * 4 + 0.25 * 8, 0.25 * 0 + 0.75 * 4])]


def test_a_projection_to_the_same_size_is_left_out() -> None:
    assert make_cnn(projection_size=18).projection is None
    assert make_cnn(projection_size=17).projection is not None


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradients_are_those_of_finite_differences(activation: str) -> None:
    cnn = make_cnn(
        embedding_size=2, filters=[[2, 2], [1, 1], [4, 2]], projection_size=2, activation=activation
    ).double()
    names = [name for name, _ in cnn.named_parameters() if name != "embedding"]
    rows = characters(np.array([0, 2, 3, 8, 12]), widest_filter=4)
    used = torch.unique(rows)  # finite differences of the other embeddings would only cost time

    def vectors(used_embeddings: Tensor, *parameters: Tensor) -> Tensor:
        embedding = cnn.embedding.detach().index_copy(0, used, used_embeddings)
        return functional_call(
            cnn, {"embedding": embedding, **dict(zip(names, parameters, strict=True))}, rows
        )

    given = [cnn.embedding[used], *(cnn.get_parameter(name) for name in names)]
    assert torch.autograd.gradcheck(vectors, [p.detach().clone().requires_grad_() for p in given])


def test_bf16_is_close_to_fp32_and_used() -> None:
    cnn = make_cnn()
    exact = cnn(characters())
    with torch.autocast("cpu", torch.bfloat16):
        rough = cnn(characters()).float()
    error = (rough - exact).abs().max() / exact.abs().max()
    assert 0 < error < 0.02


def test_initial_weights_have_the_distributions_of_the_original() -> None:
    torch.manual_seed(0)
    cnn = CharCnn(
        embedding_size=16, filters=[[2, 100], [5, 300]], num_highways=1, projection_size=50, activation="relu"
    )
    for weight, bound in ((cnn.embedding, 1.0), *((w, 0.05) for w in cnn.convolutions)):
        assert 0.98 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    highway = cnn.highways[0]
    for weight in (highway.carry.weight, highway.transform.weight, cnn.projection.weight):
        assert weight.std().item() == pytest.approx(1 / math.sqrt(400), rel=0.05)
        assert weight.abs().max() > 3 / math.sqrt(400)  # a normal, not a uniform
    assert (highway.carry.bias == -2).all()
    for bias in (*cnn.convolution_biases, highway.transform.bias, cnn.projection.bias):
        assert (bias == 0).all()


def test_initial_convolutions_under_tanh_are_normal_by_their_own_fan_in() -> None:
    torch.manual_seed(0)
    cnn = CharCnn(
        embedding_size=16, filters=[[1, 400], [4, 400]], num_highways=0, projection_size=5, activation="tanh"
    )
    assert cnn.convolutions[0].std().item() == pytest.approx(1 / math.sqrt(16), rel=0.05)
    assert cnn.convolutions[1].std().item() == pytest.approx(1 / math.sqrt(64), rel=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": [[1, 3], [51, 3]]}, r"got \[51, 3\]"),
        ({"filters": [[1, 3, 5]]}, r"got \[1, 3, 5\]"),
        ({"activation": "gelu"}, "activation: expected one of relu, tanh, got 'gelu'"),
    ],
)
def test_arguments_that_make_no_cnn_are_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_cnn(**changes)
