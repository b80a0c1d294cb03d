"""The model directory: `config.json`, `model.safetensors`, `vocabulary.txt`, `words/`.

A run saves the whole model of its task; a directory converted from official files has only the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from elmo.bilm import char_cnn_lstm, word_lstm  # noqa: F401  # importing them registers the encoders
from elmo.bilm.bilm import BiLm, build_bilm
from elmo.errors import InputError, faults_of, reason_of, shown
from elmo.files import atomic_directory, inside, json_text
from elmo.io.meta_device import meta_device
from elmo.io.tensor_file import write_tensors
from elmo.json_file import read_json
from elmo.registry import REGISTRY, ComponentNode
from elmo.text.vocabulary import Vocabulary
from elmo.values import FileName, Size, read_record

FORMAT = 2
CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE = "config.json", "model.safetensors", "vocabulary.txt"
WORDS = "words"  # directory of the word lists, and key of config.json for their names
BILM = "bilm"  # key of config.json for the place of a biLM that is part of another encoder
ENCODER = "encoder"  # key of config.json, and prefix of the names of the encoder's weights


@dataclass(frozen=True, kw_only=True)
class _PlaceOfBilm:
    """Where the biLM is in a model that has one as a part: its node, and the prefix of its weights' names."""

    node: ComponentNode
    weights: str


@dataclass(frozen=True, kw_only=True)
class _Config:
    """The keys of config.json that every task has; the other ones are the task's."""

    task: ComponentNode | None = None
    encoder: ComponentNode | None = None
    batch_size: Size | None = None
    bilm: _PlaceOfBilm | None = None
    words: list[FileName] = field(default_factory=list)


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
    config, checked = _read_config(directory)
    if checked.task is None:
        raise InputError(
            f"{path}: only an encoder, from official files; it has no task that could be scored or continued"
        )
    if checked.batch_size is None:
        raise InputError(f"{directory / CONFIG_FILE}: batch_size: missing")
    config.pop(WORDS, None)
    return SavedModel(
        config,
        _read_weights(directory),
        _read_vocabulary(directory),
        {name: _read_words(inside(directory, f"{WORDS}/{name}.txt")) for name in checked.words},
    )


def read_config(path: Path) -> dict[str, Any]:
    """The config of a run's or a model's directory; InputError: it is missing or damaged."""
    return _read_config(find_model(path))[0]


def read_bilm_node(path: Path) -> Mapping[str, Any]:
    """The config node of the biLM that `read_bilm` would read; InputError: there is none."""
    directory = find_model(path)
    return _place_of_bilm(_read_config(directory)[1], name=str(directory / CONFIG_FILE)).node


def read_bilm(path: Path) -> BiLm:
    """The biLM of a run's or a model's directory, in evaluation mode, on the CPU; nothing else is read.

    Raises:
        InputError: names what is missing or damaged, or the weight whose shape contradicts the config.
    """
    directory = find_model(path)
    name = directory / CONFIG_FILE
    place = _place_of_bilm(_read_config(directory)[1], name=str(name))
    if place.node["type"] not in REGISTRY.names("encoder"):
        raise InputError(
            f"{name}: unknown encoder {shown(place.node['type'])}; import the package that registers it, or"
            " name it in plugins=[...]"
        )
    vocabulary = _read_vocabulary(directory)
    with faults_of(name), meta_device():
        bilm = build_bilm(place.node, vocabulary=vocabulary)
    load_weights(bilm, _read_weights(directory, prefix=place.weights), name=str(directory / WEIGHTS_FILE))
    return bilm.eval()


def _place_of_bilm(config: _Config, *, name: str) -> _PlaceOfBilm:
    """The place of a model's biLM, which is the whole encoder unless the config names another one."""
    if config.bilm is not None:
        return config.bilm
    if config.task is not None and config.task["type"] != "language_model":
        task = shown(config.task["type"], str)
        raise InputError(f"{name}: a model of task {task} without a biLM; give one that has been pretrained")
    if config.encoder is None:
        raise InputError(f"{name}: a model without {ENCODER}")
    return _PlaceOfBilm(node=config.encoder, weights=f"{ENCODER}.")


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


def _read_vocabulary(directory: Path) -> Vocabulary | None:
    path = inside(directory, VOCABULARY_FILE)
    return Vocabulary.from_file(path) if path.exists() else None


def _read_config(directory: Path) -> tuple[dict[str, Any], _Config]:
    """The content of config.json, and its checked keys."""
    path = inside(directory, CONFIG_FILE)
    config = read_json(path)
    if not isinstance(config, dict) or config.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not of format {FORMAT}; written by another version?")
    return config, read_record(_Config, config, name=str(path), is_open=True)


def _read_weights(directory: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, by name without the prefix."""
    path = inside(directory, WEIGHTS_FILE)
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in list(file.keys()) if name.startswith(prefix)]
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: missing or damaged ({reason_of(error)})") from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, name: str) -> None:
    """Copy weights into a model, which gets memory only when it has proved to fit them.

    Raises:
        InputError: names the first weight that is missing or unexpected, has another shape or type, or has
            values that are NaN or infinite.
    """
    own = model.state_dict()
    for key in sorted(own.keys() | weights.keys()):
        ours = tuple(own[key].shape) if key in own else None
        theirs = tuple(weights[key].shape) if key in weights else None
        if ours != theirs:
            raise InputError(f"{name}: {key} has shape {theirs}, the configured model expects {ours}")
        if own[key].dtype != weights[key].dtype:
            raise InputError(f"{name}: {key} is of {weights[key].dtype}, expected {own[key].dtype}")
        refuse_non_finite(weights[key], name=f"{name}: {key}")
    if any(tensor.is_meta for tensor in own.values()):
        model.to_empty(device="cpu")
    model.load_state_dict(dict(weights))


def refuse_non_finite(values: Tensor, *, name: str) -> None:
    """InputError that begins with `name` if some values are NaN or infinite."""
    if values.is_floating_point() and not values.sum().isfinite():  # cheap: a finite sum has finite terms
        wrong = int((~values.isfinite()).sum())
        if wrong:
            raise InputError(f"{name} has {wrong} values that are NaN or infinite")
