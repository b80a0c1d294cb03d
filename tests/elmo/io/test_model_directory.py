"""A model directory from anywhere: each fault of its files is a line, and none takes memory or leaves the
directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from elmo.bilm.bilm import build_bilm
from elmo.errors import InputError
from elmo.io.model_directory import read_bilm, read_model, save_model
from elmo.text.vocabulary import Vocabulary

NODE: dict[str, Any] = {
    "type": "char_cnn_lstm",
    "character_embedding_size": 3,
    "filters": [[1, 2]],
    "num_highways": 0,
    "cell_size": 4,
    "projection_size": 2,
    "num_layers": 1,
}
CONFIG: dict[str, Any] = {"batch_size": 4, "task": {"type": "language_model"}, "encoder": NODE, "words": []}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    model = nn.ModuleDict({"encoder": build_bilm(NODE)})
    words = {"part.words": ["a", "b"]}
    save_model(
        tmp_path / "m",
        config=CONFIG,
        model=model,
        vocabulary=Vocabulary(["<S>", "</S>", "<UNK>"]),
        words=words,
    )
    return tmp_path / "m"


def change(directory: Path, changed: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(changed(config)))


def fault_of(read: Callable[[Path], object], directory: Path) -> str:
    with pytest.raises(InputError) as error:
        read(directory)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    return str(error.value)


def test_a_sound_directory_is_read(directory: Path) -> None:
    assert read_model(directory).words == {"part.words": ["a", "b"]}
    assert read_bilm(directory).projection_size == 2


@pytest.mark.parametrize("read", [read_model, read_bilm])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "not JSON, or damaged (Expecting value"),
        ("[]", "not of format 2"),
        ('{"format": 2', "not JSON, or damaged (Expecting"),
        ("[" * 10_000 + "]" * 10_000, "not JSON, or damaged (maximum recursion depth"),
        ('{"format": 2, "a": ' + "[" * 300 + "]" * 300 + "}", "more than 100 levels of nesting"),
        (
            '{"format": 2, "task": null, "encoder": "tiny"}',
            "encoder: expected Mapping[str, Any] | None, got 'tiny'",
        ),
        (
            '{"format": 2, "task": [], "encoder": {}}',
            "task: expected Mapping[str, Any] | None, got [] (list)",
        ),
        (
            '{"format": 2, "task": {"type": []}}',
            "task: expected a mapping with `type` or null, got {'type': []}",
        ),
        ('{"format": 2, "words": "abc"}', "words: expected list[str], got 'abc' (str)"),
        ('{"format": 2, "words": ["../../etc/passwd"]}', "words[0]: expected the name of a file in the same"),
        ('{"format": 2, "batch_size": 1e300}', "batch_size: expected int | None, got 1e+300 (float)"),
        ('{"format": 2, "bilm": {"node": {"type": "x"}}}', "bilm.weights: missing"),
        (
            '{"format": 2, "bilm": {"node": {"type": "x"}, "weights": 3}}',
            "bilm.weights: expected str, got 3 (int)",
        ),
    ],
)
def test_a_config_that_is_none_is_told_by_file_and_key(
    directory: Path, read: Callable[[Path], object], content: str, fault: str
) -> None:
    (directory / "config.json").write_text(content)
    assert fault_of(read, directory).startswith(f"{directory}/config.json: {fault}")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("cell_size", 10**12, "encoder.cell_size: expected at most 1,000,000, got 1000000000000"),
        ("num_layers", 10**6, "encoder.num_layers: expected at least 1 and at most 100, got 1000000"),
        ("filters", [[1, 2]] * 1000, "encoder.filters: expected a list of 1 to 100 items"),
        ("filters", ["ab"], "encoder.filters[0]: expected Sequence[int], got 'ab' (str)"),
        ("type", "x" * 10**6, "unknown encoder 'xxx"),
    ],
)
def test_sizes_without_sense_build_nothing(directory: Path, key: str, value: Any, fault: str) -> None:
    change(directory, lambda config: {**config, "encoder": {**NODE, key: value}})
    assert fault_of(read_bilm, directory).startswith(f"{directory}/config.json: {fault}")


def test_sizes_are_compared_with_the_file_before_memory_is_taken(directory: Path) -> None:
    sizes = {"cell_size": 10**6, "projection_size": 10**6}  # 16 terabytes
    change(directory, lambda config: {**config, "encoder": {**NODE, **sizes}})
    fault = fault_of(read_bilm, directory)
    assert "context.layers.0.bias has shape (2, 16), the configured model expects (2, 4000000)" in fault


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_when_they_are_loaded(directory: Path, value: float) -> None:
    weights = load_file(directory / "model.safetensors")
    weights["encoder.words.embedding"][5, 0] = value
    save_file(weights, directory / "model.safetensors")
    assert fault_of(read_bilm, directory).endswith("words.embedding has 1 values that are NaN or infinite")


def test_weights_of_another_type_are_refused(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    name = "encoder.words.embedding"
    save_file({**weights, name: weights[name].to(torch.int32)}, directory / "model.safetensors")
    assert fault_of(read_bilm, directory).endswith(
        "words.embedding is of torch.int32, expected torch.float32"
    )


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "vocabulary.txt", "words/part.words.txt"]
)
def test_a_link_out_of_the_directory_is_not_followed(directory: Path, name: str) -> None:
    outside = directory.parent / "outside"
    (directory / name).rename(outside)
    (directory / name).symlink_to(outside)
    assert f"{directory / name}: a link out of {directory}" in fault_of(read_model, directory)


def test_a_directory_that_is_reached_by_a_link_is_read(directory: Path) -> None:
    (directory.parent / "link").symlink_to(directory)
    assert read_model(directory.parent / "link").vocabulary is not None
