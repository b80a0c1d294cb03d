"""Vectors equal those of the original code: two small official models, from zeros and with carried state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from places import TEST_DATA
from torch import nn

from elmo import ElmoEmbedder
from elmo.io.model_directory import read_bilm, save_model
from elmo.io.official import read_official, write_official
from elmo.io.official_options import read_options

ALLENNLP = TEST_DATA / "allennlp"
MODELS = ("relu_skip", "tanh_deep")
SENTENCES = [line.split() for line in json.loads((ALLENNLP / "sentences.json").read_text("utf-8"))]
BATCHES = [SENTENCES[start : start + 3] for start in range(0, len(SENTENCES), 3)]

# Both programs compute in float32, on different machines, and add in different orders; each step of a
# recurrence builds on the rounding of the one before. Values reach 6, where 4e-5 is 84 times the spacing of
# float32.
TOLERANCE = 4e-5


def official_files(name: str) -> tuple[Path, Path]:
    return ALLENNLP / f"{name}_options.json", ALLENNLP / f"{name}_weights.hdf5"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("state", ["zero", "carried"])
def test_every_layer_equals_the_originals(name: str, state: str, device: torch.device) -> None:
    embedder = ElmoEmbedder(*official_files(name), state=state)
    embedded = [vectors for batch in BATCHES for vectors in embedder.embed_batch(batch)]
    with np.load(ALLENNLP / "vectors.npz") as golden:
        for index, vectors in enumerate(embedded):
            wanted = golden[f"{name}/{state}/{index}"]
            np.testing.assert_allclose(vectors, wanted, rtol=0, atol=TOLERANCE, err_msg=f"sentence {index}")


@pytest.mark.parametrize("name", MODELS)
def test_carried_state_changes_the_vectors(name: str) -> None:
    with np.load(ALLENNLP / "vectors.npz") as golden:
        distances = [
            np.abs(golden[f"{name}/zero/{index}"] - golden[f"{name}/carried/{index}"]).max()
            for index in range(len(SENTENCES))
        ]
    assert max(distances[:3]) == 0  # the first batch starts from zeros either way
    assert min(distances[3:]) > 100 * TOLERANCE


@pytest.mark.parametrize("name", MODELS)
def test_official_files_come_back_equal_from_a_model_directory(name: str, tmp_path: Path) -> None:
    options, weights = official_files(name)
    save_model(
        tmp_path / "model",
        config={"encoder": read_options(options)},
        model=nn.ModuleDict({"encoder": read_official(options, weights)}),
        vocabulary=None,
    )
    written = tmp_path / "options.json", tmp_path / "weights.hdf5"
    write_official(read_bilm(tmp_path / "model"), *written)

    assert json.loads(written[0].read_text()) == json.loads(options.read_text())
    expected, actual = datasets(weights), datasets(written[1])
    assert actual.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(actual[key], values, err_msg=key)


def datasets(path: Path) -> dict[str, Any]:
    """Every dataset's values by its path within the file."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found
