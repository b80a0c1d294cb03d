"""Fingerprints of data depend on the content of its files, not on their paths or times; of remote files, on
what their servers tell."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from elmo.files import atomic_write
from tasks.sources.shared.remote_files import RemoteFile

_REMEMBERED_SIZE = 1 << 18  # bytes; digests of larger files are cached
_CHUNK_SIZE = 1 << 20  # bytes
_CLOCK_TICK = 2.0  # seconds; two changes within this time may have the same time stamp on some file systems


def digest_files(facts: Any, *, cache_path: Path) -> Any:
    """Replace each path in `facts` by a digest of its file's content.

    A remote file is not read: its digest is of its address, its size, and its hash or time on the server.

    Args:
        facts: plain values for JSON and files.
        cache_path: digests of large files are cached below it, as long as the file's size, times and inode do
            not change, so that gigabytes are not read at every start.
    """

    def digest(path: object) -> str:
        if isinstance(path, RemoteFile):
            told = json.dumps([path.url, path.size, path.version])
            return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
        assert isinstance(path, Path), f"neither a plain value nor a path: {path!r}"
        return _remembered_digest(path, cache_path / "digests")

    return json.loads(json.dumps(facts, default=digest))


def fingerprint_of(facts: Any, *, cache_path: Path) -> str:
    """A hash (32 hexadecimal digits) of the facts and of the content of their files."""
    plain = json.dumps(digest_files(facts, cache_path=cache_path), sort_keys=True)
    return hashlib.blake2b(plain.encode(), digest_size=16).hexdigest()


def _remembered_digest(path: Path, directory: Path) -> str:
    status = path.stat()
    if status.st_size < _REMEMBERED_SIZE:
        return _digest(path)
    state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    name = hashlib.blake2b(str(path.resolve()).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    record_path = directory / f"{name}.json"
    with suppress(OSError, ValueError, KeyError):  # not cached, or damaged
        record = json.loads(record_path.read_text(encoding="utf-8"))
        if record["state"] == state:
            return str(record["digest"])
    digest = _digest(path)
    if time.time() - status.st_ctime > _CLOCK_TICK:
        with atomic_write(record_path) as aside:
            aside.write_text(json.dumps({"state": state, "digest": digest}), encoding="utf-8")
    return digest


def _digest(path: Path) -> str:
    found = hashlib.sha256()  # fast: most processors have instructions for it
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_SIZE):
            found.update(chunk)
    return found.hexdigest()
