"""Writing files: atomically, under a temporary name, flushed to disk and renamed; and the text of JSON."""

from __future__ import annotations

import errno
import fcntl
import glob
import io
import json
import logging
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from elmo.errors import InputError

LOG = logging.getLogger(__name__)
CACHE_VARIABLE = "ELMO_CACHE"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LOCK_SECONDS = 0.1  # between two attempts to get a lock
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def default_cache_path() -> Path:
    """The directory that ELMO_CACHE names, otherwise `elmo-experiments` in the user's cache directory."""
    import pooch  # late: most that read or write files need no cache

    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path(pooch.os_cache("elmo-experiments"))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file atomically: yields a temporary path, which replaces `path` when the block ends.

    If the block fails, the temporary file is removed and `path` is unchanged. Its permissions are those that
    the umask gives a new file.

    Raises:
        InputError: the disk is full, or the file cannot be written.
    """
    with _atomic(path, _remove_file) as aside:
        aside.touch()
        mode = aside.stat().st_mode
        yield aside
        os.chmod(aside, mode)  # some libraries write files that nobody else may read
        _flush(aside)
        os.replace(aside, path)


@contextmanager
def write_partial(path: Path) -> Iterator[TextIO]:
    """Write a text file that others can read while it grows: yields `path.partial`, finally renamed to
    `path`.

    If the block fails, `path.partial` is kept, unless it is empty.

    Raises:
        InputError: `path` or `path.partial` exists, the disk is full, or the file cannot be written.
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


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON with every character as it is; only unpaired surrogates, which UTF-8 cannot hold, are escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def utf8_output() -> TextIO:
    """Standard output for data: UTF-8, whatever the locale of the terminal is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def partial_path(path: Path) -> Path:
    """The name of the file that `write_partial` has not finished yet."""
    return path.with_name(f"{path.name}.partial")


def refuse_existing(path: Path) -> None:
    """Raises InputError if `path` exists."""
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already; nothing is overwritten")


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Write a directory atomically: yields an empty temporary one, renamed to `path` when the block ends.

    If the block fails, the temporary directory is removed. The permissions of its files are those that the
    umask gives new ones.

    Raises:
        FileExistsError: another process has created `path` meanwhile; it is left unchanged.
        InputError: the disk is full, or the directory cannot be written.
    """
    with _atomic(path, _remove_directory) as aside:
        aside.mkdir()
        mode = aside.stat().st_mode & 0o666
        yield aside
        for directory, _, names in os.walk(aside):
            for name in names:
                os.chmod(Path(directory, name), mode)  # see `atomic_write`
                _flush(Path(directory, name))
            _flush(Path(directory))
        _rename_directory(aside, path)


def inside(directory: Path, name: str) -> Path:
    """The path of a file in a directory.

    Raises:
        InputError: a link leads out of the directory, as one from a stranger may.
    """
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise InputError(f"{path}: a link out of {directory}; copy the file itself")
    return path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds an exclusive file lock; the file is created if needed. The system releases it if the process
    dies.

    On a file system without locks, the block runs without a lock.

    Raises:
        BlockingIOError: another process, or another `file_lock` of this process, holds the lock.
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
def written_once(path: Path) -> Iterator[None]:
    """Holds a lock on writing `path`: of processes that need the same file at the same time, one computes it.

    The others wait, after a line, and then find it written; so they look once more within the block. A killed
    writer releases the lock. Where none can be created, such as in a directory that can only be read, the
    block runs without.
    """
    lock_path, is_told = path.with_name(f".{path.name}.lock"), False
    with ExitStack() as held:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                held.enter_context(file_lock(lock_path))
                held.callback(_remove_file, lock_path)
                break
            except BlockingIOError:
                if not is_told:
                    LOG.warning("%s: another process is computing it; waiting to read it", path)
                is_told = True
                time.sleep(_LOCK_SECONDS)
            except OSError:
                break
        yield


@contextmanager
def _atomic(path: Path, remove: Callable[[Path], None]) -> Iterator[Path]:
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
    """Removes the temporary files and directories of `path` left by killed processes of this host."""
    for leftover in path.parent.glob(f"{glob.escape(_prefix(path))}*.tmp"):
        owner = leftover.name.removeprefix(_prefix(path)).removesuffix(".tmp")
        if owner.isdecimal() and not is_running(int(owner)):
            (_remove_directory if leftover.is_dir() else _remove_file)(leftover)


def is_running(process_id: int) -> bool:
    """Whether a process of this host has not ended yet."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, owned by another user
    return True


def _rename_directory(aside: Path, path: Path) -> None:
    try:
        os.rename(aside, path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, "already exists", str(path)) from error
        raise


def _flush(path: Path) -> None:
    """Waits until a file's content, or a directory's list of entries, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(error: OSError, path: Path) -> str | None:
    """The user's error message if the disk is full or `path` cannot be written; None for any other error."""
    if error.errno in NO_SPACE:
        return f"{path}: no space left to write it; free some space or choose another place"
    place = str(error.filename or path)
    if error.errno in _NO_ACCESS and place != str(path) and place.startswith(str(path.parent)):
        return f"{path}: cannot be written ({error.strerror}: {place}); choose another place"
    return None


def _remove_file(path: Path) -> None:
    with suppress(OSError):  # it was renamed, or never created
        path.unlink()


def _remove_directory(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
