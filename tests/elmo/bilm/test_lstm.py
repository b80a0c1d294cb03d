"""The LSTM layer against the oracle, by hand, and by its gradients.

Shape legend: D = 2 directions, N packed tokens, B rows, P projection (input and output) size, H cells.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from elmo.bilm.lstm import LstmLayer, State
from elmo.bilm.recurrence import Steps, TorchPackedLstm

RAGGED = [4, 3, 3, 2, 1, 1]  # rows of 6, 4, 3 and 1 tokens
SHAPES: list[dict[str, Any]] = [
    {},
    {"projection_size": None},
    {"cell_clip": None, "projection_clip": None},
    {"cell_clip": 0.7, "projection_clip": None},
    {"cell_clip": None, "projection_clip": 0.4},
    {"projection_size": None, "cell_clip": None},
    {"input_size": 1, "cell_size": 1, "projection_size": 1},
]


def make_layer(*, std: float = 1.0, **changes: Any) -> LstmLayer:
    arguments: dict[str, Any] = {
        "input_size": 4,
        "cell_size": 6,
        "projection_size": 3,
        "cell_clip": 0.9,
        "projection_clip": 0.5,
    }
    layer = LstmLayer(**(arguments | changes))
    oracle.widen(layer, std=std)
    return layer


def random_inputs(layer: LstmLayer, batch_sizes: list[int], *, seed: int = 1) -> tuple[Tensor, State]:
    """Inputs (2, N, input_size) and a state that is not zero, in the layer's precision."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(layer.bias.dtype)

    rows = batch_sizes[0]
    state = draw(2, rows, layer.output_size) / 2, draw(2, rows, layer.cell_size) / 2
    return draw(2, sum(batch_sizes), layer.input_size), state


def positions(batch_sizes: list[int], row: int) -> list[int]:
    """Where the tokens of a row lie on the packed axis."""
    return [sum(batch_sizes[:step]) + row for step, size in enumerate(batch_sizes) if row < size]


def run_oracle(layer: LstmLayer, x: Tensor, batch_sizes: list[int], state: State) -> tuple[np.ndarray, ...]:
    """The oracle's outputs (2, N, P) and last h (2, B, P) and c (2, B, H), row by row."""
    outputs = np.zeros((2, x.shape[1], layer.output_size))
    h, c = (part.double().numpy().copy() for part in state)
    for direction in (0, 1):
        weights = {"W_0": layer.kernel, "B": layer.bias, "W_P_0": layer.projection}
        cell = {
            f"cell/{k}": w[direction].detach().double().numpy() for k, w in weights.items() if w is not None
        }
        for row in range(batch_sizes[0]):
            where = positions(batch_sizes, row)
            outputs[direction, where], (h[direction, row], c[direction, row]) = oracle.run_lstm(
                list(x[direction, where].double().numpy()),
                cell,
                "cell",
                cell_clip=layer.cell_clip,
                projection_clip=layer.projection_clip,
                state=(h[direction, row], c[direction, row]),
            )
    return outputs, h, c


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("batch_sizes", [RAGGED, [1], [3] * 5, [2, 1] + [1] * 40, [5, 5, 2]])
@pytest.mark.parametrize("changes", SHAPES)
def test_outputs_and_states_are_the_oracles(
    changes: dict[str, Any], batch_sizes: list[int], dtype: torch.dtype
) -> None:
    layer = make_layer(**changes).to(dtype)
    x, state = random_inputs(layer, batch_sizes)
    outputs, last = layer(x, batch_sizes, state)
    for actual, expected in zip((outputs, *last), run_oracle(layer, x, batch_sizes, state), strict=True):
        oracle.assert_near(actual, expected)


def test_both_clips_bite_and_let_the_rest_pass() -> None:
    layer = make_layer()
    x, state = random_inputs(layer, RAGGED)
    h, (_, c) = layer(x, RAGGED, state)
    for values, clip in ((h, 0.5), (c, 0.9)):
        assert values.abs().max().item() == pytest.approx(clip)
        assert 0.1 < (values.abs() > 0.999 * clip).double().mean() < 0.9


def test_without_a_projection_its_clip_is_not_used() -> None:
    layer = make_layer(projection_size=None, projection_clip=0.01)
    x, state = random_inputs(layer, RAGGED)
    assert layer.projection is None
    assert layer(x, RAGGED, state)[0].abs().max() > 0.1


