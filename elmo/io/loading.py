"""Loads a biLM from a run, a model directory, official files, or the name of a published model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from elmo.bilm.bilm import BiLm
from elmo.bilm.softmaxes.full import FullSoftmax
from elmo.errors import InputError
from elmo.io.model_directory import CONFIG_FILE, find_model, read_bilm, read_bilm_node
from elmo.io.official import read_official, read_official_softmax
from elmo.io.official_options import read_options
from elmo.registry import suggest
from elmo.text.vocabulary import Vocabulary

_SOFTMAX_WEIGHTS = "softmax_weights.hdf5"  # the end of the name of the official file with the softmax alone


class LoadedBiLm(NamedTuple):
    """A biLM and the file of its warm state.

    Attributes:
        bilm: in evaluation mode, on the CPU.
        state_path: the file of its warm state; it may not exist.
    """

    bilm: BiLm
    state_path: Path


def load_bilm(model: str | Path, weights: str | Path | None = None) -> LoadedBiLm:
    """Load a biLM.

    Args:
        model: the directory of a finished run or of a model; a directory with one official options.json and
            its weights; the name of a published model; or, together with `weights`, an official options.json.
        weights: the official HDF5 file that belongs to the options.

    Raises:
        InputError: names what is missing or damaged.
    """
    if not isinstance(model, (str, Path)):
        raise InputError(f"model: expected a path or the name of a published model, got {model!r}")
    if weights is not None:
        return _load_official(Path(model), Path(weights))
    official = _find_official(model)
    if official is not None:
        return _load_official(*official)
    path = Path(model)
    return LoadedBiLm(read_bilm(path), find_model(path) / "warm_state.safetensors")


def is_official(model: str | Path) -> bool:
    """Whether `load_bilm` would read official files; InputError as there."""
    return _find_official(model) is not None


def load_bilm_node(model: str | Path) -> Mapping[str, Any]:
    """The config node of the biLM that `load_bilm` would load; its weights are not read.

    Raises:
        InputError: names what is missing or damaged.
    """
    official = _find_official(model)
    return read_bilm_node(Path(model)) if official is None else read_options(official[0])


def load_official_softmax(model: str | Path) -> tuple[FullSoftmax, Vocabulary] | None:
    """The softmax of official files, and its words in the order of its rows; None where it is not given.

    Official weights lack it. Beside them may lie the file that was published for it, `*softmax_weights.hdf5`,
    or the weights may have been written with it; either needs its words, `vocab*.txt`.

    Raises:
        InputError: names what is missing or damaged.
    """
    official = _find_official(model)
    if official is None:
        return None
    directory = official[1].parent
    found = sorted(directory.glob(f"*{_SOFTMAX_WEIGHTS}")) or [official[1]]
    words = sorted(directory.glob("vocab*.txt"))
    if not words and found == [official[1]]:
        return None
    if len(found) != 1 or len(words) != 1:
        names = ", ".join(path.name for path in [*found, *words])
        raise InputError(f"{directory}: expected one *{_SOFTMAX_WEIGHTS} and one vocab*.txt, found {names}")
    return read_official_softmax(found[0], vocabulary=words[0])


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of the names, shapes and values of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _find_official(model: str | Path) -> tuple[Path, Path] | None:
    """The official options and weights that a directory or a published name stands for; None: neither."""
    directory = Path(model)
    if directory.is_file():
        raise InputError(
            f"{directory}: a file; give a model's directory, or options.json and weights together"
        )
    if not directory.exists():
        return _fetch_published(str(model))
    found = [sorted(directory.glob(pattern)) for pattern in ("*options.json", "*weights.hdf5")]
    found[1] = [path for path in found[1] if not path.name.endswith(_SOFTMAX_WEIGHTS)]
    if (directory / CONFIG_FILE).exists() or not any(found):
        return None
    if [len(files) for files in found] != [1, 1]:
        names = ", ".join(path.name for files in found for path in files)
        raise InputError(f"{directory}: expected one *options.json and one *weights.hdf5, found {names}")
    return found[0][0], found[1][0]


def _load_official(options: Path, weights: Path) -> LoadedBiLm:
    return LoadedBiLm(
        read_official(options, weights), weights.with_name(f"{weights.stem}.warm_state.safetensors")
    )


def _fetch_published(name: str) -> tuple[Path, Path]:
    from elmo.io.published import PUBLISHED, fetch  # late: its libraries are only needed for downloads

    if name not in PUBLISHED:
        raise InputError(f"{name}: no such directory and no published model{suggest(name, PUBLISHED)}")
    return fetch(name)
