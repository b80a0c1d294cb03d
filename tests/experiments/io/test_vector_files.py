"""Files of vectors: of any number of sentences in the memory of one."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from experiments.io.vector_files import write_hdf5, write_npz

NUMBER = 4000


def rows() -> Iterator[tuple[list[str], np.ndarray]]:
    for number in range(NUMBER):
        yield ["a", f"w{number}"], np.full((2, 3), number, dtype=np.float32)


def test_an_npz_of_many_sentences_needs_no_memory_for_its_directory(tmp_path: Path) -> None:
    tracemalloc.start()
    write_npz(tmp_path / "a.npz", rows(), metadata={})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * NUMBER  # bytes; an entry of the directory would have 600
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
    with np.load(tmp_path / "a.npz") as arrays:
        assert len(arrays.files) == NUMBER + 2
        assert (arrays["3999"] == 3999).all() and arrays["3999"].shape == (2, 3)


def test_an_hdf5_file_has_the_form_whose_groups_may_be_large(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5", rows(), metadata={})
    assert (tmp_path / "a.h5").read_bytes()[
        :9
    ] == b"\x89HDF\r\n\x1a\n\x02"  # in version 0, names are one piece
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file) == NUMBER + 1
        assert (file["3999"][()] == 3999).all()
