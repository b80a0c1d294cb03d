"""Official files: vectors of the original code and of the oracle, written files, and every way to be damaged.

Shape legend: L layers, B sentences, T tokens of the longest with its markers, P projection, V words.
"""

from __future__ import annotations

import gc
import itertools
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import oracle
import pytest
import torch
from places import SHARED
from torch import Tensor

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.lstm import State
from elmo.bilm.word_lstm import WordLstm
from elmo.errors import InputError
from elmo.io.official import read_official, read_official_words, write_official
from elmo.text.characters import BEGIN_TYPE, END_TYPE, TypeTable

GOLDEN = SHARED / "golden" / "bilm_tf"
needs_golden = pytest.mark.skipif(
    not GOLDEN.exists(), reason="the tiny official model is not beside this checkout (shared/golden/bilm_tf)"
)
SENTENCES = [
    ["One"],
    ["The", "cat", "sat", "on", "the", "mat", "."],
    [f"w{index % 23}" for index in range(200)],
    ["z" * 47, "z" * 48, "z" * 49, "z" * 300],
    ["é" * 24, "a" + "é" * 24, "日" * 17, "ab" + "😀" * 12],  # the last three are cut within a character
    ["😀", "👩‍👩‍👧‍👧", "👍🏽", "naïve", "日本語", "中文", "语言模型"],
    ["", "before", "", "", "<S>", "</S>", "<UNK>", "\x00", " "],
    [""],
]
LSTM = {
    "use_skip_connections": True,
    "projection_dim": 6,
    "cell_clip": 3,
    "proj_clip": 3,
    "dim": 10,
    "n_layers": 2,
}
CHAR_CNN = {
    "activation": "relu",
    "filters": [[1, 4], [2, 4], [3, 8]],
    "n_highway": 2,
    "embedding": {"dim": 4},
    "n_characters": 262,
    "max_characters_per_token": 50,
}
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "published": ({}, {}),
    "tanh, one highway": ({}, {"activation": "tanh", "n_highway": 1}),
    "no highway": ({}, {"n_highway": 0}),
    "no CNN projection": ({"projection_dim": 16, "dim": 20}, {}),
    "no LSTM projection": ({"projection_dim": 10}, {}),
    "LSTM projection null": ({"projection_dim": None}, {}),
    "no projection at all": ({"projection_dim": 16, "dim": 16}, {}),
    "no skip connections": ({"use_skip_connections": False, "n_layers": 3}, {}),
    "three layers": ({"n_layers": 3}, {}),
    "one layer": ({"n_layers": 1}, {}),
    "no clips": ({"cell_clip": None, "proj_clip": None}, {}),
    "tight clips": ({"cell_clip": 0.5, "proj_clip": 0.25}, {}),
    "261 characters": ({}, {"n_characters": 261}),
    "wide filters in any order": ({}, {"filters": [[9, 3], [1, 2], [4, 5]], "embedding": {"dim": 3}}),
}


def options_with(lstm: dict[str, Any], char_cnn: dict[str, Any]) -> dict[str, Any]:
    return {"lstm": LSTM | lstm, "char_cnn": CHAR_CNN | char_cnn}


