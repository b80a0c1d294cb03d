"""Opens files that may be compressed, as their names say: gzip, bzip2, xz, zstd, lz4, zip of one file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from elmo.errors import InputError
from tasks.sources.shared.remote_files import File

_Opener = Callable[[IO[bytes], File], Any]
# A damaged bzip2 file is a plain OSError.
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def plain_name(path: File) -> str:
    """The name of a file without the suffix of its compression."""
    return path.name.removesuffix(path.suffix) if is_compressed(path) else path.name


def is_compressed(path: File) -> bool:
    return path.suffix.lower() in _OPENERS


@contextmanager
def open_decompressed(path: File) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The content of a file, and the file itself, whose position tells how much of it has been read.

    Raises:
        InputError: the compressed file is damaged, or a zip does not have one file.
    """
    with path.open("rb") as raw:
        if not is_compressed(path):
            yield raw, raw
            return
        kind, opener = _OPENERS[path.suffix.lower()]
        try:
            with opener(raw, path) as content:
                yield content, raw
        except _DAMAGED as error:
            raise InputError(f"{path}: damaged {kind} file ({error})") from error


def _open_zip(raw: IO[bytes], path: File) -> IO[bytes]:
    archive = zipfile.ZipFile(raw)
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        raise InputError(f"{path}: a zip of {len(members)} files, expected one; unpack it and name its files")
    try:
        return archive.open(members[0])
    except RuntimeError as error:  # a password, or a compression that Python does not have
        raise InputError(f"{path}: cannot be unpacked ({error}); unpack it and name its file") from error


def _open_by_arrow(raw: IO[bytes], compression: str) -> IO[bytes]:
    import pyarrow  # late: it takes a tenth of a second

    return io.BufferedReader(pyarrow.CompressedInputStream(raw, compression))


_OPENERS: dict[str, tuple[str, _Opener]] = {
    ".gz": ("gzip", lambda raw, _: gzip.GzipFile(fileobj=raw)),
    ".bz2": ("bzip2", lambda raw, _: bz2.BZ2File(raw)),
    ".xz": ("xz", lambda raw, _: lzma.LZMAFile(raw)),  # noqa: SIM115
    ".zst": ("zstd", lambda raw, _: _open_by_arrow(raw, "zstd")),
    ".zstd": ("zstd", lambda raw, _: _open_by_arrow(raw, "zstd")),
    ".lz4": ("lz4", lambda raw, _: _open_by_arrow(raw, "lz4")),
    ".zip": ("zip", _open_zip),
}
