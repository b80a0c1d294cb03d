"""Files at addresses such as `s3://bucket/a.txt`, of any file system of fsspec, beside the paths of local
ones."""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias

from elmo.errors import InputError, reason_of, suggest

# What file systems call the hash of a file's content, and the time of its last change, in small letters
# without signs. The first that is there is taken: a listing may give other facts than a look at one file, and
# times may be rounded in one of them.
_HASHES = ("md5hash", "crc32c", "contentmd5", "blobid", "md5", "sha", "hex", "crc", "checksum", "etag")
_TIMES = ("lastmodified", "modificationtime", "timemodified", "lastwritetime", "mtime", "modified")
_VERSIONS = (*_HASHES, *_TIMES, "modify", "updated", "created")
_BUFFER_SIZE = 1 << 20  # bytes


@dataclass(frozen=True)
class RemoteFile:
    """A file of a file system of fsspec, with those methods of a Path that readers use; str() is its address.

    Args:
        file_system: of fsspec.
        path: what the file system calls the file.
        url: its address, for messages.
        facts: what the file system tells of it: size, hash, time.
    """

    file_system: Any
    path: str
    url: str = field(compare=False)
    facts: Mapping[str, Any] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return PurePosixPath(self.path.partition("?")[0]).name  # without the query of a web address

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def size(self) -> int | None:
        """In bytes; None: the server does not tell."""
        return self.facts.get("size")

    @property
    def version(self) -> str | None:
        """What changes when the content does: a hash, otherwise a time; None: the server tells neither."""
        told = {key.lower().replace("-", "").replace("_", ""): value for key, value in self.facts.items()}
        key = next((key for key in _VERSIONS if told.get(key) is not None), None)
        if key is None:
            return None
        value = told[key]
        return f"{key} {value.timestamp() if isinstance(value, datetime) else value}"

    def resolve(self) -> RemoteFile:
        return self

    def open(self, mode: str) -> IO[bytes]:
        """The file for reading; that and each reading raise InputError if the connection breaks."""
        with _faults(self.url):
            return io.BufferedReader(_Content(self.file_system.open(self.path, mode), self), _BUFFER_SIZE)


File: TypeAlias = Path | RemoteFile


def is_remote(pattern: str) -> bool:
    """Whether a path or glob is an address of another file system than the local one."""
    return "://" in pattern and not pattern.startswith("file://")


def find_remote(pattern: str, *, key: str) -> list[RemoteFile]:
    """The file of an address, or those of a glob, sorted by name; none if a glob matches none.

    Raises:
        InputError: `key: address: fault`: a protocol that is unknown or whose package is missing, no file, no
            access, an empty file, or one of which nothing is told that changes when the content does.
    """
    with _faults(f"{key}: {pattern}"):
        file_system, path = _open_file_system(pattern)
        # A name is taken as it is where there is such a file, so that a web address may have a question mark.
        try:
            found = {path: file_system.info(path)}
        except Exception:
            if not glob.has_magic(path):
                raise
            found = file_system.glob(path, detail=True)
    files = []
    for name, facts in sorted(found.items()):
        file = RemoteFile(file_system, name, _address(pattern, path, name, file_system), facts)
        if file.version is None:  # the listing of a web page has links only
            with _faults(f"{key}: {file}"):
                file = RemoteFile(file_system, name, file.url, file_system.info(name))
        _check(file, key)
        files.append(file)
    return files


def _open_file_system(pattern: str) -> tuple[Any, str]:
    """The file system of an address, and what it calls the file or glob."""
    import fsspec  # late: most texts are local

    protocol = pattern.partition("://")[0]
    known = {*fsspec.available_protocols(), *fsspec.registry}
    if "::" not in protocol and protocol not in known:
        raise InputError(f"unknown protocol {protocol!r}{suggest(protocol, known)}")
    return fsspec.core.url_to_fs(pattern)


def _address(pattern: str, path: str, name: str, file_system: Any) -> str:
    """The address of a file that a pattern gave; the pattern may have a host that the path has not."""
    if name == path:
        return pattern
    if pattern.endswith(path):
        return pattern.removesuffix(path) + name
    return str(file_system.unstrip_protocol(name))


def _check(file: RemoteFile, key: str) -> None:
    if file.facts.get("type") == "directory":
        example = f"{file.url.removesuffix('/')}/*.txt"
        raise InputError(f"{key}: {file} is a directory; name its files, for example '{example}'")
    if file.size == 0:
        raise InputError(f"{key}: {file} is an empty file")
    if file.version is None:
        raise InputError(
            f"{key}: {file}: its server tells neither a hash nor a time, and a change of it would not be"
            " noticed; download it and give its path"
        )


class _Content(io.RawIOBase):
    """The content of a remote file, whose library's errors become one line."""

    def __init__(self, content: Any, file: RemoteFile) -> None:
        self._content, self._file = content, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._content.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with _faults(self._file.url):  # not all that say that they are seekable are
            return int(self._content.seek(offset, whence))

    def tell(self) -> int:
        return int(self._content.tell())

    def readinto(self, buffer: Any, /) -> int:
        with _faults(self._file.url):
            data = self._content.read(len(buffer))
            if not data and self._file.size is not None and self.tell() < self._file.size:
                raise OSError(f"it ends after {self.tell():,} of {self._file.size:,} bytes")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._content.close()
        super().close()


@contextmanager
def _faults(place: str) -> Iterator[None]:
    """Any error within the block becomes an InputError; its cause is an OSError, no fault of the text."""
    try:
        yield
    # Each file system has errors of its own: those of aiohttp, botocore, httpx, google.auth, paramiko, ...
    except Exception as error:
        cause = error if isinstance(error, OSError) else OSError(reason_of(error))
        raise InputError(f"{place}: {_explain(error)}") from cause


def _explain(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    reason = reason_of(error)
    origin = error.__cause__
    if isinstance(error, ImportError):
        package = getattr(origin, "name", None) or error.name
        if package and package in reason:  # otherwise its name as a package is another one
            return f"needs the package {package}; pip install {package}"
        return f"needs a package ({reason})"
    if isinstance(origin, Exception):  # what the server said, behind a FileNotFoundError
        reason = reason_of(origin)
    kinds = {FileNotFoundError: "not found", PermissionError: "no access"}
    kind = next((kind for of, kind in kinds.items() if isinstance(error, of)), "cannot be read")
    return f"{kind} ({reason})"
