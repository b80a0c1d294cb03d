"""The options.json of the official format: converted to and from the config node of an encoder.

Source: Peters et al. 2018, the published options files and the code that reads them (bilm-tf).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from elmo.bilm.bilm import BiLm
from elmo.bilm.char_cnn import ACTIVATIONS
from elmo.errors import InputError, shown
from elmo.json_file import read_json
from elmo.text.characters import MAX_CHARACTERS, NUM_CHARACTERS

_REQUIRED = object()
# 262: at inference the original adds one to all characters, and 0 is for padded words; in training it does
# not.
_CHARACTER_COUNTS = (NUM_CHARACTERS, NUM_CHARACTERS + 1)
_DROPOUT = 0.1  # the original training's value; the files do not contain it


def read_options(path: Path) -> dict[str, Any]:
    """The config node `{type: char_cnn_lstm, ...}` of the encoder that an options.json describes.

    A key may be missing if the weights determine its value: `lstm.projection_dim` (null or missing: the same
    as `lstm.dim`, no projection), `char_cnn.n_highway` (0) and `char_cnn.n_characters` (261 or 262).

    Raises:
        InputError: `path: key: what is wrong with it`, or the file is not a JSON object.
    """
    options = _OptionsFile(path)
    if "char_cnn" not in options.values:
        raise InputError(
            f"{path}: char_cnn: missing; a model without it reads whole words and needs its vocabulary"
        )
    options.choice("char_cnn.n_characters", _CHARACTER_COUNTS, default=NUM_CHARACTERS)
    options.choice("char_cnn.max_characters_per_token", (MAX_CHARACTERS,))
    return {
        "type": "char_cnn_lstm",
        "character_embedding_size": options.size("char_cnn.embedding.dim"),
        "filters": options.filters("char_cnn.filters"),
        "num_highways": options.size("char_cnn.n_highway", least=0, default=0),
        "activation": options.choice("char_cnn.activation", tuple(ACTIVATIONS)),
        **_lstm_arguments(options),
        "dropout": _DROPOUT,
    }


def read_word_options(path: Path) -> dict[str, Any]:
    """The config node `{type: word_lstm, ...}` for a model with a table of word vectors; ignores `char_cnn`.

    Raises:
        InputError: as `read_options`.
    """
    return {"type": "word_lstm", **_lstm_arguments(_OptionsFile(path))}


def official_options(bilm: BiLm) -> dict[str, Any]:
    """The content of a biLM's options.json, as the original code expects it at inference.

    Raises:
        InputError: the official format has no such word layer or context layers.
    """
    context, words = bilm.context.official_options(), bilm.words.official_options()
    if context is None or words is None:
        raise InputError(f"an encoder of type {bilm.node.get('type')} has no official format")
    return {**context, **words}


def _lstm_arguments(options: _OptionsFile) -> dict[str, Any]:
    cell_size = options.size("lstm.dim")
    projection_size = options.size("lstm.projection_dim", default=cell_size)
    if projection_size > cell_size:
        options.refuse("lstm.projection_dim", f"at most lstm.dim ({cell_size})", projection_size)
    return {
        "cell_size": cell_size,
        "projection_size": projection_size,
        "num_layers": options.size("lstm.n_layers"),
        "cell_clip": options.limit("lstm.cell_clip"),
        "projection_clip": options.limit("lstm.proj_clip"),
        "skip_connected": options.choice("lstm.use_skip_connections", (True, False)),
    }


class _OptionsFile:
    """The values of an options.json by dotted key; an InputError names the file and the key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values = read_json(path)
        if not isinstance(self.values, dict):
            raise InputError(
                f"{path}: expected a JSON object with lstm and char_cnn, got {shown(self.values, json.dumps)}"
            )

    def value(self, key: str, default: Any = _REQUIRED) -> Any:
        """The value of a key, or the default where it is missing or null."""
        values: Any = self.values
        for part in key.split("."):
            if not isinstance(values, dict) or part not in values:
                if default is _REQUIRED:
                    raise InputError(f"{self.path}: {key}: missing")
                return default
            values = values[part]
        return default if values is None and default is not _REQUIRED else values

    def size(self, key: str, *, least: int = 1, default: Any = _REQUIRED) -> int:
        """A whole number, at least `least`."""
        value = self.value(key, default)
        if type(value) is not int or value < least:
            self.refuse(key, f"a whole number, at least {least}", value)
        return int(value)

    def limit(self, key: str) -> float | None:
        """A number above 0, or None for no limit; the key is required, as the weights do not determine it."""
        value = self.value(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 < value <= 10**9:
            self.refuse(key, "a number above 0, or null for no limit", value)
        return float(value)

    def choice(self, key: str, choices: tuple[Any, ...], default: Any = _REQUIRED) -> Any:
        """One of the `choices`."""
        value = self.value(key, default)
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            self.refuse(key, " or ".join(json.dumps(choice) for choice in choices), value)
        return value

    def filters(self, key: str) -> list[list[int]]:
        """Pairs of [width, number]."""
        value = self.value(key)
        if not isinstance(value, list) or not value:
            self.refuse(key, "a list of [width, number]", value)
        for index, entry in enumerate(value):
            whole = isinstance(entry, list) and [type(number) for number in entry] == [int, int]
            if not whole or not 1 <= entry[0] <= MAX_CHARACTERS or entry[1] < 1:
                self.refuse(f"{key}[{index}]", f"[width 1-{MAX_CHARACTERS}, number >= 1]", entry)
        return value

    def refuse(self, key: str, expected: str, value: object) -> None:
        raise InputError(f"{self.path}: {key}: expected {expected}, got {shown(value, json.dumps)}")