def test_gates_are_input_candidate_forget_and_output_and_forgetting_is_offset_by_one() -> None:
    layer = LstmLayer(input_size=1, cell_size=1, projection_size=None, cell_clip=None, projection_clip=None)
    i, j, f, o = 0.3, -0.7, 0.9, -1.1
    with torch.no_grad():
        layer.kernel.zero_()
        layer.bias.copy_(torch.tensor([[i, j, f, o], [f, i, o, j]]))

    def step(i: float, j: float, f: float, o: float, c: float) -> tuple[float, float]:
        c = c / (1 + math.exp(-f - 1)) + math.tanh(j) / (1 + math.exp(-i))
        return math.tanh(c) / (1 + math.exp(-o)), c

    state = torch.zeros(2, 1, 1), torch.full((2, 1, 1), 2.0)
    outputs, (h, c) = layer(torch.zeros(2, 1, 1), [1], state)
    for direction, gates in enumerate([(i, j, f, o), (f, i, o, j)]):
        expected_h, expected_c = step(*gates, c=2.0)
        assert outputs[direction].item() == h[direction].item() == pytest.approx(expected_h)
        assert c[direction].item() == pytest.approx(expected_c)


def test_the_kernel_takes_the_input_first_and_the_recurrent_output_second() -> None:
    layer = LstmLayer(input_size=1, cell_size=1, projection_size=None, cell_clip=None, projection_clip=None)
    with torch.no_grad():
        layer.kernel.zero_()
        layer.kernel[:, 0, 1], layer.kernel[:, 1, 1] = 1.0, 10.0  # into the candidate
        layer.bias.zero_()
    state = torch.full((2, 1, 1), 0.2), torch.zeros(2, 1, 1)
    _, (_, c) = layer(torch.full((2, 1, 1), 0.5), [1], state)
    assert c.flatten().tolist() == [pytest.approx(0.5 * math.tanh(0.5 + 10 * 0.2))] * 2


