"""A trained model as a directory of its own: `config.json`, `model.safetensors`, `vocabulary.txt`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.files import directory_aside
from elmo.vocabulary import Vocabulary

FORMAT = 1
CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE = "config.json", "model.safetensors", "vocabulary.txt"


class SavedModel(NamedTuple):
    """What a model directory holds.

    Attributes:
        config: the component nodes that the model was built from, each `{type: ..., argument: value}`.
        weights: the model's parameters by name, on the CPU.
        vocabulary: the words that the softmax predicts.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    vocabulary: Vocabulary


def save_model(path: Path, *, config: Mapping[str, Any], model: nn.Module, vocabulary: Vocabulary) -> None:
    """Write a model directory aside and rename it; one that exists is an InputError."""
    if path.exists():
        raise InputError(f"{path}: exists already; a model is never overwritten")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with directory_aside(path) as aside:
        save_file(weights, aside / WEIGHTS_FILE)
        vocabulary.save(aside / VOCABULARY_FILE)
        text = json.dumps({"format": FORMAT, **config}, indent=2, ensure_ascii=False)
        (aside / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def find_model(path: Path) -> Path:
    """The model directory that is meant: `path` itself, or `model` within a run's directory."""
    for candidate in (path, path / "model"):
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    raise InputError(f"{path}: no model here (no {CONFIG_FILE}); give a finished run or its model directory")


def read_model(path: Path) -> SavedModel:
    """Read a run's or a model's directory; InputError names what is missing or damaged."""
    directory = find_model(path)
    weights_path = directory / WEIGHTS_FILE
    try:
        config = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
        weights = load_file(weights_path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{directory / CONFIG_FILE}: damaged ({error})") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights_path}: missing or damaged ({error})") from error
    if config.pop("format", None) != FORMAT:
        raise InputError(f"{directory / CONFIG_FILE}: not of format {FORMAT}; written by another version?")
    return SavedModel(config, weights, Vocabulary.from_file(directory / VOCABULARY_FILE))


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, name: str) -> None:
    """Copy weights into a model; InputError names the first that is missing, extra or of another shape."""
    own = model.state_dict()
    for key in sorted(own.keys() | weights.keys()):
        ours = tuple(own[key].shape) if key in own else None
        theirs = tuple(weights[key].shape) if key in weights else None
        if ours != theirs:
            raise InputError(f"{name}: {key} has shape {theirs}, the configured model wants {ours}")
    model.load_state_dict(dict(weights))
