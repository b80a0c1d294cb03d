"""The kernels' values and gradients against torch's own operations.

Shape legend: D = 2 directions, N packed tokens, B rows.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from elmo.bilm.char_cnn import CharCnn, Highway
from elmo.bilm.kernels.library import kernels
from elmo.bilm.lstm import BiLstm, LstmLayer
from elmo.text.characters import MAX_CHARACTERS, PAD

pytestmark = pytest.mark.skipif(kernels() is None, reason="no C compiler here")

RAGGED = [7, 7, 5, 3, 1]
CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-5}, torch.bfloat16: {"rtol": 0.1, "atol": 0.05}}


def gradients(run: object, inputs: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The output of `run(*inputs)`, and the gradients of its weighted sum by inputs and parameters."""
    assert callable(run)
    for tensor in inputs:
        tensor.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = run(*inputs)
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    (output.float() * weights).sum().backward()
    return [output.detach(), *(tensor.grad for tensor in inputs if tensor.grad is not None)]


def both(run: object, inputs: list[Tensor], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results with the kernels and without them are close, and those with them are not the same bits."""
    with_kernels = gradients(run, inputs, dtype)
    for module in ("lstm", "char_cnn"):
        monkeypatch.setattr(f"elmo.bilm.{module}.use_kernels", lambda *_, **__: False)
    by_torch = gradients(run, inputs, dtype)
    assert len(with_kernels) == len(by_torch) == 1 + len(inputs)
    for actual, expected in zip(with_kernels, by_torch, strict=True):
        torch.testing.assert_close(actual, expected, **CLOSE[dtype])
    assert any(not torch.equal(a, b) for a, b in zip(with_kernels, by_torch, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("projection_size", [5, 16, None])
@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("cell_size", [19, 32])
def test_an_lstm_layer(
    cell_size: int,
    clip: float | None,
    projection_size: int | None,
    with_mask: bool,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    layer = LstmLayer(
        input_size=6,
        cell_size=cell_size,
        projection_size=projection_size,
        cell_clip=clip,
        projection_clip=clip,
    )
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, sum(RAGGED), 6, requires_grad=True)
    state = torch.randn(2, RAGGED[0], layer.output_size) / 2, torch.randn(2, RAGGED[0], cell_size) / 4
    mask = torch.rand(2, RAGGED[0], layer.output_size) if with_mask else None

    def run(x: Tensor, *_: Tensor) -> Tensor:
        outputs, (h, c) = layer(x, RAGGED, state, recurrent_mask=mask)
        return torch.cat([outputs.flatten(), h.flatten(), c.flatten()])

    both(run, [x, *layer.parameters()], dtype, monkeypatch)


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("projection_size", [16, None])
def test_an_lstm_layer_with_large_products(
    projection_size: int | None, with_mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elmo.bilm.kernels.steps._SMALL_PRODUCT", 0)
    test_an_lstm_layer(32, 0.3, projection_size, with_mask, torch.float32, monkeypatch)


@pytest.mark.parametrize("num_threads", [2, 3])
def test_the_directions_side_by_side_are_the_same_bits(num_threads: int) -> None:
    torch.manual_seed(1)
    layer = LstmLayer(input_size=6, cell_size=40, projection_size=8, cell_clip=3.0, projection_clip=3.0)
    x = torch.randn(2, sum(RAGGED), 6, requires_grad=True)
    state = layer.zero_state(RAGGED[0])
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, num_threads):
            torch.set_num_threads(threads)
            inputs = [x, *layer.parameters()]
            results.append(gradients(lambda x, *_: layer(x, RAGGED, state)[0], inputs, torch.float32))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3, 16, 37])
def test_a_highway(size: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    highway = Highway(size)
    torch.nn.init.normal_(highway.transform.bias)
    x = torch.randn(21, size, requires_grad=True)
    both(lambda x, *_: highway(x), [x, *highway.parameters()], dtype, monkeypatch)


@pytest.mark.parametrize("filters", [[[1, 3], [2, 20]], [[7, 64]], [[3, 70], [1, 1], [50, 2]]])
def test_the_character_cnn(filters: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    cnn = CharCnn(embedding_size=4, filters=filters, num_highways=1, projection_size=6, activation="tanh")
    length = MAX_CHARACTERS if filters[-1][0] == MAX_CHARACTERS else 14
    characters = torch.randint(0, PAD, (9, length))
    for row, used in enumerate([1, 2, 3, 5, 8, 9, 12, 13, length]):
        characters[row, used:] = PAD
    both(lambda *_: cnn(characters), list(cnn.parameters()), torch.float32, monkeypatch)


@pytest.mark.parametrize(
    "name", ["embedding", "convolutions.1", "highways.0.transform.bias", "projection.weight"]
)
def test_a_weight_that_is_no_number_is_seen_in_the_vectors(name: str) -> None:
    torch.manual_seed(1)
    cnn = CharCnn(
        embedding_size=4, filters=[[1, 3], [2, 20]], num_highways=1, projection_size=6, activation="relu"
    )
    torch.nn.init.constant_(cnn.get_parameter(name), float("nan"))
    assert bool(cnn(torch.randint(0, PAD, (3, 9))).isnan().any())


@pytest.mark.parametrize("name", ["kernel", "bias", "projection"])
def test_a_weight_that_is_no_number_is_seen_in_the_outputs(name: str) -> None:
    layer = LstmLayer(input_size=6, cell_size=20, projection_size=8, cell_clip=3.0, projection_clip=3.0)
    torch.nn.init.constant_(layer.get_parameter(name), float("nan"))
    assert bool(layer(torch.randn(2, 4, 6), [2, 2], layer.zero_state(2))[0].isnan().all())


def variational_layers(*, projection_size: int) -> BiLstm:
    return BiLstm(
        cell_size=64,
        projection_size=projection_size,
        num_layers=1,
        cell_clip=None,
        projection_clip=None,
        skip_connected=True,
        dropout=0.5,
        variational=True,
    )


def test_a_row_has_one_mask_for_all_its_tokens_with_variational_dropout() -> None:
    torch.manual_seed(1)
    sizes = {
        "cell_size": 8,
        "projection_size": 64,
        "num_layers": 1,
        "cell_clip": None,
        "projection_clip": None,
    }
    bilstm = BiLstm(**sizes, skip_connected=True, dropout=0.5, variational=True)  # type: ignore[arg-type]
    ones = torch.ones(1, 64)
    ids = torch.zeros(2, sum(RAGGED), dtype=torch.long)
    seen: list[Tensor] = []
    bilstm.layers[0].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    bilstm.train()(ones, ids, RAGGED, bilstm.zero_state(RAGGED[0]))
    bilstm.eval()(ones, ids, RAGGED, bilstm.zero_state(RAGGED[0]))
    dropped, whole = seen
    first, second = dropped[:, : RAGGED[0]], dropped[:, RAGGED[0] : 2 * RAGGED[0]]
    assert torch.equal(first, second)
    assert not torch.equal(first[:, 0], first[:, 1]) and not torch.equal(first[0], first[1])
    assert set(dropped.unique().tolist()) == {0.0, 2.0} and dropped.mean().item() == pytest.approx(1, abs=0.1)
    assert bool((whole == 1).all())


def test_variational_dropout_is_on_the_recurrent_connections_too() -> None:
    torch.manual_seed(1)
    sizes = {
        "cell_size": 8,
        "projection_size": 4,
        "num_layers": 1,
        "cell_clip": None,
        "projection_clip": None,
    }
    bilstm = BiLstm(**sizes, skip_connected=True, dropout=0.5, variational=True)  # type: ignore[arg-type]
    masks: list[Tensor] = []
    bilstm.layers[0].register_forward_pre_hook(
        lambda module, arguments, options: masks.append(options["recurrent_mask"]), with_kwargs=True
    )
    ids = torch.zeros(2, 4, dtype=torch.long)
    bilstm.train()(torch.ones(1, 4), ids, [2, 2], bilstm.zero_state(2))
    bilstm.eval()(torch.ones(1, 4), ids, [2, 2], bilstm.zero_state(2))
    assert masks[0].shape == (2, 2, 4) and set(masks[0].unique().tolist()) <= {0.0, 2.0}
    assert masks[1] is None
