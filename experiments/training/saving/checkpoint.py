"""Checkpoints: atomic writes, checksums, no pickle; the newest few and the best are kept.

A checkpoint is a directory of two files: `state.safetensors` with all tensors and arrays, and `state.json`
with everything else and with the checksums of both. A run's checkpoints are written by a thread, from a copy.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from elmo.errors import InputError, reason_of
from elmo.files import atomic_directory, atomic_write
from elmo.io.tensor_file import write_tensors
from elmo.json_file import read_json
from elmo.values import read_record
from experiments.io.run_directory import STATE_FILE
from experiments.training.saving.state_tree import Encoder, decode
from experiments.training.saving.writer import BackgroundWriter

LOG = logging.getLogger(__name__)
FORMAT = 3
TENSORS_FILE = "state.safetensors"
STEP_NAME = re.compile(r"step-(\d{7,})")
_LINK_NAME = re.compile(r"last|best|at-[0-9.e-]+")
_NAMES = ("last", "best", "step-", "at-")  # in the names of checkpoints, of links and of what kills leave


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
    _write(path, *_copied(state))


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
        state = decode(document.tree, tensors)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path / STATE_FILE}: damaged ({reason_of(error)})") from error
    if not isinstance(state, dict):
        raise InputError(f"{path / STATE_FILE}: damaged (not a state)")
    return state


class Checkpoints:
    """The checkpoints of a run, each in `step-NNNNNNN/`, with symbolic links: `last`, `best` and `at-SHARE`.

    All but `save` and `check` wait for the end of a save that is under way, and raise what it has raised.

    Args:
        path: the directory of all checkpoints; the first save makes it.
        keep: how many of the newest are kept, besides those that a link stands for.
        is_writer: whether this process saves; another one only reads.
    """

    def __init__(self, path: Path, *, keep: int, is_writer: bool = True) -> None:
        self.path = path
        self.keep = keep
        self._writer = BackgroundWriter()
        self.is_writer = is_writer

    def save(self, step: int, state: dict[Any, Any], *, shares: Sequence[float] = ()) -> None:
        """Copies the state; a thread writes it as `last`. A failure or a kill leaves what was there.

        Checkpoints of later steps, from which an earlier one was resumed, are removed unless a link stands
        for them.

        Args:
            step: that was taken last.
            state: see `save_checkpoint`.
            shares: of the run that are reached; the checkpoint is kept as `at-SHARE` of each.

        Raises:
            InputError: the save before has failed.
        """
        if not self.is_writer:
            return
        self.wait()  # so that there is one copy at a time
        tree, tensors = _copied(state)
        links = ["last", *(f"at-{share:g}" for share in shares)]
        self._writer.start(lambda: self._save(step, tree, tensors, links))

    def _save(self, step: int, tree: Any, tensors: dict[str, Tensor], links: Sequence[str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        target = self._path_of(step)
        _write(target, tree, tensors)
        for link in links:
            _point(self.path / link, target.name)
        self._remove_old(step)

    def check(self) -> None:
        """Raises what a save that has ended has raised: InputError if the disk is full."""
        self._writer.check()

    def wait(self) -> None:
        """Wait until the last save is on the disk.

        Raises:
            InputError: the disk is full.
        """
        self._writer.wait()

    def amend(self, step: int, values: dict[str, Any]) -> None:
        """Replaces entries of a saved state, none with tensors; a failure or a kill leaves the old ones.

        Raises:
            InputError: the disk is full, or the checkpoint is damaged.
        """
        if not self.is_writer:
            return
        self.wait()
        path, (changes, tensors) = self._path_of(step) / STATE_FILE, _copied(values)
        assert not tensors
        document = _read_document(path)
        with atomic_write(path) as aside:
            _write_document(aside, {**document.tree, **changes}, document.tensors_crc32)

    def mark_best(self, step: int) -> bool:
        """Makes the checkpoint of a step `best`, if it is there, which is returned."""
        self.wait()
        if not self._path_of(step).is_dir() or not self.is_writer:
            return self._path_of(step).is_dir()
        _point(self.path / "best", self._path_of(step).name)
        self._remove_old(_step_of(self.find("last")))
        return True

    def load(self, which: str) -> dict[Any, Any]:
        """The state of a link or of `step-NNNNNNN`.

        If the last one is damaged or gone, it is that of the one before, and a warning names both.

        Raises:
            InputError: there is none, or none that is not damaged.
        """
        self.wait()
        if which == "last":
            return self._load_newest()
        path = self.find(which)
        try:
            return load_checkpoint(path)
        except InputError as error:
            raise InputError(f"{error}; remove {path}: resuming the run then keeps another") from error

    def find(self, which: str) -> Path:
        """The directory that a link stands for, or of a name; without a link, `last` is the newest.

        Raises:
            InputError: there is none.
        """
        self.wait()
        pointer, paths = self.path / which, self._newest_first()
        if pointer.is_dir():
            return self.path / pointer.resolve().name
        if which == "last" and paths:
            return paths[0]
        raise InputError(f"{pointer}: no such checkpoint; give a run that has saved one")

    def _load_newest(self) -> dict[Any, Any]:
        link, newest = self.path / "last", self.find("last")
        faults = []
        if link.is_symlink() and not link.exists():
            faults.append(f"{link}: {link.readlink()}, which it stands for, is missing")
        for path in [newest, *(path for path in self._newest_first() if path != newest)]:
            try:
                state = load_checkpoint(path)
            except InputError as error:
                faults.append(str(error))
                continue
            if faults:
                LOG.warning("%s; going on from %s instead", faults[0], path)
            return state
        raise InputError(f"{faults[0]}; no other checkpoint can be read")

    def _remove_leftovers(self) -> None:
        """Removes what killed saves have left."""
        for path in self.path.iterdir():
            stands_for_one = _LINK_NAME.fullmatch(path.name) or STEP_NAME.fullmatch(path.name)
            if not stands_for_one and any(word in path.name for word in _NAMES):
                _remove(path)

    def _path_of(self, step: int) -> Path:
        return self.path / f"step-{step:07d}"

    def _newest_first(self) -> list[Path]:
        paths = [path for path in self.path.glob("step-*") if STEP_NAME.fullmatch(path.name)]
        return sorted(paths, key=_step_of, reverse=True)

    def _remove_old(self, step: int) -> None:
        up_to_now = [path for path in self._newest_first() if _step_of(path) <= step]
        kept = {path.name for path in up_to_now[: self.keep]}
        links = [path for path in self.path.iterdir() if _LINK_NAME.fullmatch(path.name)]
        kept |= {link.resolve().name for link in links}
        for path in [path for path in self._newest_first() if path.name not in kept]:
            _remove(path)


def _copied(state: dict[Any, Any]) -> tuple[Any, dict[str, Tensor]]:
    """A state as a tree and its tensors, of which nothing is the state's own memory."""
    encoder = Encoder()
    return encoder.encode(state, "state"), encoder.tensors


