"""Mixes of layers against numpy, in float64.

Shape legend: L layers, B sentences, T tokens of the longest one, P size of a vector.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml  # type: ignore[import-untyped]
from places import CONF
from torch import Tensor

from elmo.bilm.mixes import AverageMix, Mix, ScalarMix, SingleMix, TopMix
from elmo.errors import InputError
from elmo.registry import REGISTRY

L, B, T, P = 3, 4, 5, 6
YAMLS = sorted((CONF / "mix").glob("*.yaml"))
LENGTHS = [5, 1, 3, 2]


@pytest.fixture
def layers_LBTP() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(L, B, T, P, generator=generator, dtype=torch.float64) + 1


@pytest.fixture
def mask_BT() -> Tensor:
    return torch.arange(T) < torch.tensor(LENGTHS)[:, None]


def scalar_oracle(
    layers: np.ndarray, scalars: list[float], gamma: float, statistics_mask: np.ndarray | None
) -> np.ndarray:
    """The weighted sum, written out; with a mask, of layers normalised over what it counts."""
    exponentials = np.exp(np.array(scalars) - max(scalars))
    total = np.zeros(layers.shape[1:])
    for weight, layer in zip(exponentials / exponentials.sum(), layers, strict=True):
        if statistics_mask is not None:
            counted = layer[statistics_mask]
            layer = (layer - counted.mean()) / np.sqrt(counted.var() + 1e-12)
        total += weight * layer
    return gamma * total


def assert_mixed(actual: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("normed", [False, True])
def test_the_scalar_mix_is_the_oracles(normed: bool, layers_LBTP: Tensor, mask_BT: Tensor) -> None:
    scalars = [0.5, -1.5, 2.0]
    mix = ScalarMix(num_layers=L, layer_normed=normed, initial_weights=scalars).double().eval()
    mix.gamma.data.fill_(0.7)
    expected = scalar_oracle(layers_LBTP.numpy(), scalars, 0.7, mask_BT.numpy() if normed else None)
    expected[~mask_BT.numpy()] = 0
    assert_mixed(mix(layers_LBTP, mask_BT), expected)
    assert_mixed(mix(list(layers_LBTP), mask_BT.long()), expected)


def test_statistics_count_the_tokens_they_are_told_to(layers_LBTP: Tensor, mask_BT: Tensor) -> None:
    mix = ScalarMix(num_layers=L, layer_normed=True).double().eval()
    inner_BT = mask_BT.clone()
    inner_BT[:, 0] = False
    expected = scalar_oracle(layers_LBTP.numpy(), [0.0] * L, 1.0, inner_BT.numpy())
    expected[~mask_BT.numpy()] = 0
    assert_mixed(mix(layers_LBTP, mask_BT, inner_BT), expected)


def test_without_a_mask_all_tokens_count(layers_LBTP: Tensor) -> None:
    mix = ScalarMix(num_layers=L, layer_normed=True).double().eval()
    everything = np.ones((B, T), dtype=bool)
    assert_mixed(mix(layers_LBTP), scalar_oracle(layers_LBTP.numpy(), [0.0] * L, 1.0, everything))


def test_a_mix_begins_as_the_mean_of_all_layers(layers_LBTP: Tensor) -> None:
    mean = layers_LBTP.numpy().mean(axis=0)
    assert_mixed(ScalarMix(num_layers=L).double().eval()(layers_LBTP), mean)
    assert_mixed(AverageMix(num_layers=L).eval()(layers_LBTP), mean)


def test_one_layer_comes_out_as_it_is(layers_LBTP: Tensor, mask_BT: Tensor) -> None:
    top = TopMix(num_layers=L).eval()(layers_LBTP, mask_BT)
    assert torch.equal(top, layers_LBTP[-1] * mask_BT[..., None])
    for layer in range(L):
        assert torch.equal(SingleMix(num_layers=L, layer=layer).eval()(layers_LBTP), layers_LBTP[layer])


def test_the_penalty_is_that_of_the_weights_before_the_softmax() -> None:
    mix = ScalarMix(num_layers=L, initial_weights=[1.0, -2.0, 3.0], l2=0.01)
    assert mix.penalty().item() == pytest.approx(0.01 * (1 + 4 + 9))
    mix.penalty().backward()  # type: ignore[no-untyped-call]
    assert mix.scalars.grad is not None and mix.gamma.grad is None
    assert mix.scalars.grad.tolist() == pytest.approx([0.02, -0.04, 0.06])
    assert TopMix(num_layers=L).penalty().item() == 0


def test_weights_and_gamma_learn_unless_they_are_given_for_good(layers_LBTP: Tensor) -> None:
    mix = ScalarMix(num_layers=L).double()
    assert torch.autograd.gradcheck(
        lambda scalars, gamma: torch.func.functional_call(
            mix.eval(), {"scalars": scalars, "gamma": gamma}, (layers_LBTP,)
        ),
        (torch.randn(L, dtype=torch.float64, requires_grad=True), mix.gamma),
    )
    fixed = ScalarMix(num_layers=L, initial_weights=[-9e10, 1, -9e10], trainable=False).eval()
    assert not any(parameter.requires_grad for parameter in fixed.parameters())
    assert fixed.weights().tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["scalar", "average", "top"])
def test_dropout_is_on_the_result_while_training(name: str, layers_LBTP: Tensor) -> None:
    mix = REGISTRY.build("mix", {"type": name, "dropout": 0.25}, num_layers=L)
    assert isinstance(mix, Mix)
    whole = mix.eval()(layers_LBTP)
    torch.manual_seed(0)
    dropped = mix.train()(layers_LBTP)
    kept = dropped != 0
    assert 0.6 < kept.double().mean() < 0.9
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)


@pytest.mark.parametrize("node", [{"type": "scalar"}, {"type": "average"}, {"type": "top"}])
def test_a_standardized_mix_subtracts_the_mean_and_divides_by_the_deviation(
    node: dict[str, object], layers_LBTP: Tensor, mask_BT: Tensor
) -> None:
    plain = REGISTRY.build("mix", node, num_layers=L).double().eval()
    mix = REGISTRY.build("mix", {**node, "standardized": True}, num_layers=L, size=P).double().eval()
    torch.testing.assert_close(mix(layers_LBTP, mask_BT), plain(layers_LBTP, mask_BT))  # nothing is known yet
    generator = np.random.default_rng(1)
    mean_LP, deviation_LP = generator.normal(size=(L, P)), generator.uniform(0.1, 9, size=(L, P))
    mix.set_statistics(torch.from_numpy(mean_LP), torch.from_numpy(deviation_LP))
    expected = (layers_LBTP.numpy() - mean_LP[:, None, None]) / deviation_LP[:, None, None]
    assert_mixed(mix(layers_LBTP, mask_BT), plain(torch.from_numpy(expected), mask_BT).detach().numpy())
    loaded = REGISTRY.build("mix", {**node, "standardized": True}, num_layers=L, size=P).double().eval()
    loaded.load_state_dict(mix.state_dict())
    assert torch.equal(loaded(layers_LBTP), mix(layers_LBTP))


def test_padding_alone_is_zero_not_nan(layers_LBTP: Tensor) -> None:
    mix = ScalarMix(num_layers=L, layer_normed=True).double().eval()
    assert not mix(layers_LBTP, torch.zeros(B, T, dtype=torch.bool)).any()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"type": "scalar", "initial_weights": [1.0, 2.0]}, "initial_weights: expected 3 numbers"),
        (
            {"type": "scalar", "initial_weights": [1.0, 2.0, float("nan")]},
            "mix.initial_weights[2]: expected at least -1,000,000,000,000",
        ),
        ({"type": "scalar", "l2": float("nan")}, "mix.l2: expected at least 0"),
        ({"type": "scalar", "dropout": float("inf")}, "mix.dropout: expected at least 0"),
        ({"type": "top", "dropout": -1.0}, "mix.dropout: expected at least 0 and less than 1, got -1.0"),
        ({"type": "scalar", "l2": -1.0}, "mix.l2: expected at least 0, got -1.0"),
        ({"type": "scalar", "dropout": 1.0}, "mix.dropout: expected at least 0 and less than 1, got 1.0"),
        ({"type": "single", "layer": 3}, "mix.layer: expected 0..2, got 3"),
        ({"type": "single", "layer": -1}, "mix.layer: expected 0..2, got -1"),
        (
            {"type": "top", "standardized": True},
            "mix.standardized: true needs the size of the layers' vectors",
        ),
    ],
)
def test_a_mix_that_cannot_be_is_refused(node: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        REGISTRY.build("mix", node, num_layers=L)
    assert message in str(error.value)


def test_another_number_of_layers_is_refused(layers_LBTP: Tensor) -> None:
    with pytest.raises(InputError, match="expected 2 layers, got 3"):
        AverageMix(num_layers=2)(layers_LBTP)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in YAMLS])
def test_a_yaml_says_all_that_a_mix_takes(path: Path, layers_LBTP: Tensor) -> None:
    node = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert node["type"] == path.stem
    arguments = set(inspect.signature(REGISTRY.get("mix", node["type"])).parameters)
    assert node.keys() - {"type"} == arguments - {"num_layers", "size"}
    assert REGISTRY.build("mix", node, num_layers=L, size=P).double()(layers_LBTP).shape == (B, T, P)


def test_every_mix_has_a_yaml() -> None:
    assert REGISTRY.names("mix") == [path.stem for path in YAMLS]
