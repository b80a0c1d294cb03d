"""Steps with gradients of few rows are torch's own, touch only these rows, and ask the device for nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.training.optimization import row_sparse
from experiments.training.optimization.row_sparse import Adagrad

V, P = 50, 3
OPTIONS: list[dict[str, Any]] = [
    {"lr": 0.2, "initial_accumulator_value": 1.0, "eps": 0.0},
    {"lr": 0.1, "lr_decay": 0.3},
    {"lr": 0.1, "maximize": True},
]


def of_rows(rows: list[int], generator: torch.Generator, *, is_distinct: bool) -> Tensor:
    values = torch.randn(len(rows), P, generator=generator)
    return torch.sparse_coo_tensor(
        torch.tensor([rows]), values, (V, P), is_coalesced=is_distinct, check_invariants=False
    )


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(V, P, generator=generator)) for _ in range(2)]


def take_steps(optimizer: torch.optim.Optimizer, table: nn.Parameter, dense: nn.Parameter) -> None:
    """Four steps: with distinct rows, with none, and with rows that come twice."""
    generator = torch.Generator().manual_seed(1)
    for rows, is_distinct in (([0, 7, 49], True), ([7, 8], True), ([], True), ([3, 7, 3, 7, 49], False)):
        table.grad = of_rows(rows, generator, is_distinct=is_distinct)
        dense.grad = torch.randn(V, P, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rows_at_once", [1, 2, 256])
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's own step warns of itself
def test_steps_are_those_of_torch(
    options: dict[str, Any], rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_sparse, "ROWS_AT_ONCE", rows_at_once)
    ours, theirs = parameters(), parameters()
    mine, torchs = Adagrad(ours, **options), torch.optim.Adagrad(theirs, **options)
    take_steps(mine, *ours)
    take_steps(torchs, *theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(mine.state_dict(), torchs.state_dict(), rtol=1e-6, atol=1e-7)


def test_other_rows_and_the_gradients_are_left_as_they_are() -> None:
    table, dense = parameters()
    before = table.detach().clone()
    optimizer = Adagrad([table, dense], **OPTIONS[0])
    gradient = table.grad = of_rows([2, 5], torch.Generator().manual_seed(0), is_distinct=True)
    values = gradient._values().clone()
    optimizer.step()
    changed = (table != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == (optimizer.state[table]["sum"] != 1).any(dim=1).nonzero().flatten().tolist() == [2, 5]
    assert table.grad is gradient and torch.equal(gradient._values(), values)


def test_a_state_of_torchs_adagrad_is_gone_on_with() -> None:
    ours, theirs = parameters(), parameters()
    torchs = torch.optim.Adagrad(theirs, **OPTIONS[0])
    mine = Adagrad(ours, **OPTIONS[0])
    dense = [torch.ones(V, P), torch.full((V, P), 2.0)]
    for group, optimizer in ((theirs, torchs), (ours, mine)):
        for parameter, gradient in zip(group, dense, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    resumed = Adagrad(ours, **OPTIONS[0])
    resumed.load_state_dict(torchs.state_dict())
    torch.testing.assert_close(resumed.state_dict(), mine.state_dict(), rtol=0, atol=0)


def test_a_step_on_another_device_reads_no_value() -> None:
    """A tensor of the meta device has none."""
    table = nn.Parameter(torch.zeros(V, P, device="meta"))
    optimizer = Adagrad([table], lr=0.1)
    rows = torch.zeros(1, 4, dtype=torch.int64, device="meta")
    table.grad = torch.sparse_coo_tensor(
        rows, torch.zeros(4, P, device="meta"), (V, P), is_coalesced=True, check_invariants=False
    )
    optimizer.step()
    assert optimizer.state[table]["step"] == 1
