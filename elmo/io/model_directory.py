"""The model directory: `config.json`, `model.safetensors`, `vocabulary.txt`, `words/`.

A run saves the whole model of its task; a directory converted from official files has only the encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from elmo.bilm import char_cnn_lstm, word_lstm  # noqa: F401  # importing them registers the encoders
from elmo.bilm.bilm import BiLm, build_bilm
from elmo.errors import InputError
from elmo.files import atomic_directory, json_text
from elmo.io.meta_device import meta_device
from elmo.io.tensor_file import write_tensors
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary

FORMAT = 2
CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE = "config.json", "model.safetensors", "vocabulary.txt"
WORDS = "words"  # directory of the word lists, and key of config.json for their names
BILM = "bilm"  # key of config.json for the place of a biLM that is part of another encoder
ENCODER = "encoder"  # key of config.json, and prefix of the names of the encoder's weights


class SavedModel(NamedTuple):
    """The content of the model directory of a finished run.

    Attributes:
        config: the component nodes that the model was built from, each `{type: ..., argument: value}`, and
            further values of the task.
        weights: the model's parameters by name, on the CPU.
        vocabulary: the words that the softmax predicts; None if there is no softmax.
        words: the word lists of encoders with a table of words, by name.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    vocabulary: Vocabulary | None
    words: dict[str, list[str]]


def save_model(
    path: Path,
    *,
    config: Mapping[str, Any],
    model: nn.Module,
    vocabulary: Vocabulary | None = None,
    words: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write a model directory atomically; InputError if it exists."""
    if path.exists():
        raise InputError(f"{path}: exists already; a model is never overwritten")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_directory(path) as aside:
        write_tensors(aside / WEIGHTS_FILE, weights)
        if vocabulary is not None:
            vocabulary.save(aside / VOCABULARY_FILE)
        lists = _write_words(aside / WORDS, words or {})
        text = json_text({"format": FORMAT, **config, **lists}, indent=2)
        (aside / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def find_model(path: Path) -> Path:
    """The model directory: `path` itself, or `path/model` if `path` is a run; InputError if there is none."""
    for candidate in (path, path / "model"):
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    raise InputError(f"{path}: no model here (no {CONFIG_FILE}); give a finished run or its model directory")


def read_model(path: Path) -> SavedModel:
    """Read the directory of a run or of a model; InputError names what is missing or damaged."""
    directory = find_model(path)
    config = _read_config(directory)
    if "task" not in config:
        raise InputError(
            f"{path}: only an encoder, from official files; it has no task that could be scored or continued"
        )
    weights = _read_weights(directory)
    vocabulary = directory / VOCABULARY_FILE
    return SavedModel(
        config,
        weights,
        Vocabulary.from_file(vocabulary) if vocabulary.exists() else None,
        {name: _read_words(directory / WORDS / f"{name}.txt") for name in config.pop(WORDS, [])},
    )


def read_config(path: Path) -> dict[str, Any]:
    """The config of a run's or a model's directory; InputError: it is missing or damaged."""
    return _read_config(find_model(path))


def read_bilm_node(path: Path) -> dict[str, Any]:
    """The config node of the biLM that `read_bilm` would read; InputError: there is none."""
    return _place_of_bilm(read_config(path), name=str(find_model(path) / CONFIG_FILE))[0]


def read_bilm(path: Path) -> BiLm:
    """The biLM of a run's or a model's directory, in evaluation mode, on the CPU; nothing else is read.

    Raises:
        InputError: names what is missing or damaged, or the weight whose shape contradicts the config.
    """
    directory = find_model(path)
    node, prefix = _place_of_bilm(_read_config(directory), name=str(directory / CONFIG_FILE))
    vocabulary_path = directory / VOCABULARY_FILE
    vocabulary = Vocabulary.from_file(vocabulary_path) if vocabulary_path.exists() else None
    if node.get("type") not in REGISTRY.names("encoder"):
        raise InputError(
            f"{directory / CONFIG_FILE}: unknown encoder {node.get('type')!r}; import the package that"
            " registers it, or name it in plugins=[...]"
        )
    with meta_device():
        bilm = build_bilm(node, vocabulary=vocabulary)
    bilm.to_empty(device="cpu")
    load_weights(bilm, _read_weights(directory, prefix=prefix), name=str(directory / WEIGHTS_FILE))
    return bilm.eval()


def _place_of_bilm(config: Mapping[str, Any], *, name: str) -> tuple[dict[str, Any], str]:
    """The config node of a model's biLM, and the prefix of its weights' names.

    In the model of a task that uses a biLM as part of its encoder, the config names the biLM's place.
    """
    if BILM in config:
        return config[BILM]["node"], config[BILM]["weights"]
    node, task = config.get(ENCODER), config.get("task", {}).get("type", "language_model")
    if task != "language_model":
        raise InputError(f"{name}: a model of task {task} without a biLM; give one that has been pretrained")
    if not isinstance(node, dict):
        raise InputError(f"{name}: a model without {ENCODER}")
    return node, f"{ENCODER}."


def _write_words(directory: Path, lists: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Write each list to a file, one word (without line breaks) per line; returns config.json's entry."""
    for name, words in lists.items():
        directory.mkdir(exist_ok=True)
        text = "".join(f"{word}\n" for word in words)
        (directory / f"{name}.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    return {WORDS: sorted(lists)} if lists else {}


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8", "surrogatepass").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); copy the model's directory whole") from error


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error})") from error
    if not isinstance(config, dict) or config.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not of format {FORMAT}; written by another version?")
    return config


def _read_weights(directory: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, by name without the prefix."""
    path = directory / WEIGHTS_FILE
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in list(file.keys()) if name.startswith(prefix)]
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: missing or damaged ({error})") from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, name: str) -> None:
    """Copy weights into a model; InputError names the first missing or unexpected one, or wrong shape."""
    own = model.state_dict()
    for key in sorted(own.keys() | weights.keys()):
        ours = tuple(own[key].shape) if key in own else None
        theirs = tuple(weights[key].shape) if key in weights else None
        if ours != theirs:
            raise InputError(f"{name}: {key} has shape {theirs}, the configured model expects {ours}")
    model.load_state_dict(dict(weights))
