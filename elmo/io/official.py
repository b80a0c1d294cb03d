"""Reads and writes official ELMo models: options.json and weights.hdf5.

Source: the files published with Peters et al. 2018 and the code that reads them (bilm-tf). Datasets are
float32; kernels are stored (in, out).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import h5py
import torch
from torch import Tensor

from elmo.bilm import char_cnn_lstm  # noqa: F401  # importing it registers the encoder
from elmo.bilm.bilm import BiLm, build_bilm
from elmo.bilm.softmaxes.full import FullSoftmax
from elmo.bilm.word_lstm import EMBEDDING
from elmo.errors import InputError, faults_of
from elmo.files import atomic_write
from elmo.io.meta_device import meta_device
from elmo.io.model_directory import refuse_non_finite
from elmo.io.official_options import official_options, read_options, read_word_options
from elmo.text.characters import NUM_CHARACTERS
from elmo.text.vocabulary import MARKERS, Vocabulary

_SKIPPED_LINE = "!!!MAXTERMID"  # a line of the vocabulary without a row, as in the original

_MOST_COMPRESSED = 1100  # values in a byte of the file: deflate compresses zeros to 1/1030

# The options that determine a dataset's shape: the likely cause if the shape is wrong.
_DECIDED_BY = {
    "char_embed": "char_cnn.embedding.dim",
    "CNN/": "char_cnn.filters or char_cnn.embedding.dim",
    "CNN_high_": "char_cnn.n_highway or char_cnn.filters",
    "CNN_proj/": "lstm.projection_dim or char_cnn.filters",
    "RNN_": "lstm.dim, lstm.projection_dim or lstm.n_layers",
    EMBEDDING: "lstm.projection_dim",
}


def read_official(options: Path, weights: Path) -> BiLm:
    """The biLM of an official character model, in evaluation mode, on the CPU.

    The table of characters may have 261 rows, or 262 if its first row is zeros for padded words.
    As in the original, a word without characters is read as begin-of-word, end-of-word.

    Raises:
        InputError: names the file and the option or dataset: the file cannot be read; a dataset is missing,
            has another shape than the options require, is not used by them, or has NaN or infinite values.
    """
    node = read_options(options)
    with faults_of(options), meta_device():
        bilm = build_bilm(node)
    with _WeightsFile(weights) as file:
        _check_datasets(file, official_tensors(bilm), options)
        bilm.to_empty(device="cpu").reset_start_state()
        for name, tensor in official_tensors(bilm).items():
            if name == "char_embed" and file.shapes[name][0] > NUM_CHARACTERS:
                tensor.copy_(_without_padding_row(file))
            else:
                file.read(name, tensor)
    return bilm.eval()


def read_official_words(
    options: Path, weights: Path, *, vocabulary: Path, embeddings: Path | None = None
) -> BiLm:
    """The biLM of an official model that reads whole words, in evaluation mode, on the CPU.

    The table of word vectors, `embedding`, belongs to a model trained without characters, or was computed by
    a model's character CNN for the words of a vocabulary. Such a vocabulary may lack `<UNK>`: the vector of
    an unknown word is then zero.

    Args:
        options, weights: the model's files; their entries for a character CNN are ignored.
        vocabulary: one word per line, line i for row i, with `<S>` and `</S>` on any line.
        embeddings: the HDF5 file with `embedding`; None: it is in `weights`.

    Raises:
        InputError: names the file and the option, line or dataset.
    """
    words = _WordList(vocabulary)
    node = read_word_options(options)
    with faults_of(options), meta_device():
        bilm = build_bilm(node, vocabulary=words.vocabulary)
    with _WeightsFile(weights) as file:
        tensors = official_tensors(bilm)
        del tensors[EMBEDDING]
        _check_datasets(file, tensors, options)
        bilm.to_empty(device="cpu").reset_start_state()
        for name, tensor in official_tensors(bilm).items():
            if name != EMBEDDING:
                file.read(name, tensor)
    with _WeightsFile(weights if embeddings is None else embeddings) as file:
        table = words.arranged(_read_table(file, words, bilm.projection_size))
    official_tensors(bilm)[EMBEDDING].copy_(table)
    return bilm.eval()


def read_official_softmax(weights: Path, *, vocabulary: Path) -> tuple[FullSoftmax, Vocabulary] | None:
    """The softmax over the next and the previous word, and its words, markers first; None if there is none.

    Args:
        weights: the HDF5 file with `softmax/W` (words, size) and `softmax/b` (words,).
        vocabulary: one word per line, line i for row i, with `<S>` and `</S>` on any line.

    Raises:
        InputError: names the file and the line or dataset.
    """
    weight_name, bias_name = "softmax/W", "softmax/b"
    with _WeightsFile(weights) as file:
        if weight_name not in file.shapes:
            return None
        words, shape = _WordList(vocabulary), file.shapes[weight_name]
        if len(shape) != 2 or shape[0] != words.num_rows:
            raise InputError(
                f"{weights}: {weight_name} has shape {shape}, but {vocabulary} has {words.num_rows} words;"
                " likely cause: the vocabulary of another model"
            )
        weight, bias = torch.empty(shape), torch.empty(shape[0])
        for name, table in ((weight_name, weight), (bias_name, bias)):
            file.check(name, tuple(table.shape), None)
            file.read(name, table)
    with meta_device():
        softmax = FullSoftmax(input_size=shape[1], num_types=len(words.vocabulary))
    arranged = {"weight": words.arranged(weight), "bias": words.arranged(bias[:, None]).squeeze(1)}
    softmax.load_state_dict(arranged, assign=True)
    return softmax, words.vocabulary


def write_official(bilm: BiLm, options: Path, weights: Path) -> None:
    """Write a biLM as official files in float32, atomically.

    The vocabulary of a model that reads whole words is not part of the format and must be saved separately.

    Raises:
        InputError: a file exists already, or cannot be written.
    """
    for path in (options, weights):
        if path.exists():
            raise InputError(f"{path}: exists already; a model is never overwritten")
    with atomic_write(weights) as weights_aside, atomic_write(options) as options_aside:
        options_aside.write_text(json.dumps(official_options(bilm), indent=2) + "\n", encoding="utf-8")
        # in memory first: on a full disk, HDF5 itself would fail again for every object that it closes
        image = io.BytesIO()
        with h5py.File(image, "w") as file:
            for name, tensor in official_tensors(bilm).items():
                file.create_dataset(name, data=tensor.float().cpu().contiguous().numpy())
        # released also where the disk is full: an image that is still viewed, by the error, cannot be freed
        with image.getbuffer() as view, weights_aside.open("wb") as raw:
            raw.write(view)


def official_tensors(bilm: BiLm) -> dict[str, Tensor]:
    """Official dataset name -> the biLM's own parameter (no copy), detached, in the dataset's shape."""
    tensors = {**bilm.words.official_tensors(), **bilm.context.official_tensors()}
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _check_datasets(file: _WeightsFile, tensors: Mapping[str, Tensor], options: Path) -> None:
    """InputError for the first dataset that is missing, not in the options, or of another shape or type."""
    for name, tensor in tensors.items():
        wanted = tuple(tensor.shape)
        if name == "char_embed" and file.shapes.get(name) == (NUM_CHARACTERS + 1, wanted[1]):
            wanted = (NUM_CHARACTERS + 1, wanted[1])
        file.check(name, wanted, options)
    parts = {name.partition("_")[0].partition("/")[0] for name in tensors}  # char, CNN, RNN
    for name in sorted(file.shapes.keys() - tensors.keys()):
        if name.startswith(tuple(parts)):
            raise InputError(
                f"{file.path}: {name} {file.shapes[name]} has no place in what {options} describes; "
                f"likely cause: {_deciding_options(name)} is of another model"
            )


def _without_padding_row(file: _WeightsFile) -> Tensor:
    """The rows of the 261 characters, from a table whose first row is for padded words."""
    table = torch.empty(file.shapes["char_embed"])
    file.read("char_embed", table)
    if table[0].any():
        raise InputError(
            f"{file.path}: char_embed has {len(table)} rows, but the first, for padded words, is not zero; "
            f"likely cause: the model was trained with n_characters 262 instead of the original's 261"
        )
    return table[1:]


def _read_table(file: _WeightsFile, words: _WordList, projection_size: int) -> Tensor:
    found = file.shapes.get(EMBEDDING, (0,))
    if len(found) == 2 and found[0] != words.num_rows:
        raise InputError(
            f"{file.path}: {EMBEDDING} has shape {found}, but {words.path} has {words.num_rows} words; "
            "likely cause: the vocabulary of another model"
        )
    file.check(EMBEDDING, (words.num_rows, projection_size), None)
    table = torch.empty(found)
    file.read(EMBEDDING, table)
    return table


class _WeightsFile:
    """The datasets of an HDF5 file; all errors are InputErrors that name the file.

    Attributes:
        shapes: the shape of every dataset, by its full name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        with self._faults():
            self._file = h5py.File(path, "r")
            self._file.visititems(self._note)

    def _note(self, name: str | bytes, item: h5py.HLObject) -> None:
        if isinstance(name, bytes):  # what h5py cannot decode
            name = name.decode("utf-8", "replace")
        if isinstance(item, h5py.Dataset):
            self.shapes[name] = tuple(item.shape or ())

    def __enter__(self) -> _WeightsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def check(self, name: str, wanted: tuple[int, ...], options: Path | None) -> None:
        """InputError if a dataset is missing, has another shape than `wanted`, or is not of a float type."""
        found = self.shapes.get(name)
        if found is None:
            raise InputError(
                f"{self.path}: no dataset {name}, expected with shape {wanted}; {self._absence(name)}"
            )
        if found != wanted:
            sizes_match = sorted(found) == sorted(wanted)
            cause = (
                "its axes are in another order: kernels are stored (in, out)"
                if sizes_match
                else f"{_deciding_options(name)} is of another model than these weights"
            )
            raise InputError(
                f"{self.path}: {name} has shape {found}, but {options or 'the options'} expect {wanted}; "
                f"likely cause: {cause}"
            )
        with self._faults(name):
            dtype, size = self._file[name].dtype, self._file[name].id.get_storage_size()
        if size * _MOST_COMPRESSED < math.prod(found):
            raise InputError(f"{self.path}: {name} has no values; damaged or cut short")
        if dtype.kind != "f":
            raise InputError(f"{self.path}: {name} is of type {dtype}, expected float32")

    def read(self, name: str, target: Tensor) -> None:
        """Copy a checked dataset into a float32 tensor of its shape; the values must be finite."""
        values = target if target.is_contiguous() else torch.empty(target.shape)
        with self._faults(name):
            self._file[name].read_direct(values.numpy())
        refuse_non_finite(values, name=f"{self.path}: {name}")
        if values is not target:
            target.copy_(values)

    def _absence(self, name: str) -> str:
        if name == "char_embed" and EMBEDDING in self.shapes:
            return f"it has {EMBEDDING}: a model of whole words, which needs its vocabulary"
        if name == EMBEDDING and "char_embed" in self.shapes:
            return "it has char_embed: a character model, which needs no vocabulary"
        if not any(known.startswith(tuple(_DECIDED_BY)) for known in self.shapes):
            held = ", ".join(sorted(self.shapes)[:3]) or "nothing"
            return f"likely cause: these are not the weights of a biLM (the file has {held})"
        return f"likely cause: {_deciding_options(name)} is of another model than these weights"

    @contextmanager
    def _faults(self, name: str | None = None) -> Iterator[None]:
        """Turns h5py's exceptions into InputErrors; only calls of h5py belong inside."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: no such file") from error
        except IsADirectoryError as error:
            raise InputError(f"{self.path}: a directory, expected an HDF5 file") from error
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            place = f"{self.path}: {name}" if name else f"{self.path}"
            reason = " ".join(str(error).split())
            raise InputError(f"{place}: damaged, cut short or not HDF5 ({reason}); fetch it again") from error


class _WordList:
    """The vocabulary file of a table of word vectors; its markers may be on any line.

    Attributes:
        vocabulary: its words, the markers first.
        num_rows: number of rows that the table must have.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        row_of = _read_rows(path)
        for marker in MARKERS[:2]:
            if marker not in row_of:
                raise InputError(
                    f"{path}: no line {marker}; every sentence begins with <S> and ends with </S>"
                )
        self.num_rows = len(row_of)
        self.vocabulary = Vocabulary([*MARKERS, *(word for word in row_of if word not in MARKERS)])
        self._rows = [row_of.get(word, self.num_rows) for word in self.vocabulary.words]

    def arranged(self, table: Tensor) -> Tensor:
        """The file's table in the order of `vocabulary`, with a row of zeros if `<UNK>` is missing."""
        if self._rows == list(range(self.num_rows)):
            return table
        with_zeros = torch.cat([table, table.new_zeros(1, table.shape[1])])
        return with_zeros[self._rows]


def _read_rows(path: Path) -> dict[str, int]:
    """The row of each word of a vocabulary file, in the file's order."""
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: invalid UTF-8 (0x{error.object[error.start]:02x})") from error
    rows: dict[str, int] = {}
    for number, line_text in enumerate(lines, start=1):
        word = line_text.strip()
        if not word:
            raise InputError(f"{path}:{number}: empty word")
        if word in rows:
            raise InputError(f"{path}:{number}: duplicate {word!r}")
        if word != _SKIPPED_LINE:
            rows[word] = len(rows)
    return rows


def _deciding_options(name: str) -> str:
    return next((keys for prefix, keys in _DECIDED_BY.items() if name.startswith(prefix)), "an option")