def _write(path: Path, tree: Any, tensors: Mapping[str, Tensor]) -> None:
    """Writes a checkpoint atomically; one that is there is replaced."""
    if not path.exists():
        _write_new(path, tree, tensors)
        return
    fresh, replaced = path.with_name(f".{path.name}.fresh"), path.with_name(f".{path.name}.replaced")
    for leftover in (fresh, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    _write_new(fresh, tree, tensors)
    os.rename(path, replaced)
    os.rename(fresh, path)
    shutil.rmtree(replaced)


def _write_new(path: Path, tree: Any, tensors: Mapping[str, Tensor]) -> None:
    with atomic_directory(path) as aside:
        write_tensors(aside / TENSORS_FILE, tensors)
        _write_document(aside / STATE_FILE, tree, _file_checksum(aside / TENSORS_FILE))


def _write_document(path: Path, tree: Any, tensors_checksum: int) -> None:
    checksums = {"tensors_crc32": tensors_checksum, "tree_crc32": _tree_checksum(tree)}
    path.write_text(json.dumps({"format": FORMAT, **checksums, "tree": tree}), encoding="utf-8")


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


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


def _read_document(path: Path) -> _Document:
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise InputError(f"{path}: not a checkpoint")
    if document["format"] != FORMAT:
        raise InputError(
            f"{path}: of format {document['format']}, and this version reads {FORMAT}: go on with the version"
            " that wrote it (environment.json names it), or begin a run with init_from"
        )
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
