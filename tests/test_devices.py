"""Whole runs on a second device, an emulated one: tensors are made on the right one, and no float64 there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emulated_device import EMULATED, emulated_device
from places import TEST_DATA
from tiny_runs import RUNS, figures_of, write_data

NUM_STEPS = 2


@pytest.mark.parametrize("name", RUNS)
def test_a_run_on_another_device_has_the_losses_of_one_on_the_cpu(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # a command sets it
    monkeypatch.setattr("elmo.device.choose_device", lambda device: EMULATED)
    changes = [f"trainer.max_steps={NUM_STEPS}", f"trainer.evaluate_every={NUM_STEPS}"]
    with emulated_device():
        found = figures_of(name, tmp_path, write_data(tmp_path), changes=changes)
    golden = json.loads((TEST_DATA / "golden_losses.json").read_text())[name]
    for key in ("train/loss", "train/sampled_loss"):
        if key in golden:
            assert found[key] == pytest.approx(golden[key][:NUM_STEPS], rel=2e-4, abs=1e-6)
    assert any(key.startswith(("heldout/", "dev/")) for key in found)