def dataset_shapes(options: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every dataset of an official character model."""
    lstm, cnn = options["lstm"], options["char_cnn"]
    num_cells, size = lstm["dim"], lstm["projection_dim"] or lstm["dim"]
    num_filters = sum(number for _, number in cnn["filters"])
    shapes: dict[str, tuple[int, ...]] = {"char_embed": (261, cnn["embedding"]["dim"])}
    for index, (width, number) in enumerate(cnn["filters"]):
        shapes[f"CNN/W_cnn_{index}"] = (1, width, cnn["embedding"]["dim"], number)
        shapes[f"CNN/b_cnn_{index}"] = (number,)
    for index, gate in itertools.product(range(cnn["n_highway"]), ("carry", "transform")):
        shapes[f"CNN_high_{index}/W_{gate}"] = (num_filters, num_filters)
        shapes[f"CNN_high_{index}/b_{gate}"] = (num_filters,)
    if num_filters != size:
        shapes["CNN_proj/W_proj"] = (num_filters, size)
        shapes["CNN_proj/b_proj"] = (size,)
    for direction, index in itertools.product((0, 1), range(lstm["n_layers"])):
        cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{index}/LSTMCell"
        shapes[f"{cell}/W_0"] = (2 * size, 4 * num_cells)
        shapes[f"{cell}/B"] = (4 * num_cells,)
        if size != num_cells:
            shapes[f"{cell}/W_P_0"] = (num_cells, size)
    return shapes


def spread(name: str, shape: tuple[int, ...]) -> float:
    """Divides a dataset's random values: gates saturate, but rounding errors do not grow with each step."""
    is_kernel = len(shape) > 1 and name != "char_embed"
    return float(np.sqrt(np.prod(shape[:-1]))) if is_kernel else 2.0


class OfficialFiles:
    """A random model as official files; tests change them before they are read."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.options_path, self.weights_path = directory / "options.json", directory / "weights.hdf5"
        self.save_options(options)
        generator = np.random.default_rng(0)
        self.arrays = {
            name: (generator.standard_normal(shape) / spread(name, shape)).astype(np.float32)
            for name, shape in dataset_shapes(options).items()
        }
        self.save_weights()

    def save_options(self, options: object) -> None:
        self.options_path.write_text(json.dumps(options), encoding="utf-8")

    def save_weights(self, **creation: Any) -> None:
        with h5py.File(self.weights_path, "w") as file:
            for name, array in self.arrays.items():
                file.create_dataset(name, data=array, **creation)

    def read(self) -> CharCnnLstm:
        return read_official(self.options_path, self.weights_path)


@pytest.fixture
def files(tmp_path: Path) -> OfficialFiles:
    return OfficialFiles(tmp_path, options_with({}, {}))


def arrays_of(path: Path) -> oracle.Weights:
    """The datasets of an official file as they are, in float64."""
    weights: oracle.Weights = {}

    def keep(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            weights[name] = item[()].astype(np.float64)

    with h5py.File(path) as file:
        file.visititems(keep)
    return weights


def oracle_options(options: dict[str, Any]) -> oracle.Options:
    return oracle.Options(
        activation=options["char_cnn"]["activation"],
        cell_clip=options["lstm"]["cell_clip"],
        projection_clip=options["lstm"]["proj_clip"],
        skip_connected=options["lstm"]["use_skip_connections"],
    )


@torch.no_grad()
def run(
    encoder: CharCnnLstm | WordLstm, sentences: list[list[str]], state: list[State] | None = None
) -> tuple[list[Tensor], list[State]]:
    """(L, T, 2 P) of each sentence, markers included, and the state after each."""
    words = list(dict.fromkeys(itertools.chain.from_iterable(sentences)))
    table = TypeTable.from_words(words)
    type_ids = {word: type_id for type_id, word in enumerate(words, start=2)}
    lengths = [len(sentence) + 2 for sentence in sentences]
    ids_BT = torch.zeros(len(sentences), max(lengths), dtype=torch.long)
    for row, sentence in enumerate(sentences):
        marked = [BEGIN_TYPE, *(type_ids[word] for word in sentence), END_TYPE]
        ids_BT[row, : lengths[row]] = torch.tensor(marked)
    inputs = encoder.words.read(table, np.arange(len(table)))
    vectors, last = encoder(inputs, ids_BT, torch.tensor(lengths), state)
    return [vectors[:, row, :length] for row, length in enumerate(lengths)], last


def assert_layers_near(actual: Tensor, expected: np.ndarray) -> None:
    """Each layer within 1e-5 of the oracle's, relative to the layer's largest value."""
    for layer, expected_layer in zip(actual.double().numpy(), expected, strict=True):
        tolerance = 1e-5 * float(np.abs(expected_layer).max())
        np.testing.assert_allclose(layer, expected_layer, rtol=0, atol=tolerance)


def assert_golden(encoder: CharCnnLstm | WordLstm) -> None:
    """Ten batches of three sentences, the state carried along, as the original code ran them."""
    rows = json.loads((GOLDEN / "lm_embeddings_sentences.json").read_text("utf-8"))
    expected = [h5py.File(GOLDEN / f"lm_embeddings_{row}.hdf5") for row in range(len(rows))]
    state = None
    for batch in range(10):
        vectors, state = run(encoder, [sentences[batch].split() for sentences in rows], state)
        for row, file in enumerate(expected):
            forward, backward = file[str(batch)][()]
            top = np.concatenate([forward, backward], axis=1)
            np.testing.assert_allclose(vectors[row][-1, 1:-1].numpy(), top, rtol=0, atol=1e-6)
    for file in expected:
        file.close()


@needs_golden
def test_the_vectors_are_those_of_the_original_code() -> None:
    encoder = read_official(GOLDEN / "options.json", GOLDEN / "lm_weights.hdf5")
    assert not encoder.training
    assert_golden(encoder)


@needs_golden
def test_cached_word_vectors_give_the_vectors_of_the_original_code(tmp_path: Path) -> None:
    weights = arrays_of(GOLDEN / "lm_weights.hdf5")
    markers = {"</S>": oracle.END_ROW, "<S>": oracle.BEGIN_ROW}
    texts = json.loads((GOLDEN / "lm_embeddings_sentences.json").read_text("utf-8"))
    sentences = itertools.chain.from_iterable(texts)
    words = list(dict.fromkeys([*" ".join(sentences).split(), *markers]))
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    rows = [markers.get(word, oracle.character_row(word)) for word in words]
    with h5py.File(tmp_path / "cached.hdf5", "w") as file:
        table = np.stack([oracle.word_vector(row, weights, "relu") for row in rows])
        file.create_dataset("embedding", data=table.astype(np.float32))
    encoder = read_official_words(
        GOLDEN / "options.json",
        GOLDEN / "lm_weights.hdf5",
        vocabulary=tmp_path / "words.txt",
        embeddings=tmp_path / "cached.hdf5",
    )
    assert_golden(encoder)


@needs_golden
def test_the_original_files_come_back_as_they_were(tmp_path: Path) -> None:
    encoder = read_official(GOLDEN / "options.json", GOLDEN / "lm_weights.hdf5")
    write_official(encoder, tmp_path / "options.json", tmp_path / "weights.hdf5")
    written, given = (json.loads((path / "options.json").read_text()) for path in (tmp_path, GOLDEN))
    assert written == given
    assert_same_arrays(arrays_of(tmp_path / "weights.hdf5"), arrays_of(GOLDEN / "lm_weights.hdf5"))


def assert_same_arrays(written: oracle.Weights, given: oracle.Weights) -> None:
    assert written.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(written[name], array, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layer_of_a_random_model_is_the_oracles(shape: str, tmp_path: Path) -> None:
    options = options_with(*SHAPES[shape])
    files = OfficialFiles(tmp_path, options)
    encoder = files.read()
    vectors, _ = run(encoder, SENTENCES)
    weights = arrays_of(files.weights_path)
    for words, actual in zip(SENTENCES, vectors, strict=True):
        expected, _ = oracle.encode(words, weights, oracle_options(options))
        assert_layers_near(actual, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_written_files_have_the_official_names_and_the_same_values(shape: str, tmp_path: Path) -> None:
    options = options_with(*SHAPES[shape])
    files = OfficialFiles(tmp_path / "given", options)
    options_path, weights_path = tmp_path / "new" / "options.json", tmp_path / "new" / "weights.hdf5"
    encoder = files.read()
    write_official(encoder, options_path, weights_path)
    with h5py.File(weights_path) as file:
        for name, wanted in dataset_shapes(options).items():
            assert file[name].shape == wanted and file[name].dtype == np.float32
    assert_same_arrays(arrays_of(weights_path), arrays_of(files.weights_path))

    written = json.loads(options_path.read_text())
    assert written["char_cnn"] == options["char_cnn"] | {"n_characters": 262}
    size = options["lstm"]["projection_dim"] or options["lstm"]["dim"]
    projected = size != options["lstm"]["dim"]  # the original clips projections only
    assert written["lstm"] == options["lstm"] | {
        "projection_dim": size,
        "proj_clip": options["lstm"]["proj_clip"] if projected else None,
    }
    again = read_official(options_path, weights_path)
    for name, parameter in encoder.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name]), name


def test_an_empty_word_is_begin_and_end_of_word(files: OfficialFiles) -> None:
    encoder = files.read()
    row = torch.tensor([[258, 259, *[260] * 48]])
    vectors, _ = run(encoder, [["a", "", "b"]])
    with torch.no_grad():
        torch.testing.assert_close(vectors[0][0, 2, :6], encoder.words(row)[0])


def test_a_row_of_zeros_for_padded_words_is_left_out(files: OfficialFiles) -> None:
    expected = files.read().state_dict()
    files.arrays["char_embed"] = np.concatenate([np.zeros((1, 4), np.float32), files.arrays["char_embed"]])
    files.save_weights()
    for name, parameter in files.read().state_dict().items():
        assert torch.equal(parameter, expected[name]), name


def test_doubles_and_compressed_datasets_are_read(files: OfficialFiles) -> None:
    expected = files.read().state_dict()
    files.arrays = {name: array.astype(">f8") for name, array in files.arrays.items()}
    files.save_weights(compression="gzip")
    for name, parameter in files.read().state_dict().items():
        assert torch.equal(parameter, expected[name]) and parameter.dtype == torch.float32


def without(*names: str) -> Callable[[oracle.Weights], None]:
    def change(arrays: oracle.Weights) -> None:
        for name in names:
            del arrays[name]

    return change


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[oracle.Weights], None]:
    return lambda arrays: arrays.update({name: change(arrays[name])})


def added(name: str, *shape: int) -> Callable[[oracle.Weights], None]:
    return lambda arrays: arrays.update({name: np.ones(shape, np.float32)})


def only_a_word_table(arrays: oracle.Weights) -> None:
    arrays.clear()
    arrays["embedding"] = np.ones((3, 6), np.float32)


def an_undecodable_dataset(arrays: dict[Any, np.ndarray]) -> None:
    arrays.clear()
    arrays[b"\xff"] = np.zeros(2, np.float32)


def foreign_datasets(arrays: oracle.Weights) -> None:
    arrays.clear()
    arrays["model_weights/dense/kernel"] = np.ones((3, 6), np.float32)


def poisoned(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def poison(array: np.ndarray) -> np.ndarray:
        array.flat[3] = value
        return array

    return poison


CELL = "RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell"
WRONG_WEIGHTS = {
    "missing": (
        without(f"{CELL}/W_P_0"),
        f"no dataset {CELL}/W_P_0, expected with shape (10, 6); likely cause: lstm.dim, lstm.projection_dim",
    ),
    "transposed": (
        changed(f"{CELL}/W_0", np.transpose),
        f"{CELL}/W_0 has shape (40, 12), but OPTIONS expect (12, 40); likely cause: its axes are in another",
    ),
    "other cells": (
        changed(f"{CELL}/B", lambda array: array[:36]),
        f"{CELL}/B has shape (36,), but OPTIONS expect (40,); likely cause: lstm.dim",
    ),
    "other characters": (
        changed("char_embed", lambda array: array[:256]),
        "char_embed has shape (256, 4), but OPTIONS expect (261, 4); likely cause: char_cnn.embedding.dim",
    ),
    "other filters": (
        changed("CNN/W_cnn_1", lambda array: array[..., :3]),
        "CNN/W_cnn_1 has shape (1, 2, 4, 3), but OPTIONS expect (1, 2, 4, 4); likely cause: char_cnn.filters",
    ),
    "a highway too many": (
        added("CNN_high_2/W_carry", 16, 16),
        "CNN_high_2/W_carry (16, 16) has no place in what OPTIONS describes; likely cause: char_cnn.n_high",
    ),
    "a layer too many": (
        added("RNN_0/RNN/MultiRNNCell/Cell2/LSTMCell/B", 40),
        "Cell2/LSTMCell/B (40,) has no place in what OPTIONS describes; likely cause: lstm.dim",
    ),
    "words only": (only_a_word_table, "it has embedding: a model of whole words, which needs its vocabulary"),
    "a name that is no text": (an_undecodable_dataset, "not the weights of a biLM (the file has \ufffd)"),
    "another library's": (
        foreign_datasets,
        "not the weights of a biLM (the file has model_weights/dense/kernel)",
    ),
    "NaN": (changed("CNN/b_cnn_2", poisoned(np.nan)), "CNN/b_cnn_2 has 1 values that are NaN or infinite"),
    "infinite": (changed(f"{CELL}/W_0", poisoned(-np.inf)), f"{CELL}/W_0 has 1 values that are NaN"),
    "NaN in a transposed one": (changed("CNN_proj/W_proj", poisoned(np.nan)), "CNN_proj/W_proj has 1 values"),
    "whole numbers": (
        changed("CNN_proj/b_proj", lambda array: array.astype(np.int32)),
        "CNN_proj/b_proj is of type int32, expected float32",
    ),
    "text": (changed("CNN_proj/b_proj", lambda array: np.array([b"x"] * 6)), "b_proj is of type |S1"),
    "one number": (changed("CNN_proj/b_proj", lambda array: np.float32(1)), "CNN_proj/b_proj has shape ()"),
    "262 rows without a padding row": (
        added("char_embed", 262, 4),
        "char_embed has 262 rows, but the first, for padded words, is not zero",
    ),
}


@pytest.mark.parametrize("case", WRONG_WEIGHTS)
def test_weights_that_do_not_fit_are_refused_in_one_line(case: str, files: OfficialFiles) -> None:
    change, message = WRONG_WEIGHTS[case]
    change(files.arrays)
    files.save_weights()
    with pytest.raises(InputError) as error:
        files.read()
    assert str(error.value).startswith(f"{files.weights_path}: ") and "\n" not in str(error.value)
    assert message.replace("OPTIONS", str(files.options_path)) in str(error.value)


def test_large_finite_weights_are_read(files: OfficialFiles) -> None:
    files.arrays["CNN_proj/b_proj"] = np.full(6, 3e38, np.float32)  # their sum is infinite
    files.save_weights()
    encoder = files.read()
    assert encoder.words.projection is not None
    assert torch.equal(encoder.words.projection.bias, torch.full((6,), 3e38))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not HDF5"),
        (b"<!DOCTYPE html><html>Not found</html>", "not HDF5"),
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not HDF5"),
    ],
)
def test_a_file_that_is_no_hdf5_is_refused_in_one_line(
    content: bytes, message: str, files: OfficialFiles
) -> None:
    files.weights_path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        files.read()
    assert str(error.value).startswith(f"{files.weights_path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_line(kept: float, files: OfficialFiles) -> None:
    content = files.weights_path.read_bytes()
    files.weights_path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match="damaged, cut short or not HDF5") as error:
        files.read()
    assert "\n" not in str(error.value)


def test_a_damaged_compressed_dataset_is_named(files: OfficialFiles) -> None:
    files.save_weights(compression="gzip")
    with h5py.File(files.weights_path) as file:
        chunk = file["CNN_proj/W_proj"].id.get_chunk_info(0)
    content = bytearray(files.weights_path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    files.weights_path.write_bytes(content)
    with pytest.raises(InputError, match="CNN_proj/W_proj: damaged"):
        files.read()


def test_files_that_are_not_there_are_named(files: OfficialFiles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.hdf5: no such file"):
        read_official(files.options_path, tmp_path / "gone.hdf5")
    with pytest.raises(InputError, match=r"gone.json: cannot be read \(No such file"):
        read_official(tmp_path / "gone.json", files.weights_path)
    with pytest.raises(InputError, match="a directory, expected an HDF5 file"):
        read_official(files.options_path, tmp_path)


def option(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(options: dict[str, Any]) -> None:
        *parents, name = key.split(".")
        for parent in parents:
            options = options[parent]
        options[name] = value

    return change


WRONG_OPTIONS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda options: options.pop("lstm"), "lstm.dim: missing"),
    (lambda options: options.pop("char_cnn"), "char_cnn: missing; a model without it reads whole words"),
    (lambda options: options["lstm"].pop("cell_clip"), "lstm.cell_clip: missing"),
    (lambda options: options["lstm"].pop("use_skip_connections"), "lstm.use_skip_connections: missing"),
    (lambda options: options["char_cnn"].pop("embedding"), "char_cnn.embedding.dim: missing"),
    (
        lambda options: options["char_cnn"].pop("max_characters_per_token"),
        "max_characters_per_token: missing",
    ),
    (option("lstm", None), "lstm.dim: missing"),
    (option("lstm.dim", "4096"), 'lstm.dim: expected a whole number, at least 1, got "4096"'),
    (option("lstm.dim", None), "lstm.dim: expected a whole number, at least 1, got null"),
    (option("lstm.dim", True), "lstm.dim: expected a whole number, at least 1, got true"),
    (option("lstm.n_layers", 0), "lstm.n_layers: expected a whole number, at least 1, got 0"),
    (option("lstm.projection_dim", 11), "lstm.projection_dim: expected at most lstm.dim (10), got 11"),
    (option("lstm.cell_clip", -3), "lstm.cell_clip: expected a number above 0, or null for no limit, got -3"),
    (option("lstm.proj_clip", float("nan")), "lstm.proj_clip: expected a number above 0"),
    (option("lstm.use_skip_connections", 1), "lstm.use_skip_connections: expected true or false, got 1"),
    (option("char_cnn.activation", "gelu"), 'activation: expected "relu" or "tanh", got "gelu"'),
    (option("char_cnn.activation", ["relu"]), 'activation: expected "relu" or "tanh", got ["relu"]'),
    (option("char_cnn.n_highway", -1), "n_highway: expected a whole number, at least 0, got -1"),
    (option("char_cnn.n_characters", 256), "n_characters: expected 261 or 262, got 256"),
    (option("char_cnn.max_characters_per_token", 40), "max_characters_per_token: expected 50, got 40"),
    (option("char_cnn.filters", []), "char_cnn.filters: expected a list of [width, number], got []"),
    (option("char_cnn.filters", [[1, 2], [51, 3]]), "filters[1]: expected [width 1-50, number >= 1]"),
    (option("char_cnn.filters", [[1, 2.5]]), "filters[0]: expected [width 1-50, number >= 1], got [1, 2.5]"),
    (option("char_cnn.filters", [7]), "filters[0]: expected [width 1-50, number >= 1], got 7"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_OPTIONS)
def test_a_fault_of_the_options_is_named_with_its_key(
    change: Callable[[dict[str, Any]], Any], message: str, files: OfficialFiles
) -> None:
    options = json.loads(files.options_path.read_text())
    change(options)
    files.save_options(options)
    with pytest.raises(InputError) as error:
        files.read()
    assert str(error.value).startswith(f"{files.options_path}: ") and "\n" not in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "<html>\n</html>", "[" * 100_000, "\udcff"])
def test_options_that_are_no_json_object_are_refused_in_one_line(text: str, files: OfficialFiles) -> None:
    files.options_path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as error:
        files.read()
    assert str(error.value).startswith(f"{files.options_path}: ") and "\n" not in str(error.value)


def test_options_that_the_weights_tell_may_be_missing(files: OfficialFiles) -> None:
    options = options_with({"projection_dim": 10}, {"n_highway": 0})
    expected = OfficialFiles(files.options_path.parent / "whole", options).read()
    del options["lstm"]["projection_dim"], options["char_cnn"]["n_highway"]
    del options["char_cnn"]["n_characters"]
    files.save_options(options)
    actual = read_official(files.options_path, files.options_path.parent / "whole" / "weights.hdf5")
    assert actual.state_dict().keys() == expected.state_dict().keys()
    with pytest.raises(InputError, match="CNN_proj/W_proj has shape"):  # these have a projection of 6
        files.read()


def test_nothing_is_overwritten(files: OfficialFiles, tmp_path: Path) -> None:
    encoder = files.read()
    before = files.weights_path.read_bytes()
    with pytest.raises(InputError, match=r"weights.hdf5: exists already"):
        write_official(encoder, tmp_path / "new.json", files.weights_path)
    with pytest.raises(InputError, match=r"options.json: exists already"):
        write_official(encoder, files.options_path, tmp_path / "new.hdf5")
    assert files.weights_path.read_bytes() == before and len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_one_line_and_leaves_neither_file(files: OfficialFiles, tmp_path: Path) -> None:
    encoder = files.read()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(InputError, match="no space left") as error:
            write_official(encoder, tmp_path / "new" / "options.json", tmp_path / "new" / "weights.hdf5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    gc.collect()  # what the fault held is taken down without another, which would be a warning
    assert "\n" not in str(error.value)
    assert list((tmp_path / "new").iterdir()) == []


WORDS = ["the", "<UNK>", "cat", "</S>", "sat", "<S>"]


class WordFiles(OfficialFiles):
    """A random model of whole words as official files, its markers in odd places."""

    def __init__(self, directory: Path, words: list[str]) -> None:
        super().__init__(directory, options_with({}, {}))
        self.save_options({"lstm": LSTM})
        self.vocabulary_path = directory / "vocabulary.txt"
        self.vocabulary_path.write_text("\n".join(words) + "\n", encoding="utf-8")
        self.arrays = {name: array for name, array in self.arrays.items() if name.startswith("RNN_")}
        table = np.random.default_rng(1).standard_normal((len(words), LSTM["projection_dim"]))
        self.arrays["embedding"] = table.astype(np.float32)
        self.save_weights()

    def read_words(self) -> WordLstm:
        return read_official_words(self.options_path, self.weights_path, vocabulary=self.vocabulary_path)


@pytest.fixture
def word_files(tmp_path: Path) -> WordFiles:
    return WordFiles(tmp_path, WORDS)


def test_a_word_has_its_row_and_any_other_that_of_unk(word_files: WordFiles) -> None:
    encoder = word_files.read_words()
    sentence = ["cat", "the", "dog", "", "<S>", "</S>", "<UNK>", "the"]
    vectors, _ = run(encoder, [sentence])
    rows = [5, 2, 0, 1, 1, 1, 1, 1, 0, 3]  # a word that is spelled like a marker is an unknown one
    expected = word_files.arrays["embedding"][rows]
    np.testing.assert_array_equal(vectors[0][0].numpy(), np.concatenate([expected, expected], axis=1))


def test_every_layer_above_a_table_of_words_is_the_oracles(word_files: WordFiles) -> None:
    encoder = word_files.read_words()
    sentences = [["cat"], ["the", "cat", "sat", "on", "the", "dog"], ["sat"] * 200]
    vectors, _ = run(encoder, sentences)
    weights = arrays_of(word_files.weights_path)
    clip = {"cell_clip": 3.0, "projection_clip": 3.0}
    for words, actual in zip(sentences, vectors, strict=True):
        known = [WORDS.index(word) if word in WORDS else 1 for word in words]
        layers = [list(weights["embedding"][[5, *known, 3]])] * 2
        for index, before in enumerate(oracle.zero_states(weights)):
            for direction, step in ((0, 1), (1, -1)):
                given = layers[direction][::step]
                cell = oracle.cell_name(direction, index)
                outputs, _ = oracle.run_lstm(given, weights, cell, **clip, state=before[direction])
                skipped = [h + x for h, x in zip(outputs, given, strict=True)] if index else outputs
                layers[direction] = skipped[::step]
        expected = np.concatenate([np.stack(layer) for layer in layers], axis=1)
        assert_layers_near(actual[-1:], expected[None])


def test_without_unk_an_unknown_word_begins_with_zeros(tmp_path: Path) -> None:
    encoder = WordFiles(tmp_path, ["<S>", "</S>", "cat"]).read_words()
    vectors, _ = run(encoder, [["dog", "cat"]])
    assert not vectors[0][0, 1].any() and vectors[0][0, 2].any() and vectors[0][1, 1].any()


def test_the_line_that_the_original_skips_has_no_row(word_files: WordFiles) -> None:
    expected = word_files.read_words()
    word_files.vocabulary_path.write_text("the\n!!!MAXTERMID\n" + "\n".join(WORDS[1:]))
    encoder = word_files.read_words()
    assert encoder.vocabulary.words == expected.vocabulary.words
    assert torch.equal(encoder.words.embedding, expected.words.embedding)


def test_a_written_model_of_words_is_the_same_model(word_files: WordFiles, tmp_path: Path) -> None:
    encoder = word_files.read_words()
    options_path, weights_path = tmp_path / "new.json", tmp_path / "new.hdf5"
    write_official(encoder, options_path, weights_path)
    encoder.vocabulary.save(tmp_path / "new.txt")
    again = read_official_words(options_path, weights_path, vocabulary=tmp_path / "new.txt")
    assert again.vocabulary.words == ["<S>", "</S>", "<UNK>", "the", "cat", "sat"]
    for name, parameter in encoder.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name]), name
    assert "char_cnn" not in json.loads(options_path.read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<S>\nthe\ncat\n", r"vocabulary.txt: no line </S>"),
        ("<S>\n</S>\nthe\nthe\n", r"vocabulary.txt:4: duplicate 'the'"),
        ("<S>\n\n</S>\n", r"vocabulary.txt:2: empty word"),
        ("", r"vocabulary.txt:1: empty word"),
        ("<S>\n</S>\nthe\n", r"embedding has shape \(6, 6\), but .*vocabulary.txt has 3 words"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(text: str, message: str, word_files: WordFiles) -> None:
    word_files.vocabulary_path.write_text(text)
    with pytest.raises(InputError, match=message):
        word_files.read_words()


def test_a_table_of_another_width_or_none_is_refused(word_files: WordFiles, tmp_path: Path) -> None:
    word_files.arrays["embedding"] = np.ones((6, 5), np.float32)
    word_files.save_weights()
    with pytest.raises(InputError, match=r"embedding has shape \(6, 5\), .* expect \(6, 6\)"):
        word_files.read_words()
    files = OfficialFiles(tmp_path / "characters", options_with({}, {}))
    with pytest.raises(InputError, match="a character model, which needs no vocabulary"):
        read_official_words(files.options_path, files.weights_path, vocabulary=word_files.vocabulary_path)
