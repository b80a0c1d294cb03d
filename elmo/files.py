"""Files and directories that appear whole or not at all: written aside, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from elmo.errors import InputError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yields a path to write a file to; it replaces `path` when the block ends, or leaves no trace.

    Raises:
        InputError: the disk is full, or the place cannot be written to.
    """
    with _written_aside(path, _remove_file) as aside:
        yield aside
        _flush(aside)
        os.replace(aside, path)


@contextmanager
def write_partial(path: Path) -> Iterator[TextIO]:
    """Yields a text file to write to that can be read meanwhile: `path.partial`; its last name is `path`.

    Where the block fails, `path.partial` stays, unless nothing is in it.

    Raises:
        InputError: one of the two exists, the disk is full, or the place cannot be written to.
    """
    partial = partial_path(path)
    refuse_existing(path)
    refuse_existing(partial)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("x", encoding="utf-8") as file:
            yield file
        _flush(partial)
        os.replace(partial, path)
        _flush(path.parent)
    except OSError as error:
        explanation = _explain(error, path)
        if explanation:
            raise InputError(explanation) from error
        raise
    finally:
        if partial.exists() and not partial.stat().st_size:
            _remove_file(partial)


def partial_path(path: Path) -> Path:
    """Where `write_partial` keeps what is written."""
    return path.with_name(f"{path.name}.partial")


def refuse_existing(path: Path) -> None:
    """Raises InputError where there is something that writing to `path` would replace."""
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already; nothing is overwritten")


@contextmanager
def directory_aside(path: Path) -> Iterator[Path]:
    """Yields an empty directory; it is renamed to `path` when the block ends, or leaves no trace.

    Raises:
        FileExistsError: `path` exists when it is time to rename (another process was first); it is kept.
        InputError: the disk is full, or the place cannot be written to.
    """
    with _written_aside(path, _remove_directory) as aside:
        aside.mkdir()
        yield aside
        for directory, _, names in os.walk(aside):
            for name in names:
                _flush(Path(directory, name))
            _flush(Path(directory))
        _rename_directory(aside, path)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file, which is made if need be; the system ends it with the process.

    On a file system without locks nothing can be known, and nothing is held.

    Raises:
        BlockingIOError: another process, or another context of this one, holds it.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _written_aside(path: Path, remove: Callable[[Path], None]) -> Iterator[Path]:
    aside = path.with_name(f"{_prefix(path)}{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield aside
        _flush(path.parent)
    except OSError as error:
        explanation = _explain(error, path)
        if explanation:
            raise InputError(explanation) from error
        raise
    finally:
        remove(aside)


def _prefix(path: Path) -> str:
    return f".{path.name}.{socket.gethostname()}-"


def _remove_leftovers(path: Path) -> None:
    """Removes what processes of this host that were killed half-way left aside of `path`."""
    for leftover in path.parent.glob(f"{glob.escape(_prefix(path))}*.tmp"):
        owner = leftover.name.removeprefix(_prefix(path)).removesuffix(".tmp")
        if owner.isdecimal() and not _is_running(int(owner)):
            (_remove_directory if leftover.is_dir() else _remove_file)(leftover)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, as another user
    return True


def _rename_directory(aside: Path, path: Path) -> None:
    try:
        os.rename(aside, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, "already exists", str(path)) from error
        raise


def _flush(path: Path) -> None:
    """Waits until a file's content, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(error: OSError, path: Path) -> str | None:
    """What to tell the user of a place that is full or closed; None for any other fault."""
    if error.errno in _NO_SPACE:
        return f"{path}: no space left to write it; free some space or choose another place"
    place = str(error.filename or path)
    if error.errno in _NO_ACCESS and place != str(path) and place.startswith(str(path.parent)):
        return f"{path}: cannot be written ({error.strerror}: {place}); choose another place"
    return None


def _remove_file(path: Path) -> None:
    with suppress(OSError):  # it was renamed, or never made
        path.unlink()


def _remove_directory(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
