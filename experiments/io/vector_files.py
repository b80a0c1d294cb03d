"""Writes ELMo vectors of sentences: to HDF5 in AllenNLP's layout, to npz, or as a `datasets` directory.

Shape legend: W words of a sentence, P vector size, L layers.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from elmo.errors import InputError
from elmo.files import atomic_directory, atomic_write

SENTENCE_INDEX, METADATA = "sentence_to_index", "metadata"
_ROWS_AT_ONCE = 32  # of a data set, in memory: a sentence's vectors are some hundred kilobytes
_LONGEST_TEXT = 2**31 - 1  # bytes of a string in numpy
# The oldest form of a file has all names of a group in one piece, which each new name reads and writes again.
_LIBRARY_VERSIONS = ("v108", "v108")

Rows = Iterable[tuple[list[str], np.ndarray]]


def writer_of(path: Path) -> Callable[..., None]:
    """The writer that a file name's suffix stands for. Raises InputError for an unknown suffix."""
    if path.suffix in (".h5", ".hdf5"):
        return write_hdf5
    if path.suffix == ".npz":
        return write_npz
    if path.suffix:
        raise InputError(
            f"output: unknown ending of {path}; expected .h5, .hdf5, .npz, or none for a datasets directory"
        )
    return write_dataset


def write_hdf5(path: Path, rows: Rows, *, metadata: Mapping[str, Any]) -> None:
    """AllenNLP's layout: dataset "0" for the first sentence, "1" for the second; each (W, P) or (L, W, P).

    `sentence_to_index` has one string, a JSON object from a sentence, its words joined by spaces, to its
    number; of equal sentences the last one counts. The attribute `metadata` is a JSON object. The file
    appears whole or not at all; one sentence is in memory at a time.
    """
    with atomic_write(path) as aside, tempfile.TemporaryFile(dir=path.parent) as index:
        offset = None
        # through a file of Python: a full disk is then an OSError that leaves nothing open
        with aside.open("w+b") as image, h5py.File(image, "w", libver=_LIBRARY_VERSIONS) as file:
            _bound_metadata(file)
            for key, vectors in _numbered(rows, index):
                file.create_dataset(key, data=vectors)
            file.attrs[METADATA] = json.dumps(metadata)
            if index.tell() <= _LONGEST_TEXT:
                offset = _reserve_string(file, SENTENCE_INDEX, index.tell())
        if offset is not None:
            with aside.open("r+b") as image:
                image.seek(offset)
                _copy(index, image)


def write_npz(path: Path, rows: Rows, *, metadata: Mapping[str, Any]) -> None:
    """The arrays of `write_hdf5` under the same names, for `numpy.load`; the JSON texts as byte strings.

    One sentence is in memory at a time.
    """
    with (
        atomic_write(path) as aside,
        tempfile.TemporaryFile(dir=path.parent) as index,
        tempfile.TemporaryFile(dir=path.parent) as directory,
        zipfile.ZipFile(aside, "w", allowZip64=True) as archive,
    ):
        archive.filelist = _Entries(directory)  # type: ignore[assignment]
        archive.NameToInfo = _NoNames()
        for key, vectors in _numbered(rows, index):
            with _entry(archive, key) as entry:
                np.lib.format.write_array(entry, vectors, allow_pickle=False)
        with _entry(archive, METADATA) as entry:
            np.lib.format.write_array(entry, np.array([json.dumps(metadata).encode()]))
        if index.tell() <= _LONGEST_TEXT:
            header = {"descr": f"|S{index.tell()}", "fortran_order": False, "shape": (1,)}
            with _entry(archive, SENTENCE_INDEX) as entry:
                np.lib.format.write_array_header_1_0(entry, header)
                _copy(index, entry)


def write_dataset(path: Path, rows: Rows, *, metadata: Mapping[str, Any]) -> None:
    """A directory for `datasets.load_from_disk`: a row a sentence, in order, with `words` and `vectors`.

    The metadata stand in the description of the data set; some sentences are in memory at a time.
    """
    from datasets import Dataset, DatasetInfo, disable_progress_bars
    from datasets.arrow_writer import ArrowWriter

    disable_progress_bars()
    rows = iter(rows)
    first = next(rows)
    with atomic_directory(path) as aside:
        info = DatasetInfo(description=json.dumps(metadata), features=_features(first[1]))
        # Saving all rows this way would need them in a file before, and that file in memory.
        one_row = {"words": [first[0]], "vectors": [first[1]]}
        Dataset.from_dict(one_row, info=info).save_to_disk(str(aside))
        (table,) = aside.glob("*.arrow")
        with ArrowWriter(features=info.features, path=str(table), writer_batch_size=_ROWS_AT_ONCE) as writer:
            for words, vectors in chain([first], rows):
                writer.write({"words": words, "vectors": vectors})
            writer.finalize()


def _features(vectors: np.ndarray) -> Any:
    from datasets import Features, List, Value

    feature = List(List(Value(str(vectors.dtype)), length=vectors.shape[-1]))
    if vectors.ndim == 3:
        feature = List(feature, length=vectors.shape[0])
    return Features({"words": List(Value("string")), "vectors": feature})


def _numbered(rows: Rows, index: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    """The key and array of each sentence, while `index` gets the JSON object from sentences to keys."""
    index.write(b"{")
    for number, (words, vectors) in enumerate(rows):
        pair = f'{json.dumps(" ".join(words))}: "{number}"'
        index.write(f"{', ' if number else ''}{pair}".encode())
        yield str(number), vectors
    index.write(b"}")


def _bound_metadata(file: h5py.File) -> None:
    """Limit HDF5's metadata cache to two megabytes; the default is 32."""
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = 1 << 20
    config.max_size = 2 << 20
    file.id.set_mdc_config(config)


def _reserve_string(file: h5py.File, name: str, size: int) -> int:
    """Create a dataset of one string of `size` bytes; returns the offset in the file to write them at.

    HDF5 itself writes a string only as a whole, from memory.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind = h5py.h5t.py_create(np.dtype(f"S{size}"), logical=True)
    space = h5py.h5s.create_simple((1,))
    return int(h5py.h5d.create(file.id, name.encode(), kind, space, dcpl=properties).get_offset())


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    source.seek(0)
    shutil.copyfileobj(source, target)


class _Entries:
    """What a zip file that is written knows of its entries, in a file: some 600 bytes each in memory."""

    _KEPT = (
        "filename",
        "header_offset",
        "CRC",
        "compress_size",
        "file_size",
        "flag_bits",
        "external_attr",
        "create_version",
        "extract_version",
    )

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._count = file, 0

    def append(self, entry: zipfile.ZipInfo) -> None:
        """Keep the next entry, whose content is written."""
        self._file.write(json.dumps([getattr(entry, name) for name in self._KEPT]).encode() + b"\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[zipfile.ZipInfo]:
        """All entries, once more, for the directory at the end of the zip file."""
        self._file.seek(0)
        for line in self._file:
            entry = zipfile.ZipInfo()
            for name, value in zip(self._KEPT, json.loads(line), strict=True):
                setattr(entry, name, value)
            yield entry


class _NoNames(dict[str, zipfile.ZipInfo]):
    """The entries of a zip file by name, none of which will be asked for."""

    def __setitem__(self, name: str, entry: zipfile.ZipInfo) -> None:
        pass


def _entry(archive: zipfile.ZipFile, key: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True)
