"""Dropout by few random numbers: distributed as PyTorch's, and repeated by the generator's state."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from elmo.bilm.dropout import draw_mask, dropout


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_each_value_is_dropped_by_itself_at_the_rate_and_the_expectation_stays(rate: float) -> None:
    torch.manual_seed(0)
    kept, scale = draw_mask(torch.Size([1000, 400]), rate)
    drawn = kept.double()
    error = (rate * (1 - rate) / drawn.numel()) ** 0.5  # the standard error of a mean of independent draws
    assert abs(drawn.mean().item() - (1 - rate)) < 5 * error
    assert scale == pytest.approx(1 / (1 - rate), rel=1e-4)
    for step in (1, 2, 3, 4, 400):  # values of the same random number, their neighbours, and those below
        both = drawn.flatten()[step:] * drawn.flatten()[:-step]
        assert abs(both.mean().item() - (1 - rate) ** 2) < 10 * error


def test_what_is_kept_is_scaled_and_its_gradient_alike() -> None:
    torch.manual_seed(0)
    values = torch.randn(50, 30, requires_grad=True)
    dropped = dropout(values, 0.5, training=True)
    kept = dropped != 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(dropped, torch.where(kept, 2 * values, 0.0), rtol=0, atol=0)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, 2.0 * kept, rtol=0, atol=0)


def test_the_generators_state_repeats_a_mask() -> None:
    values = torch.ones(7, 3)  # no multiple of four values
    state = torch.get_rng_state()
    first = dropout(values, 0.3, training=True)
    torch.set_rng_state(state)
    assert torch.equal(dropout(values, 0.3, training=True), first)
    assert not torch.equal(torch.stack([dropout(values, 0.3, True) for _ in range(9)]), first.expand(9, 7, 3))


def test_without_training_or_a_rate_values_stay_and_elsewhere_pytorchs_own_is_used() -> None:
    values = torch.ones(4, 4)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0, training=True) is values
    assert dropout(values.to("meta"), 0.5, training=True).device.type == "meta"
    assert not dropout(values, 1.0, training=True).any()
    torch.manual_seed(3)
    compiled = torch.compile(dropout, backend="eager")(values, 0.5, True)
    torch.manual_seed(3)
    assert torch.equal(compiled, F.dropout(values, 0.5, True))
