"""Checkpoints: atomic writes, checksums, no pickle; the newest few and the best are kept.

A checkpoint is a directory of two files: `state.safetensors` with all tensors and arrays, and `state.json`
with everything else and with the checksums of both.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from elmo.errors import InputError, reason_of, shown
from elmo.files import atomic_directory, atomic_write
from elmo.io.tensor_file import write_tensors
from elmo.json_file import read_json
from elmo.values import read_record

FORMAT = 2
TENSORS_FILE = "state.safetensors"
STATE_FILE = "state.json"
TAG = "$"  # key of the JSON objects that stand for what JSON has no notation for
STEP_NAME = re.compile(r"step-(\d{7,})")
POINTERS = ("last", "best")


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The content of `state.json`."""

    format: int
    tensors_crc32: int
    tree_crc32: int
    tree: dict[str, Any]


def save_checkpoint(path: Path, state: dict[Any, Any]) -> None:
    """Writes a state atomically: under a temporary name, flushed to disk, then renamed to `path`.

    Args:
        path: the directory; an existing one is replaced.
        state: nested dicts (keys str, int, float, bool, None or tuples of them), lists and tuples of tensors,
            numpy arrays, str, int, float, bool and None. Tensors that are one in memory are stored once.

    Raises:
        InputError: the disk is full; nothing of `path` is left, or what it held before.
        TypeError: something else is in the state.
    """
    if not path.exists():
        _write(path, state)
        return
    fresh, replaced = path.with_name(f".{path.name}.fresh"), path.with_name(f".{path.name}.replaced")
    for leftover in (fresh, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    _write(fresh, state)
    os.rename(path, replaced)
    os.rename(fresh, path)
    shutil.rmtree(replaced)


def load_checkpoint(path: Path) -> dict[Any, Any]:
    """The state that `save_checkpoint` wrote, types and dict order included, all tensors on the CPU.

    Raises:
        InputError: a file of it is missing, truncated or changed.
    """
    document = _read_document(path / STATE_FILE)
    tensors_path = path / TENSORS_FILE
    try:
        if _file_checksum(tensors_path) != document.tensors_crc32:
            raise InputError(f"{tensors_path}: truncated or corrupt (its checksum is another)")
        tensors = load_file(tensors_path)
    except OSError as error:
        raise InputError(f"{tensors_path}: cannot be read ({error.strerror})") from error
    except SafetensorError as error:
        raise InputError(f"{tensors_path}: corrupt ({reason_of(error)})") from error
    try:
        state = _decode(document.tree, tensors)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path / STATE_FILE}: damaged ({reason_of(error)})") from error
    if not isinstance(state, dict):
        raise InputError(f"{path / STATE_FILE}: damaged (not a state)")
    return state