@pytest.mark.parametrize("split", [1, 3, 5])
def test_a_stream_in_two_parts_with_its_state_is_the_whole_stream(split: int) -> None:
    layer = make_layer().double()
    x, state = random_inputs(layer, RAGGED)
    whole, whole_last = layer(x, RAGGED, state)
    cut = sum(RAGGED[:split])
    first, state = layer(x[:, :cut], RAGGED[:split], state)
    # a narrower batch goes on with the first rows of a wider state
    second, last = layer(x[:, cut:], RAGGED[split:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-12)
    for part, whole_part in zip(last, whole_last, strict=True):
        torch.testing.assert_close(part, whole_part[:, : RAGGED[split]], rtol=0, atol=1e-12)


def test_rows_do_not_touch_each_other() -> None:
    layer = make_layer().double()
    x, (h, c) = random_inputs(layer, RAGGED)
    together, last = layer(x, RAGGED, (h, c))
    for row in range(RAGGED[0]):
        where = positions(RAGGED, row)
        alone, last_alone = layer(x[:, where], [1] * len(where), (h[:, [row]], c[:, [row]]))
        torch.testing.assert_close(together[:, where], alone, rtol=0, atol=1e-12)
        for part, part_alone in zip(last, last_alone, strict=True):
            torch.testing.assert_close(part[:, [row]], part_alone, rtol=0, atol=1e-12)


def test_directions_do_not_touch_each_other() -> None:
    layer = make_layer()
    x, state = random_inputs(layer, RAGGED)
    before, _ = layer(x, RAGGED, state)
    with torch.no_grad():
        x[1] += 1
        for parameter in layer.parameters():
            parameter[1] *= 2
    after, _ = layer(x, RAGGED, state)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_a_call_changes_neither_its_inputs_nor_the_weights() -> None:
    layer = make_layer()
    x, state = random_inputs(layer, RAGGED)
    given = [x, *state, *layer.parameters()]
    copies = [tensor.detach().clone() for tensor in given]
    layer(x, RAGGED, state)[0].sum().backward()
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(given, copies, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"projection_size": None},
        {"cell_clip": None, "projection_clip": None},
        {"cell_clip": None, "projection_clip": 0.3},
        {"cell_clip": 0.5, "projection_clip": None},
        {"projection_size": None, "cell_clip": None},
    ],
)
def test_gradients_are_those_of_finite_differences(changes: dict[str, Any]) -> None:
    layer = make_layer(input_size=2, cell_size=3, **({"projection_size": 2} | changes)).double()
    batch_sizes = [3, 2, 2, 1]
    x, state = random_inputs(layer, batch_sizes)
    names = [name for name, _ in layer.named_parameters()]

    def outputs(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(layer, dict(zip(names, parameters, strict=True)), (x, batch_sizes, state))[0]

    h, (_, c) = layer(x, batch_sizes, state)
    for values, clip in ((h, layer.projection_clip), (c, layer.cell_clip)):
        assert clip is None or 0.05 < (values.abs() > 0.999 * clip).double().mean() < 0.95

    given = [x, *(parameter.detach().clone() for parameter in layer.parameters())]
    assert torch.autograd.gradcheck(outputs, [tensor.requires_grad_() for tensor in given])


def test_inputs_without_a_gradient_leave_the_weights_theirs() -> None:
    layer = make_layer()
    x, state = random_inputs(layer, RAGGED)
    layer(x, RAGGED, state)[0].square().sum().backward()
    expected = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
    layer.zero_grad()
    layer(x.requires_grad_(), RAGGED, state)[0].square().sum().backward()
    actual = [p.grad for p in layer.parameters() if p.grad is not None]
    assert len(actual) == 3 and x.grad is not None
    assert all(torch.equal(a, e) for a, e in zip(actual, expected, strict=True))


def test_no_gradient_flows_through_the_state() -> None:
    layer = make_layer()
    x, (h, c) = random_inputs(layer, RAGGED)
    h.requires_grad_(), c.requires_grad_()
    outputs, last = layer(x, RAGGED, (h, c))
    assert not any(part.requires_grad for part in last)
    outputs.sum().backward()
    assert h.grad is None and c.grad is None


@pytest.mark.parametrize("projection_size", [None, 3])
def test_bf16_is_close_to_fp32_and_used(projection_size: int | None) -> None:
    layer = make_layer(std=0.3, projection_size=projection_size, cell_clip=3.0, projection_clip=3.0)
    x, state = random_inputs(layer, RAGGED)
    x = x.bfloat16().float()  # so that only the products differ
    exact, exact_last = layer(x, RAGGED, state)
    exact.square().sum().backward()
    exact_gradients = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rough, rough_last = layer(x.bfloat16(), RAGGED, state)
    rough.square().sum().backward()
    gradients = [p.grad for p in layer.parameters() if p.grad is not None]
    pairs = zip((rough, *rough_last, *gradients), (exact, *exact_last, *exact_gradients), strict=True)
    for actual, expected in pairs:
        assert actual.dtype == torch.float32
        error = (actual - expected).abs().max() / expected.abs().max()
        assert 0 < error < 0.03


def test_the_state_begins_at_zero() -> None:
    h, c = make_layer().double().zero_state(5)
    assert h.shape == (2, 5, 3) and c.shape == (2, 5, 6)
    assert h.dtype == c.dtype == torch.float64
    assert not h.any() and not c.any()


def test_initial_weights_are_glorot_uniform_on_the_fused_shapes_of_each_direction() -> None:
    torch.manual_seed(0)
    layer = LstmLayer(input_size=20, cell_size=50, projection_size=10, cell_clip=None, projection_clip=None)
    for weight, fans in ((layer.kernel, 20 + 10 + 4 * 50), (layer.projection, 50 + 10)):
        bound = math.sqrt(6 / fans)
        for direction in weight:
            assert 0.97 * bound < direction.abs().max() <= bound
            assert direction.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert not torch.equal(weight[0], weight[1])
    assert not layer.bias.any()


class _Bfloat16Operations(TorchDispatchMode):
    """Notes the operations that compute with values in bfloat16, other than casts and views."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not func.is_view and any(tensor.dtype == torch.bfloat16 for tensor in tensors):
            self.names.add(func._schema.name)
        return results


def test_in_bf16_products_alone_are_rounded_and_cells_gradients_and_weights_are_fp32() -> None:
    layer = make_layer()
    x, (h, c) = random_inputs(layer, RAGGED)
    x.requires_grad_()
    with _Bfloat16Operations() as seen:
        outputs, h_last, c_last = TorchPackedLstm.apply(
            x, layer.kernel, layer.bias, layer.projection, h, c, None,
            Steps(RAGGED), (layer.cell_clip, layer.projection_clip), torch.bfloat16,
        )  # fmt: skip
        outputs.sum().backward()
    made = [outputs, h_last, c_last, x.grad, *(weight.grad for weight in layer.parameters())]
    assert {tensor.dtype for tensor in made if tensor is not None} == {torch.float32}
    # what is added, copied or cast is the result of a product, or becomes an operand of one
    assert "aten::bmm" in seen.names
    copied = {"aten::_to_copy", "aten::copy_", "aten::clone", "aten::add.Tensor", "aten::add_", "aten::add"}
    assert seen.names <= {"aten::bmm"} | copied
