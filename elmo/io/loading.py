"""Loads a biLM from a run, a model directory, official files, or the name of a published model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from torch import nn

from elmo.bilm.bilm import BiLm
from elmo.errors import InputError
from elmo.io.model_directory import CONFIG_FILE, find_model, read_bilm
from elmo.io.official import read_official
from elmo.registry import suggest


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
    path = Path(model)
    if path.is_file():
        raise InputError(f"{path}: a file; give a model's directory, or options.json and weights together")
    if not path.exists():
        return _load_published(str(model))
    official = _find_official(path)
    if official is not None:
        return _load_official(*official)
    return LoadedBiLm(read_bilm(path), find_model(path) / "warm_state.safetensors")


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of the names, shapes and values of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _find_official(directory: Path) -> tuple[Path, Path] | None:
    """The official options and weights in a directory; None if it has none, or is a model directory."""
    found = [sorted(directory.glob(pattern)) for pattern in ("*options.json", "*weights.hdf5")]
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


def _load_published(name: str) -> LoadedBiLm:
    from elmo.io.published import PUBLISHED, fetch  # late: its libraries are only needed for downloads

    if name not in PUBLISHED:
        raise InputError(f"{name}: no such directory and no published model{suggest(name, PUBLISHED)}")
    return _load_official(*fetch(name))