class Checkpoints:
    """The checkpoints of a run, each in `step-NNNNNNN/`, with the symbolic links `last` and `best`.

    Args:
        path: the directory of all checkpoints; the first save makes it.
        keep: how many of the newest are kept, besides the best.
    """

    def __init__(self, path: Path, *, keep: int) -> None:
        self.path = path
        self.keep = keep

    def save(self, step: int, state: dict[Any, Any]) -> Path:
        """Writes the state as `last`; a failure or a kill leaves what was there.

        Checkpoints of later steps, from which an earlier one was resumed, are removed unless one is the best.

        Raises:
            InputError: the disk is full.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove_leftovers()
        target = self._path_of(step)
        save_checkpoint(target, state)
        _point(self.path / "last", target.name)
        self._remove_old(step)
        return target

    def amend(self, step: int, values: dict[str, Any]) -> None:
        """Replaces entries of a saved state, none with tensors; a failure or a kill leaves the old ones.

        Raises:
            InputError: the disk is full, or the checkpoint is damaged.
        """
        path, encoder = self._path_of(step) / STATE_FILE, _Encoder()
        document = _read_document(path)
        tree = {**document.tree, **encoder.encode(values, "state")}
        assert not encoder.tensors
        with atomic_write(path) as aside:
            _write_document(aside, tree, document.tensors_crc32)

    def mark_best(self, step: int) -> bool:
        """Makes the checkpoint of a step `best`, if it is there, which is returned."""
        if not self._path_of(step).is_dir():
            return False
        _point(self.path / "best", self._path_of(step).name)
        self._remove_old(_step_of(self.find("last")))
        return True

    def load(self, which: str) -> dict[Any, Any]:
        """The state of `last` or `best`.

        Raises:
            InputError: there is none, or it is damaged; the line then names the newest good one.
        """
        path = self.find(which)
        try:
            return load_checkpoint(path)
        except InputError as error:
            raise InputError(f"{error}; {self._advice(path)}") from error

    def find(self, which: str) -> Path:
        """The directory that `last` or `best` links to; without its link, `last` is the newest.

        Raises:
            InputError: there is none.
        """
        pointer, paths = self.path / which, list(self._newest_first())
        if pointer.is_dir():
            return self.path / pointer.resolve().name
        if which == "last" and paths:
            return paths[0]
        raise InputError(f"{pointer}: no such checkpoint; give a run that has saved one")

    def remove_leftovers(self) -> None:
        """Removes what killed saves have left."""
        for path in list(self.path.glob("*")) if self.path.is_dir() else []:
            stands_for_one = path.name in POINTERS or STEP_NAME.fullmatch(path.name)
            if not stands_for_one and any(word in path.name for word in (*POINTERS, "step-")):
                _remove(path)

    def _path_of(self, step: int) -> Path:
        return self.path / f"step-{step:07d}"

    def _newest_first(self) -> Iterator[Path]:
        paths = [path for path in self.path.glob("step-*") if STEP_NAME.fullmatch(path.name)]
        return iter(sorted(paths, key=_step_of, reverse=True))

    def _remove_old(self, step: int) -> None:
        up_to_now = [path for path in self._newest_first() if _step_of(path) <= step]
        kept = {path.name for path in up_to_now[: self.keep]}
        kept |= {(self.path / pointer).resolve().name for pointer in POINTERS}
        for path in [path for path in self._newest_first() if path.name not in kept]:
            _remove(path)

    def _advice(self, damaged: Path) -> str:
        for path in self._newest_first():
            if path != damaged and _is_good(path):
                return f"the newest good one is {path}, used once {damaged} is removed"
        return "no good one is left"


def _write(path: Path, state: dict[Any, Any]) -> None:
    encoder = _Encoder()
    tree = encoder.encode(state, "state")
    with atomic_directory(path) as aside:
        write_tensors(aside / TENSORS_FILE, encoder.tensors)
        _write_document(aside / STATE_FILE, tree, _file_checksum(aside / TENSORS_FILE))


def _write_document(path: Path, tree: Any, tensors_checksum: int) -> None:
    checksums = {"tensors_crc32": tensors_checksum, "tree_crc32": _tree_checksum(tree)}
    path.write_text(json.dumps({"format": FORMAT, **checksums, "tree": tree}), encoding="utf-8")


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _is_good(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except InputError:
        return False
    return True


def _point(link: Path, target: str) -> None:
    """Makes `link` a relative symbolic link to `target`, atomically."""
    aside = link.with_name(f".{link.name}-aside")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target, target_is_directory=True)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)  # A run that was copied with its links followed.
    os.replace(aside, link)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


class _Encoder:
    """Turns a state into what JSON can hold and collects its tensors under names."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._storages: set[int] = set()

    def encode(self, value: Any, where: str) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
        if isinstance(value, torch.Tensor):
            return {TAG: "tensor", "name": self._add(value)}
        if isinstance(value, np.ndarray):
            return {TAG: "array", "name": self._add(_tensor_of(value, where))}
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {TAG: "tuple", "items": items}
        if isinstance(value, Mapping):
            return self._encode_mapping(value, where)
        raise TypeError(f"{where}: a {type(value).__name__} cannot be saved in a checkpoint")

    def _encode_mapping(self, mapping: Mapping[Any, Any], where: str) -> dict[str, Any]:
        values = {key: self.encode(value, f"{where}[{key!r}]") for key, value in mapping.items()}
        if TAG not in values and all(isinstance(key, str) for key in values):
            return values
        # JSON would turn every key into a string.
        return {TAG: "dict", "items": [[self.encode(key, where), value] for key, value in values.items()]}

    def _add(self, tensor: torch.Tensor) -> str:
        # A subclass of Tensor may have no memory of its own; then the objects tell tensors apart.
        place = (tensor.data_ptr() or id(tensor), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and place in self._names:
            return self._names[place]
        name = self._names[place] = f"t{len(self.tensors)}"
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        if storage in self._storages:
            tensor = tensor.clone()  # safetensors refuses two tensors in one piece of memory.
        self._storages.add(storage)
        self.tensors[name] = tensor
        return name


def _tensor_of(array: np.ndarray, where: str) -> torch.Tensor:
    try:
        return torch.from_numpy(np.array(array, order="C"))
    except TypeError as error:
        raise TypeError(f"{where}: an array of {array.dtype} cannot be saved in a checkpoint") from error


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(TAG)
    if kind is None:
        return {key: _decode(item, tensors) for key, item in value.items()}
    if kind == "tensor":
        return tensors[value["name"]]
    if kind == "array":
        return tensors[value["name"]].numpy()
    if kind == "float":
        return float(value["value"])
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in value["items"])
    if kind != "dict":
        raise ValueError(f"a value of kind {shown(kind)}")
    return {_decode(key, tensors): _decode(item, tensors) for key, item in value["items"]}


def _read_document(path: Path) -> _Document:
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path}: not a checkpoint of format {FORMAT}")
    record = read_record(_Document, document, name=str(path))
    if _tree_checksum(record.tree) != record.tree_crc32:
        raise InputError(f"{path}: corrupt (its checksum is another)")
    return record


def _tree_checksum(tree: Any) -> int:
    return zlib.crc32(json.dumps(tree).encode())


def _file_checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            checksum = zlib.crc32(piece, checksum)
    return checksum
