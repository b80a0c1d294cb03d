"""Tests of the choice of an optimizer: any of torch, groups by pattern, faults named by their key."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from elmo.errors import InputError
from experiments.training.optimization.optimizers import OptimizerChoice

NAMES = sorted(
    name
    for name, cls in vars(torch.optim).items()
    if inspect.isclass(cls) and name not in ("Optimizer", "LBFGS", "SparseAdam")
)


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Linear(3, 4)
        self.above = nn.Linear(4, 2)


def choose(name: str = "AdamW", **changes: Any) -> OptimizerChoice:
    return OptimizerChoice(**{"name": name, "learning_rate": 0.1, "options": {}, "groups": [], **changes})


def names_of(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[list[str]]:
    """The names of each parameter group's parameters."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]


@pytest.mark.parametrize("name", NAMES)
def test_any_optimizer_of_torch_is_found_by_its_name(name: str) -> None:
    model = nn.Linear(3, 2, bias=False)
    optimizer = choose(name).create(model)
    assert type(optimizer).__name__ == name and isinstance(optimizer, getattr(torch.optim, name))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1]


def test_options_reach_the_optimizer() -> None:
    options = {"initial_accumulator_value": 1.0, "eps": 0.0}
    model = TwoLayers()
    optimizer = choose("Adagrad", options=options).create(model)
    assert optimizer.param_groups[0]["eps"] == 0.0
    assert torch.equal(optimizer.state[model.below.weight]["sum"], torch.ones(4, 3))


def test_a_parameter_belongs_to_the_first_group_that_its_name_fits() -> None:
    model = TwoLayers()
    groups = [
        {"pattern": r"bias$", "weight_decay": 0.0},
        {"pattern": r"^above\.", "learning_rate": 0.5, "weight_decay": 0.3},
    ]
    optimizer = choose(options={"weight_decay": 0.1}, groups=groups).create(model)
    assert names_of(optimizer, model) == [["below.bias", "above.bias"], ["above.weight"], ["below.weight"]]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.1]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.3, 0.1]


def test_groups_that_fit_everything_leave_no_empty_rest() -> None:
    model = TwoLayers()
    optimizer = choose(groups=[{"pattern": "", "weight_decay": 0.0}]).create(model)
    assert names_of(optimizer, model) == [[name for name, _ in model.named_parameters()]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "AdmaW"}, r"optimizer\.name: no optimizer 'AdmaW' in torch\.optim; nearest: AdamW"),
        ({"name": "Optimizer"}, r"optimizer\.name: no optimizer 'Optimizer'"),
        ({"learning_rate": 0.0}, r"optimizer\.learning_rate: expected more than 0, got 0\.0"),
        ({"learning_rate": float("nan")}, r"optimizer\.learning_rate: expected more than 0 and"),
        (
            {"options": {"weight_decai": 0.1}},
            r"optimizer\.options\.weight_decai: unknown key; nearest: weight_decay",
        ),
        ({"options": {"lr": 0.1}}, r"optimizer\.options\.lr: unknown key"),
        (
            {"groups": [{"pattern": "bias"}, {"pattern": "x", "momentun": 0.1}]},
            r"optimizer\.groups\[1\]\.momentun: unknown key",
        ),
        ({"learning_rate": 1e300}, r"optimizer\.learning_rate: expected at most 1,000, got 1e\+300"),
        ({"options": {"betas": [0.9, 0.999, 0.5]}}, "optimizer: AdamW refuses its options: too many values"),
        (
            {"options": {"weight_decay": 1e300}},
            r"optimizer\.options: a step of AdamW leads to NaN or infinity",
        ),
        (
            {"groups": [{"pattern": "x", "learning_rate": float("inf")}]},
            r"optimizer\.groups\[0\]\.learning_rate: expected at most 1,000, got inf",
        ),
        ({"groups": [{"pattern": "(bias"}]}, r"optimizer\.groups\[0\]\.pattern: expected a regular expr"),
        ({"groups": [{"weight_decay": 0.1}]}, r"optimizer\.groups\[0\]\.pattern: expected a regular expr"),
    ],
)
def test_a_fault_is_named_by_its_key_before_there_is_a_model(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"groups": [{"pattern": "bias"}, {"pattern": r"above\.bias"}]},
            r"optimizer\.groups\[1\]\.pattern: 'above\\\\.bias' fits no parameter that is left; there are",
        ),
        ({"options": {"weight_decay": -1.0}}, r"optimizer: AdamW refuses its options: .*-1\.0"),
        ({"options": {"weight_decay": "much"}}, r"optimizer: AdamW refuses its options"),
        ({"options": {"betas": [0.9]}}, r"optimizer: AdamW refuses its options"),
        pytest.param(
            {"name": "Muon"},
            r"optimizer: Muon refuses",
            marks=pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon yet"),
        ),
    ],
)
def test_what_the_model_or_torch_refuses_is_the_users_fault(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(**changes).create(TwoLayers())


class SparseRows(nn.Module):
    """A layer of a user's own package, say."""

    has_sparse_gradient = True

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(3, 2, sparse=True)


def test_a_sparse_gradient_is_refused_by_what_takes_none_before_the_first_step() -> None:
    model = nn.Sequential(nn.Linear(2, 2), SparseRows())
    message = r"optimizer\.name: AdamW takes no sparse gradients, as those of SparseRows are; expected one of"
    with pytest.raises(InputError, match=message):
        choose("AdamW").create(model)
    assert isinstance(choose("Adagrad").create(model), torch.optim.Adagrad)
    for changes in (
        {"options": {"weight_decay": 0.1}},
        {"groups": [{"pattern": "rows", "weight_decay": 0.1}]},
    ):
        with pytest.raises(InputError, match=r"optimizer\.options\.weight_decay: expected 0 with sparse"):
            choose("Adagrad", **changes).create(model)
    model[1].has_sparse_gradient = False
    assert isinstance(choose("AdamW").create(model), torch.optim.AdamW)
