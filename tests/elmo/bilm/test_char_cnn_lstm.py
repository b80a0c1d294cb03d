"""The whole encoder against the oracle, and what must not change a vector.

Shape legend: L layers, B sentences, T tokens of the longest, P projection, D = 2 directions, N packed tokens.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import h5py
import numpy as np
import oracle
import pytest
import torch
from places import SHARED
from torch import Tensor

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.packing import Packing
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import BEGIN_TYPE, END_TYPE, TypeTable

SENTENCES = [
    ["The", "cat", "sat", "on", "the", "mat", "."],
    ["One"],
    ["日本語", "😀", "naïve", "👩‍👩‍👧‍👧" * 3, "é" * 40, "a" + "é" * 40, "z" * 48, "z" * 300],
    ["", "<S>", "</S>", "\x00"],
    [*"abcdefghijklmnopqrstuvwxyz"],
    ["The", "mat"],
]
CASES: dict[str, dict[str, Any]] = {
    "published": {},
    "lstm without projection": {"cell_size": 5},
    "cnn without projection": {"cell_size": 20, "projection_size": 18, "std": 0.5},
    "no projection at all": {"cell_size": 18, "projection_size": 18, "num_layers": 1, "std": 0.5},
    "no highway, tanh": {"num_highways": 0, "activation": "tanh"},
    "two highways": {"num_highways": 2},
    "no clips": {"cell_clip": None, "projection_clip": None},
    "cell clip": {"projection_clip": None},
    "projection clip": {"cell_clip": None},
    "one layer": {"num_layers": 1},
    "three layers": {"num_layers": 3},
    "three layers without skips": {"num_layers": 3, "skip_connected": False},
}


def make_encoder(*, std: float = 0.8, **changes: Any) -> CharCnnLstm:
    arguments: dict[str, Any] = {
        "character_embedding_size": 4,
        "filters": [[1, 3], [2, 4], [3, 5], [7, 6]],
        "num_highways": 1,
        "activation": "relu",
        "cell_size": 7,
        "projection_size": 5,
        "num_layers": 2,
        "cell_clip": 1.2,
        "projection_clip": 0.6,
        "skip_connected": True,
        "dropout": 0.5,
    }
    encoder = CharCnnLstm(**(arguments | changes))
    oracle.widen(encoder, std=std)
    oracle.widen(encoder.words, std=std / 2)  # larger word vectors would shut the gates for good
    return encoder.eval()


class Inputs(NamedTuple):
    """The arguments of `CharCnnLstm.forward`."""

    characters_UC: Tensor
    ids_BT: Tensor
    lengths_B: Tensor


def inputs_of(sentences: list[list[str]], *, widest_filter: int = 7, padding: int = 0) -> Inputs:
    words = list(dict.fromkeys(itertools.chain.from_iterable(sentences)))
    table = TypeTable.from_words(words)
    type_ids = {word: type_id for type_id, word in enumerate(words, start=2)}
    marked = [[BEGIN_TYPE, *(type_ids[word] for word in s), END_TYPE] for s in sentences]
    lengths = [len(sentence) for sentence in marked]
    ids_BT = torch.full((len(marked), max(lengths)), padding)
    for row, sentence in enumerate(marked):
        ids_BT[row, : len(sentence)] = torch.tensor(sentence)
    characters = table.characters(np.arange(len(table)), widest_filter=widest_filter)
    return Inputs(torch.from_numpy(characters), ids_BT, torch.tensor(lengths))


def vectors_of(encoder: CharCnnLstm, sentences: list[list[str]]) -> list[Tensor]:
    """(L, T, 2 P) of each sentence."""
    inputs = inputs_of(sentences)
    vectors, _ = encoder(*inputs)
    return [vectors[:, row, :length] for row, length in enumerate(inputs.lengths_B.tolist())]


def options_of(encoder: CharCnnLstm) -> oracle.Options:
    return oracle.Options(
        activation=encoder.words.activation,
        cell_clip=encoder.context.layers[0].cell_clip,
        projection_clip=encoder.context.layers[0].projection_clip,
        skip_connected=encoder.context.skip_connected,
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", CASES)
def test_every_layer_and_state_is_the_oracles(case: str, dtype: torch.dtype) -> None:
    encoder = make_encoder(**CASES[case]).to(dtype)
    weights, options = oracle.official_weights(encoder), options_of(encoder)
    vectors, last = encoder(*inputs_of(SENTENCES))
    assert vectors.shape[0] == encoder.num_layers
    for row, words in enumerate(SENTENCES):
        expected, states = oracle.encode(words, weights, options)
        oracle.assert_near(vectors[:, row, : len(words) + 2], expected)
        for h, c, directions in zip(last[::2], last[1::2], states, strict=True):
            oracle.assert_near(h[:, row], np.stack([h for h, _ in directions]))
            oracle.assert_near(c[:, row], np.stack([c for _, c in directions]))


def test_a_given_state_belongs_to_its_row_whatever_the_lengths() -> None:
    encoder = make_encoder(num_layers=3).double()
    weights, options = oracle.official_weights(encoder), options_of(encoder)
    _, state = encoder(*inputs_of(SENTENCES[::-1]))
    vectors, last = encoder(*inputs_of(SENTENCES), state)
    for row, words in enumerate(SENTENCES):
        layers = zip(state[::2], state[1::2], strict=True)
        before = [[(h[d, row].numpy(), c[d, row].numpy()) for d in (0, 1)] for h, c in layers]
        expected, states = oracle.encode(words, weights, options, before)
        oracle.assert_near(vectors[:, row, : len(words) + 2], expected)
        for h, c, directions in zip(last[::2], last[1::2], states, strict=True):
            oracle.assert_near(h[:, row], np.stack([h for h, _ in directions]))
            oracle.assert_near(c[:, row], np.stack([c for _, c in directions]))


def test_the_oracle_gives_the_vectors_of_the_original_code() -> None:
    golden = SHARED / "golden" / "bilm_tf"
    if not golden.exists():
        pytest.skip("the tiny official model is not beside this checkout (shared/golden/bilm_tf)")
    weights: oracle.Weights = {}

    def keep(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            weights[name] = item[()].astype(np.float64)

    with h5py.File(golden / "lm_weights.hdf5") as file:
        file.visititems(keep)
    options = oracle.Options(activation="relu", cell_clip=3.0, projection_clip=3.0, skip_connected=False)
    rows = json.loads((golden / "lm_embeddings_sentences.json").read_text("utf-8"))
    for row, sentences in enumerate(rows):  # of each batch; the original carries each row's state on
        states = None
        with h5py.File(golden / f"lm_embeddings_{row}.hdf5") as file:
            for batch, sentence in enumerate(sentences[:3]):
                vectors, states = oracle.encode(sentence.split(), weights, options, states)
                forward, backward = file[str(batch)][()]
                top = np.concatenate([forward, backward], axis=1)
                np.testing.assert_allclose(vectors[-1, 1:-1], top, rtol=0, atol=1e-6)


def test_layer_0_is_the_word_vector_twice_and_knows_no_context() -> None:
    encoder = make_encoder()
    cat, mat = vectors_of(encoder, [["cat", "mat"]])[0][0, 1:3]
    alone = vectors_of(encoder, [["mat"]])[0][0, 1]
    assert torch.equal(mat[:5], mat[5:])
    torch.testing.assert_close(mat, alone)
    assert not torch.allclose(cat, mat)


@pytest.mark.parametrize("changed", [0, 3, 6])
def test_a_changed_word_changes_only_what_has_read_it(changed: int) -> None:
    encoder = make_encoder(num_layers=3).double()
    words = SENTENCES[0]
    others = [*words[:changed], "dog", *words[changed + 1 :]]
    difference = vectors_of(encoder, [words])[0] - vectors_of(encoder, [others])[0]
    moved_LTD = difference.unflatten(2, (2, 5)).abs().amax(dim=3) > 1e-9
    position = torch.arange(len(words) + 2)
    at = changed + 1  # behind the marker
    assert torch.equal(moved_LTD[0, :, 0], position == at) and torch.equal(moved_LTD[0, :, 1], position == at)
    for layer in moved_LTD[1:]:
        assert torch.equal(layer[:, 0], position >= at)
        assert torch.equal(layer[:, 1], position <= at)


def test_padding_changes_nothing_and_is_zero() -> None:
    encoder = make_encoder()
    inputs = inputs_of(SENTENCES)
    longest = int(inputs.lengths_B.max())
    beyond = torch.arange(longest) >= inputs.lengths_B[:, None]
    vectors, last = encoder(*inputs)
    assert not vectors[:, beyond].any() and vectors[:, ~beyond].any(dim=2).all()
    garbage = inputs.ids_BT.masked_fill(beyond, -1000)
    again, again_last = encoder(inputs.characters_UC, garbage, inputs.lengths_B)
    wider = torch.nn.functional.pad(inputs.ids_BT, (0, 9), value=-1000)
    wide, _ = encoder(inputs.characters_UC, wider, inputs.lengths_B)
    assert torch.equal(vectors, again) and torch.equal(vectors, wide)
    for (h, c), (again_h, again_c) in zip(last, again_last, strict=True):
        assert torch.equal(h, again_h) and torch.equal(c, again_c)


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3]])
def test_the_order_of_a_batch_changes_nothing(order: list[int]) -> None:
    encoder = make_encoder().double()
    vectors = vectors_of(encoder, SENTENCES)
    reordered = vectors_of(encoder, [SENTENCES[row] for row in order])
    for row, actual in zip(order, reordered, strict=True):
        torch.testing.assert_close(actual, vectors[row], rtol=0, atol=1e-12)


def test_the_other_sentences_of_a_batch_change_nothing() -> None:
    encoder = make_encoder().double()
    for sentence, together in zip(SENTENCES, vectors_of(encoder, SENTENCES), strict=True):
        torch.testing.assert_close(vectors_of(encoder, [sentence])[0], together, rtol=0, atol=1e-12)


def test_distinct_and_cropped_characters_give_what_every_token_in_full_gives() -> None:
    encoder = make_encoder().double()
    sentences = [SENTENCES[0] + SENTENCES[2] + SENTENCES[0], ["The"] * 3]
    cropped, full = inputs_of(sentences), inputs_of(sentences, widest_filter=50)
    short = inputs_of([["The"] * 3])
    every_token = full.characters_UC[full.ids_BT.flatten()]
    own_id = torch.arange(full.ids_BT.numel()).view(full.ids_BT.shape)
    plain, _ = encoder(every_token, own_id, full.lengths_B)
    saved, _ = encoder(*cropped)
    assert every_token.shape[1] == 50 and short.characters_UC.shape[1] < 20
    torch.testing.assert_close(saved, plain, rtol=0, atol=1e-12)
    torch.testing.assert_close(encoder(*short)[0][:, 0], plain[:, 1, :5], rtol=0, atol=1e-12)


def reading_orders(vectors_LBTD: Tensor, lengths: list[int], batch_sizes: list[int]) -> Tensor:
    """(L, D, N, P): the vectors of sentences that are sorted by length, as `run_packed` lays them out."""
    size = vectors_LBTD.shape[-1] // 2
    tokens = [
        torch.stack(
            [
                vectors_LBTD[:, row, step, :size],
                vectors_LBTD[:, row, lengths[row] - 1 - step, size:],
            ],
            dim=1,
        )
        for step, alive in enumerate(batch_sizes)
        for row in range(alive)
    ]
    return torch.stack(tokens, dim=2)


def test_whole_sentences_give_what_packed_ones_give() -> None:
    encoder = make_encoder().double()
    sentences = sorted(SENTENCES, key=len, reverse=True)
    inputs = inputs_of(sentences)
    lengths = inputs.lengths_B.tolist()
    batch_sizes = [sum(length > step for length in lengths) for step in range(lengths[0])]
    ids = inputs.ids_BT
    forward = [ids[row, step] for step, alive in enumerate(batch_sizes) for row in range(alive)]
    backward = [
        ids[row, lengths[row] - 1 - step] for step, alive in enumerate(batch_sizes) for row in range(alive)
    ]
    packed = torch.stack([torch.stack(forward), torch.stack(backward)])
    layers, last = encoder.run_packed(inputs.characters_UC, packed, batch_sizes)
    vectors, last_whole = encoder(*inputs)
    torch.testing.assert_close(
        torch.stack(layers), reading_orders(vectors, lengths, batch_sizes), rtol=0, atol=1e-12
    )
    for state, state_whole in zip(last, last_whole, strict=True):
        torch.testing.assert_close(state, state_whole, rtol=0, atol=1e-12)


def test_a_stream_in_two_halves_with_its_state_is_the_whole_stream() -> None:
    encoder = make_encoder(num_layers=3).double()
    inputs = inputs_of([SENTENCES[4], SENTENCES[4][::-1], SENTENCES[4]])
    batch_sizes = [3] * inputs.ids_BT.shape[1]
    packed = Packing(inputs.lengths_B.tolist()).pack(inputs.ids_BT.flatten())
    whole, whole_last = encoder.run_packed(inputs.characters_UC, packed, batch_sizes)
    parts, state = [], None
    for span in (slice(0, 30), slice(30, None)):
        ids_DN = packed[:, span]
        layers, state = encoder.run_packed(inputs.characters_UC, ids_DN, [3] * (ids_DN.shape[1] // 3), state)
        parts.append(torch.stack(layers))
    torch.testing.assert_close(torch.cat(parts, dim=2), torch.stack(whole), rtol=0, atol=1e-12)
    torch.testing.assert_close(state, whole_last, rtol=0, atol=1e-12)


def test_one_step_of_training_gives_every_parameter_and_direction_a_gradient() -> None:
    encoder = make_encoder(num_layers=3, num_highways=2, cell_clip=3.0, projection_clip=3.0).train()
    state = [part.requires_grad_() for part in encoder.context.zero_state(6)]
    vectors, last = encoder(*inputs_of(SENTENCES), state)
    vectors[-1].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        parts = parameter.grad if name.startswith("context.layers.") else parameter.grad[None]
        assert all(part.abs().sum() > 0 for part in parts), name
    assert all(part.grad is None for part in state)
    assert not any(part.requires_grad for part in last)


def test_bf16_is_close_to_fp32_and_used() -> None:
    encoder = make_encoder(std=0.3, cell_clip=3.0, projection_clip=3.0)
    inputs = inputs_of(SENTENCES)
    exact, _ = encoder(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough, last = encoder(*inputs)
    assert all(part.dtype == torch.float32 for layer in last for part in layer)
    for layer in range(encoder.num_layers):
        error = (rough[layer].float() - exact[layer]).abs().max() / exact[layer].abs().max()
        assert 0 < error < 0.05


def test_dropout_is_for_training_only() -> None:
    encoder = make_encoder(dropout=0.5)
    without = make_encoder(dropout=0.0)
    inputs = inputs_of(SENTENCES)
    expected, _ = without(*inputs)
    assert torch.equal(encoder(*inputs)[0], expected)
    assert torch.equal(without.train()(*inputs)[0], expected)
    assert not torch.equal(encoder.train()(*inputs)[0], expected)


def dropped_share(dropped: Tensor, given: Tensor, *, keep: float) -> float:
    """The share of values that are zero, where all others are the given ones over `keep`."""
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], given[kept] / keep)
    return 1 - kept.double().mean().item()


def test_dropout_is_on_layer_inputs_their_residuals_and_the_top_and_new_at_every_step() -> None:
    encoder = make_encoder(num_layers=3, dropout=0.25).train()
    for layer in (encoder.context.layers[1], encoder.context.layers[2]):
        for parameter in layer.parameters():
            parameter.data.zero_()  # h is zero, so what comes out is the residual alone
    ids_DN = torch.arange(3).repeat(2, 400)
    torch.manual_seed(0)
    layers, _ = encoder.run_packed(inputs_of([["cat"]]).characters_UC, ids_DN, [400, 400, 400])
    words = make_encoder(num_layers=3).words(inputs_of([["cat"]]).characters_UC)
    assert torch.equal(layers[0], words[ids_DN])
    assert dropped_share(layers[2], layers[1], keep=0.75) == pytest.approx(0.25, abs=0.02)
    assert dropped_share(layers[3], layers[1], keep=0.75**3) == pytest.approx(1 - 0.75**3, abs=0.02)
    kept = (layers[2] != 0).double()
    assert 0.15 < kept.view(2, 3, 400, 5).std(dim=1).mean() < 0.45  # one mask for all steps would not vary
    assert not torch.equal(kept[0], kept[1])


def test_dropout_of_the_first_layers_input_leaves_layer_0_alone_and_changes_layer_1() -> None:
    encoder = make_encoder(num_layers=2, dropout=0.5)
    inputs = inputs_of(SENTENCES)
    plain, _ = encoder(*inputs)
    dropped, _ = encoder.train()(*inputs)
    assert torch.equal(dropped[0], plain[0])
    assert not torch.allclose(dropped[1], plain[1])
    assert (dropped[1] == 0).sum() == (plain[1] == 0).sum()  # h itself is not dropped


def test_one_layer_drops_its_input_and_its_output() -> None:
    encoder = make_encoder(num_layers=1, dropout=0.5).train()
    vectors, last = encoder(*inputs_of([SENTENCES[4]]))
    share = (vectors[1] == 0).double().mean().item()
    assert 0.35 < share < 0.65
    assert (last[0] != 0).all()  # the state is not dropped


def test_the_published_size_has_93_6_million_parameters() -> None:
    with torch.device("meta"):
        encoder = REGISTRY.build("encoder", {"type": "char_cnn_lstm"})
    assert isinstance(encoder, CharCnnLstm)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 93_600_848
    assert encoder.num_layers == 3 and encoder.words.widest_filter == 7


def test_a_state_is_zeros_for_each_layer() -> None:
    state = make_encoder(num_layers=3).context.zero_state(4)
    assert [part.shape for part in state] == [(2, 4, 5), (2, 4, 7)] * 3
    assert not any(part.any() for part in state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell_size": 0, "projection_size": 0}, "cell_size: expected at least 1, got 0"),
        ({"projection_size": 0}, "projection_size: expected at least 1, got 0"),
        ({"projection_size": 8}, r"projection_size: expected at most cell_size \(7\), got 8"),
        ({"num_layers": 0}, "num_layers: expected at least 1 and at most 100, got 0"),
        ({"dropout": 1.0}, "dropout: expected at least 0 and less than 1, got 1.0"),
        ({"dropout": -0.1}, "dropout: .* got -0.1"),
        ({"filters": []}, "filters"),
        ({"activation": "gelu"}, "activation"),
        ({"character_embedding_size": 0}, "character_embedding_size"),
        ({"num_highways": -1}, "num_highways"),
        ({"cell_clip": -3.0}, "cell_clip"),
        ({"projection_clip": 0.0}, "projection_clip"),
    ],
)
def test_arguments_that_make_no_encoder_are_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_encoder(**changes)
