"""Runs with a fraction of the training data read the vectors that are stored for all of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import arguments_of, write_data

from experiments import evaluate, train
from experiments.config.command import run_command
from tasks.supervised.feature_store import FeatureCache

# The stores of train, dev and test; these questions are the same in all splits.
NUM_STORES = {"text_classification, standardized": 3, "question_answering, frozen biLM": 1}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(("name", "num_stores"), NUM_STORES.items())
def test_fractions_share_one_store_with_the_whole_split(
    name: str, num_stores: int, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write = FeatureCache._write

    def write_and_tell(self: FeatureCache, path: Path, *rest: object) -> np.ndarray:
        written.append(path)
        return write(self, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureCache, "_write", write_and_tell)
    figures = {}
    for fraction, cached in ((0.4, True), (1, True), (0.4, False)):
        run = tmp_path / f"{fraction}-{cached}"
        arguments = [*arguments_of(name, run, files), f"data.fraction={fraction}", "features.dtype=float32"]
        arguments += [
            f"features.cached={str(cached).lower()}",
            "trainer.evaluate_every=2",
            "trainer.max_steps=2",
        ]
        assert run_command(train.main, config_name="train", arguments=arguments) == 0
        figures[fraction, cached] = json.loads((run / "metrics.json").read_text())
        assert len(written) == num_stores  # by the first run
    again = [f"run={tmp_path / '0.4-True'}", f"output={tmp_path / 'again.json'}", "progress=none"]
    assert run_command(evaluate.main, config_name="evaluate", arguments=again) == 0
    scored = json.loads((tmp_path / "again.json").read_text())  # its baselines had the same part
    assert scored == pytest.approx({key: figures[0.4, True][key] for key in scored}, rel=1e-3)
    unit = "texts" if name.startswith("text") else "questions"
    whole = figures[1, True][f"facts/train_{unit}"]
    assert figures[0.4, True][f"facts/train_{unit}"] == 0.4 * whole
    assert figures[0.4, True]["facts/train_fraction"] == 40
    assert "facts/train_fraction" not in figures[1, True]
    assert figures[0.4, True]["dev/loss"] == pytest.approx(figures[0.4, False]["dev/loss"], rel=1e-4)
