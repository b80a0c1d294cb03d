"""The sum of frozen layers in blocks against the same mix step by step: values, gradients, dropout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from elmo.bilm import mixes
from elmo.bilm.mixes import AverageMix, Mix, ScalarMix, SingleMix, TopMix

L, B, T, P = 3, 4, 5, 6


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixes, "_BLOCK_VALUES", 7 * P)  # the last block is not full


def mix_of(kind: str, *, standardized: bool, rate: float = 0.0) -> Mix:
    given = {"num_layers": L, "dropout": rate, "standardized": standardized, "size": P}
    mix: Mix
    if kind == "scalar":
        mix = ScalarMix(**given, initial_weights=[0.5, -0.2, 0.1])  # type: ignore[arg-type]
    elif kind == "single":
        mix = SingleMix(**given, layer=1)  # type: ignore[arg-type]
    else:
        mix = {"average": AverageMix, "top": TopMix}[kind](**given)  # type: ignore[arg-type]
    if standardized:
        mix.set_statistics(torch.randn(L, P), torch.rand(L, P) + 0.5)
    return mix


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Layers as they are stored, a word's beside each other, and a mask; padding holds numbers, too."""
    torch.manual_seed(0)
    layers = torch.randn(B, T, L, P, dtype=torch.float64).to(dtype).permute(2, 0, 1, 3)
    return layers, torch.arange(T) < torch.tensor([5, 1, 3, 0])[:, None]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("kind", ["scalar", "average", "top", "single"])
def test_frozen_layers_are_mixed_as_step_by_step(
    kind: str, standardized: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, mask = inputs(dtype)
    found = []
    for is_frozen in (True, False):
        with monkeypatch.context() as patch:
            if not is_frozen:
                patch.setattr(mixes, "_are_frozen", lambda layers, rate: False)
            torch.manual_seed(1)
            mix = mix_of(kind, standardized=standardized)
            mixed = mix(layers, mask)
            if kind == "scalar":
                (mixed * torch.arange(P)).sum().backward()
            gradients = [parameter.grad for parameter in mix.parameters()]
            found.append([mixed, mix(layers), *gradients])
    for folded, plain in zip(*found, strict=True):
        assert folded is not None and folded.dtype == plain.dtype
        torch.testing.assert_close(folded, plain, rtol=1e-5, atol=1e-5)
    assert not found[0][0][~mask].any()


def test_dropout_keeps_the_expectation_and_leaves_padding_zero() -> None:
    layers, mask = inputs(torch.float32)
    mix = mix_of("scalar", standardized=True, rate=0.4).train()
    with torch.no_grad():
        plain = mix.eval()(layers, mask)
        mix.train()
        drawn = torch.stack([mix(layers, mask) for _ in range(3000)])
    assert not drawn[:, ~mask].any()
    is_kept = drawn != 0
    torch.testing.assert_close(drawn, torch.where(is_kept, plain / 0.6, 0.0), rtol=1e-4, atol=1e-5)
    assert is_kept[:, mask].float().mean().item() == pytest.approx(0.6, abs=0.01)


def test_a_rate_that_is_nearly_one_drops_nearly_everything() -> None:
    layers, mask = inputs(torch.float32)
    assert not mix_of("average", standardized=False, rate=1 - 1e-9).train()(layers, mask).any()


def test_the_gradient_under_dropout_is_that_of_finite_differences() -> None:
    layers, mask = inputs(torch.float64)
    mix = mix_of("scalar", standardized=True, rate=0.3).double().train()

    def mixed(scalars: Tensor, gamma: Tensor) -> Tensor:
        torch.manual_seed(5)
        result: Tensor = torch.func.functional_call(mix, {"scalars": scalars, "gamma": gamma}, (layers, mask))
        return result

    given = (torch.randn(L, dtype=torch.float64), torch.ones((), dtype=torch.float64))
    assert torch.autograd.gradcheck(mixed, [each.requires_grad_() for each in given])


def test_layers_that_learn_get_their_gradient() -> None:
    layers, mask = inputs(torch.float32)
    layers.requires_grad_()
    mix_of("scalar", standardized=True)(layers, mask).sum().backward()
    assert layers.grad is not None and layers.grad[:, mask].all() and not layers.grad[:, ~mask].any()
