"""A checkpoint that was edited, with its checksums written again, is refused by the name of what is wrong."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from elmo.errors import InputError
from experiments.training.optimization.optimizers import OptimizerChoice
from experiments.training.saving.checkpoint import load_checkpoint, save_checkpoint
from experiments.training.saving.saved_state import read_state, refuse_unlike, refuse_unlike_optimizer

STATE: dict[str, Any] = {
    "model": {"weight": torch.ones(2)},
    "optimizer": {"state": {}, "param_groups": []},
    "batches": {"taken": 3},
    "task": {},
    "fingerprints": {"train": "a"},
    "position": {"step": 2, "last_scores": {"dev/loss": float("nan")}},
    "metric": "dev/loss",
    "generators": {"cpu": torch.get_rng_state()},
}


def edited(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A saved checkpoint with a changed document, whose checksum is right."""
    save_checkpoint(path / "c", STATE)
    file = path / "c" / "state.json"
    document = json.loads(file.read_text())
    change(document)
    if "tree" in document:
        document["tree_crc32"] = zlib.crc32(json.dumps(document["tree"]).encode())
    file.write_text(json.dumps(document))
    return path / "c"


def test_a_sound_state_is_read(tmp_path: Path) -> None:
    state = read_state(load_checkpoint(edited(tmp_path, lambda document: None)), name="c")
    assert (state.position.step, state.metric, state.batches) == (2, "dev/loss", {"taken": 3})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d.pop("tensors_crc32"), "tensors_crc32: missing"),
        (lambda d: d.pop("tree"), "tree: missing"),
        (lambda d: d.update(tree=[]), "tree: expected dict[str, Any], got [] (list)"),
        (lambda d: d.update(more=1), "more: unknown key"),
        (lambda d: d["tree"].update(model={"$": "tensor"}), "damaged ('name')"),
        (lambda d: d["tree"].update(model={"$": "tensor", "name": "t99"}), "damaged ('t99')"),
        (lambda d: d["tree"].update(model={"$": "dict", "items": [3]}), "damaged (cannot unpack"),
        (lambda d: d["tree"].update(model={"$": "what"}), "damaged (a value of kind 'what')"),
        (lambda d: d["tree"].update(model={"$": "float", "value": None}), "damaged (float() argument"),
    ],
)
def test_a_document_that_is_none_is_told(tmp_path: Path, change: Callable[[Any], Any], fault: str) -> None:
    path = edited(tmp_path, change)
    with pytest.raises(InputError) as error:
        load_checkpoint(path)
    assert str(error.value).startswith(f"{path / 'state.json'}: {fault}")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model": None}, "model: expected dict[str, Tensor], got None"),
        ({"model": {"weight": 1}}, "model.weight: expected Tensor, got 1 (int)"),
        ({"metric": []}, "metric: expected str, got []"),
        ({"position": {"steps": 1}}, "position.steps: unknown key; nearest: step"),
        ({"position": {"step": -1}}, "position.step: expected at least 0, got -1"),
        ({"position": {"seconds": float("inf")}}, "position.seconds: expected at most"),
        ({"position": {"last_scores": {"a": "b"}}}, "position.last_scores.a: expected float, got 'b'"),
        ({"more": 1}, "more: unknown key"),
    ],
)
def test_a_part_of_another_type_is_told(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError) as error:
        read_state({**STATE, **changes}, name="c")
    assert str(error.value).startswith(f"c: {fault}")
    with pytest.raises(InputError, match="c: position: missing"):
        read_state({key: value for key, value in STATE.items() if key != "position"}, name="c")


@pytest.mark.parametrize(
    "saved",
    [
        None,
        {"a": 1},
        {"a": 1, "b": [1.0, 2.0]},
        {"a": True, "b": [1.0]},
        {"a": 1, "b": [float("nan")]},
        {"a": 10**18, "b": [1.0]},
    ],
)
def test_a_state_of_another_kind_is_refused(saved: Any) -> None:
    refuse_unlike({"a": 7, "b": [0.5]}, {"a": 1, "b": [1.0]}, name="c")
    with pytest.raises(InputError, match="the checkpoint is damaged"):
        refuse_unlike(saved, {"a": 1, "b": [1.0]}, name="c")


def stepped(name: str) -> tuple[torch.optim.Optimizer, dict[str, Any]]:
    """An optimizer, and the state of its twin after a step of all parameters but one."""
    model = nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.Linear(4, 2)})
    choice = OptimizerChoice(name=name, learning_rate=0.1, options={}, groups=[{"pattern": "bias"}])
    twin = choice.create(model)
    for parameter in model["a"].parameters():
        parameter.grad = torch.ones_like(parameter)
    twin.step()
    return choice.create(model), twin.state_dict()


@pytest.mark.parametrize("name", ["AdamW", "Adagrad", "SGD", "Adafactor", "RMSprop", "NAdam", "Rprop"])
def test_the_state_of_an_optimizer_of_the_same_class_fits(name: str) -> None:
    optimizer, saved = stepped(name)
    refuse_unlike_optimizer(saved, optimizer, name="c")


@pytest.mark.parametrize(
    "change",
    [
        lambda saved: saved.pop("state"),
        lambda saved: saved["param_groups"].pop(),
        lambda saved: saved["param_groups"][0].pop("lr"),
        lambda saved: saved["param_groups"][0].update(lr="a"),
        lambda saved: saved["param_groups"][0].update(params=[3, 0]),
        lambda saved: saved["state"].update({99: {}}),
        lambda saved: saved["state"][0].pop("exp_avg"),
        lambda saved: saved["state"][0].update(exp_avg=None),
        lambda saved: saved["state"][0].update(exp_avg=torch.zeros(9)),
        lambda saved: saved["state"][0].update(exp_avg=saved["state"][0]["exp_avg"] / 0),
        lambda saved: saved["state"][0].update(step=torch.zeros(3)),
    ],
)
def test_another_state_of_an_optimizer_is_refused_before_a_step(change: Callable[[Any], Any]) -> None:
    optimizer, saved = stepped("AdamW")
    change(saved)
    with pytest.raises(InputError, match="c"):
        refuse_unlike_optimizer(saved, optimizer, name="c")
