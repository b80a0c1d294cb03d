"""Every device computes what the CPU does, whose figures other tests compare with oracles.

An emulated one shows that tensors are made on the right device, and no float64, where there is no other.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from places import TEST_DATA
from tiny_runs import RUNS, figures_of, write_data
from torch import Tensor, nn

from elmo.registry import REGISTRY
from experiments import evaluate, predict
from experiments.config.command import run_command
from tasks.heads.span_head import SpanHead, Words

REGISTRY.discover("elmo.bilm", "tasks.heads")
NUM_STEPS = 2
MIXES: list[dict[str, Any]] = [
    {"type": "scalar", "layer_normed": True},
    {"type": "average"},
    {"type": "top"},
    {"type": "single", "layer": 0},
]
TEXT_HEADS: list[dict[str, Any]] = [
    {"type": "pooled", "pooling": ["attention", "max", "mean", "min"]},
    {"type": "bilstm", "hidden_size": 4, "num_layers": 2, "dropout": 0.0, "pooling": ["max"]},
    {"type": "cnn", "num_words": 8, "num_filters": 4, "hidden_size": 6},
    {"type": "bcn", "hidden_size": 4, "output_sizes": [12, 6], "maxout_pieces": 2, "dropout": 0.0},
]
SPAN_HEADS: list[dict[str, Any]] = [
    {"type": "span", "cell": "lstm", "hidden_size": 4, "num_layers": 2, "alignment_size": 5, "dropout": 0.0},
    {"type": "bidaf_self_attention", "cell": "gru", "hidden_size": 4, "linear_size": 7, "dropout": 0.0},
]


def gradients_and_outputs(module: nn.Module, inputs: Sequence[Any], device: torch.device) -> list[Tensor]:
    """What a copy of a module gives on a device, and gradients of its input and parameters, on the CPU."""
    module = copy.deepcopy(module).to(device).eval()
    moved = [None if one is None else one.detach().clone().to(device) for one in inputs]
    moved[0].requires_grad_()
    if isinstance(module, SpanHead):
        outputs = list(module(Words(moved[0], moved[1], None), Words(moved[0][:, :3], moved[1][:, :3], None)))
    else:
        outputs = [module(*moved)]
    (sum(one[one.isfinite()].square().sum() for one in outputs)).backward()  # type: ignore[union-attr]
    gradients = [one.grad for one in (moved[0], *module.parameters()) if one.grad is not None]
    return [tensor.detach().cpu() for tensor in (*outputs, *gradients)]


@pytest.mark.parametrize("node", [*MIXES, *TEXT_HEADS, *SPAN_HEADS], ids=lambda node: node["type"])
def test_a_component_computes_what_it_does_on_the_cpu(node: dict[str, Any], device: torch.device) -> None:
    torch.manual_seed(0)
    mask = torch.arange(7) < torch.tensor([[7], [3], [1]])
    if node in MIXES:
        module, inputs = REGISTRY.build("mix", node, num_layers=3), [torch.randn(3, 3, 7, 6), mask]
    else:
        module = REGISTRY.build("head", node, input_size=6, injected_size=0)
        inputs = [torch.randn(3, 7, 6) * mask[..., None], mask, None]
    expected = gradients_and_outputs(module, inputs, torch.device("cpu"))
    actual = gradients_and_outputs(module, inputs, device)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_losses_of_one_on_the_cpu(name: str, device: torch.device, tmp_path: Path) -> None:
    if device.type == "cpu":
        pytest.skip("the golden losses are tested elsewhere")
    changes = [f"trainer.max_steps={NUM_STEPS}", f"trainer.evaluate_every={NUM_STEPS}"]
    found = figures_of(name, tmp_path, write_data(tmp_path), changes=changes)
    golden = json.loads((TEST_DATA / "golden_losses.json").read_text())[name]
    for key in ("train/loss", "train/sampled_loss"):
        if key in golden:
            assert found[key] == pytest.approx(golden[key][:NUM_STEPS], rel=2e-4, abs=1e-6)
    assert any(key.startswith(("heldout/", "dev/")) for key in found)


def finished_run(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on the CPU, of a few steps."""
    with monkeypatch.context() as changed:
        changed.setattr("elmo.device.choose_device", lambda name: torch.device("cpu"))
        figures_of(name, path, write_data(path), changes=[f"trainer.max_steps={NUM_STEPS}"])
    return next(path.glob("*/metrics.json")).parent


@pytest.mark.parametrize("name", ["language_model, stream, sampled", "text_classification, fine-tuned biLM"])
def test_a_run_of_the_cpu_is_scored_the_same_elsewhere(
    name: str, device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(name, tmp_path, monkeypatch)
    arguments = [f"run={run}", f"output={run}/again.json"]
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 0
    expected, actual = (json.loads((run / file).read_text()) for file in ("metrics.json", "again.json"))
    assert actual.keys() & expected.keys()
    for key in actual.keys() & expected.keys():
        assert actual[key] == pytest.approx(expected[key], rel=1e-4), key


def test_predictions_are_made_and_explained(
    device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run("text_classification, fine-tuned biLM", tmp_path, monkeypatch)
    (tmp_path / "new.txt").write_text("w1 w2 sun\nrain w3\n")
    arguments = [
        f"run={run}",
        f"input={tmp_path}/new.txt",
        f"output={tmp_path}/answers.jsonl",
        "explain=true",
    ]
    assert run_command(predict.main, config_name="predict", arguments=arguments) == 0
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 2
