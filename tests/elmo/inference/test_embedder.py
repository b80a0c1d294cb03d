"""`ElmoEmbedder` against the oracle and the original's vectors: layers, states, batches, streams, bad input.

Shape legend: L layers with the context-free one as layer 0, S sentences, W words, P projection.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import oracle
import pytest
import torch
from places import SHARED
from torch import nn

import elmo.inference.embedder
from elmo import ElmoEmbedder
from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.products import onednn_multiplies
from elmo.errors import InputError
from elmo.inference.word_cache import WordCache
from elmo.io.loading import load_bilm
from elmo.io.model_directory import save_model
from elmo.io.official import write_official

GOLDEN = SHARED / "golden" / "bilm_tf"
SIZES: dict[str, Any] = {
    "character_embedding_size": 4,
    "filters": [[1, 4], [2, 4], [3, 8]],
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 10,
    "projection_size": 6,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.1,
}
L, SIZE = 3, 12
OPTIONS = oracle.Options(activation="relu", cell_clip=3.0, projection_clip=3.0, skip_connected=True)
SENTENCES = [
    ["The", "cat", "sat", "on", "the", "mat", "."],
    ["One"],
    [],
    [f"w{index % 23}" for index in range(150)],
    ["z" * 47, "z" * 48, "z" * 49, "z" * 300, "é" * 24, "日" * 17, "ab" + "😀" * 12],
    ["😀", "naïve", "", "<S>", "</S>", "the", "the", "\x00"],
    ["The", "cat", "sat", "."],
]


def save_encoder(path: Path, sizes: dict[str, Any] = SIZES, *, seed: int = 0) -> CharCnnLstm:
    encoder = CharCnnLstm(**sizes)
    oracle.widen(encoder, std=0.5, seed=seed)
    config = {"encoder": {"type": "char_cnn_lstm", **sizes}}
    save_model(path, config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=None)
    return encoder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, oracle.Weights]:
    path = tmp_path_factory.mktemp("run") / "model"
    return path, oracle.official_weights(save_encoder(path))


@pytest.fixture(scope="module")
def expected(saved: tuple[Path, oracle.Weights]) -> list[np.ndarray]:
    """The oracle's vectors of each sentence, (L, words, 2 P), from a zero state."""
    return [oracle.encode(words, saved[1], OPTIONS)[0][:, 1:-1] for words in SENTENCES]


@pytest.fixture
def model(saved: tuple[Path, oracle.Weights]) -> Path:
    return saved[0]


@pytest.fixture
def embedder(model: Path) -> ElmoEmbedder:
    return ElmoEmbedder(model, device="cpu")


def assert_near(actual: np.ndarray, wanted: np.ndarray, *, tolerance: float = 1e-5) -> None:
    assert actual.shape == wanted.shape and actual.dtype == np.float32
    assert actual.flags.c_contiguous and actual.flags.writeable
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance)


def test_two_sentences_are_embedded_in_one_array(tmp_path: Path) -> None:
    save_encoder(tmp_path / "model_dir", SIZES | {"projection_size": 512, "cell_size": 520})
    vectors = ElmoEmbedder(tmp_path / "model_dir").embed_sentences(
        [["First", "sentence", "."], ["Another", "."]]
    )
    assert isinstance(vectors, np.ndarray) and vectors.shape == (2, 3, 1024)
    assert vectors[0].any(axis=1).all() and not vectors[1, 2].any()


def test_every_sentence_has_the_oracles_layers(embedder: ElmoEmbedder, expected: list[np.ndarray]) -> None:
    assert (embedder.num_layers, embedder.size) == (L, SIZE)
    for actual, wanted in zip(embedder.embed_batch(SENTENCES), expected, strict=True):
        assert_near(actual, wanted)
    assert_near(embedder.embed_sentence(tuple(SENTENCES[0])), expected[0])
    assert embedder.embed_sentence([]).shape == (L, 0, SIZE)
    assert embedder.embed_batch([]) == []


MIX = [0.25, -1.0, 2.0]
CHOICES: list[tuple[Any, Any]] = [
    ("all", lambda layers: layers),
    ("top", lambda layers: layers[-1]),
    ("average", lambda layers: layers.mean(axis=0)),
    (0, lambda layers: layers[0]),
    (np.int64(1), lambda layers: layers[1]),
    (MIX, lambda layers: np.tensordot(MIX, layers, axes=1)),
    (np.array(MIX), lambda layers: np.tensordot(MIX, layers, axes=1)),
    ([0, 0, 0], lambda layers: 0 * layers[0]),
]


@pytest.mark.parametrize(("layers", "choose"), CHOICES)
def test_the_wanted_layers_come_out(
    layers: Any, choose: Any, embedder: ElmoEmbedder, expected: list[np.ndarray]
) -> None:
    wanted = [choose(vectors) for vectors in expected]
    for actual, vectors in zip(embedder.stream(SENTENCES, layers=layers), wanted, strict=True):
        assert_near(actual, vectors)
    padded = np.zeros((len(wanted), *wanted[0].shape[:-2], 150, SIZE))
    for index, vectors in enumerate(wanted):
        padded[index, ..., : vectors.shape[-2], :] = vectors
    actual = embedder.embed_sentences(SENTENCES, layers=layers)
    assert isinstance(actual, np.ndarray)
    assert_near(actual, padded)


def test_no_sentences_give_an_empty_array(embedder: ElmoEmbedder) -> None:
    assert embedder.embed_sentences([]).shape == (0, 0, SIZE)
    assert embedder.embed_sentences([], layers="all").shape == (0, L, 0, SIZE)
    assert embedder.embed_sentences([[], []]).shape == (2, 0, SIZE)
    assert list(embedder.stream([])) == [] and next(embedder.stream([[]])).shape == (0, SIZE)


@pytest.mark.parametrize("tokens_per_batch", [1, 9, 64, 100_000])
@pytest.mark.parametrize("window_words", [1, 40, 50_000])
def test_a_vector_never_depends_on_its_neighbours(
    tokens_per_batch: int, window_words: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elmo.inference.embedder, "_WINDOW_WORDS", window_words)
    embedder = ElmoEmbedder(model, device="cpu", layers="all", tokens_per_batch=tokens_per_batch)
    alone = [ElmoEmbedder(model, device="cpu").embed_sentence(sentence) for sentence in SENTENCES]
    for seed in range(3):
        order = random.Random(seed).sample(range(len(SENTENCES)), len(SENTENCES))
        shuffled = [SENTENCES[index] for index in order]
        for index, actual in zip(order, embedder.stream(shuffled), strict=True):
            assert_near(actual, alone[index], tolerance=1e-6)
        for index, actual in zip(order, embedder.embed_batch(shuffled), strict=True):
            assert_near(actual, alone[index], tolerance=1e-6)


def test_forgotten_words_are_computed_again(model: Path) -> None:
    encoder = load_bilm(model).bilm
    weights = oracle.official_weights(encoder)
    vectors_of = WordCache(encoder, capacity=5, dtype=torch.float32)
    texts = [
        ["a", "b", "c"],
        ["c", "d", "e", "f"],
        [f"w{i}" for i in range(9)],
        ["w3", "b", "x" * 50, "x" * 60],
    ]
    for words in [*texts, *texts]:
        rows = [oracle.BEGIN_ROW, oracle.END_ROW, *map(oracle.character_row, words)]
        wanted = [oracle.word_vector(row, weights, "relu") for row in rows]
        np.testing.assert_allclose(vectors_of(words).numpy(), np.stack(wanted), rtol=0, atol=1e-5)


def test_a_line_of_a_megabyte_is_embedded_in_pieces(model: Path) -> None:
    embedder = ElmoEmbedder(model, device="cpu", tokens_per_batch=512)
    words = [["x" * 1_000_000], ["is", "was"] * 2_000, ["is"]]
    longest, long, short = (embedder.embed_sentences([sentence])[0] for sentence in words)
    assert longest.shape == (1, SIZE) and long.shape == (4_000, SIZE) and short.shape == (1, SIZE)
    assert_near(np.asarray(embedder.embed_sentences([["x" * 48]])[0]), np.asarray(longest))


def test_a_stream_reads_no_further_than_a_window(
    embedder: ElmoEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elmo.inference.embedder, "_WINDOW_WORDS", 30)
    read = 0

    def endless() -> Iterator[list[str]]:
        nonlocal read
        while True:
            read += 1
            yield ["The", "cat", "."]

    vectors = embedder.stream(endless())
    assert read == 0
    for _ in range(10):
        assert next(vectors).shape == (3, SIZE)
    assert read == 12  # two windows of 6 sentences, which have 5 tokens each


def test_a_kept_vector_does_not_keep_its_batch(embedder: ElmoEmbedder) -> None:
    assert next(embedder.stream(SENTENCES)).base is None


def test_calls_do_not_depend_on_calls_before(embedder: ElmoEmbedder, expected: list[np.ndarray]) -> None:
    for _ in range(2):
        assert_near(embedder.embed_sentence(SENTENCES[0]), expected[0])


def test_a_tensor_is_one_that_gradients_may_flow_from(embedder: ElmoEmbedder) -> None:
    tensor = embedder.embed_sentences(SENTENCES, as_torch=True)
    assert isinstance(tensor, torch.Tensor) and not tensor.requires_grad
    weight = torch.ones(SIZE, requires_grad=True)
    (tensor @ weight).sum().backward()
    torch.testing.assert_close(weight.grad, tensor.sum(dim=(0, 1)))


def test_a_classifier_takes_the_array_as_it_is(embedder: ElmoEmbedder) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    sentences = [["good", "film"], ["bad", "film"], ["good"], ["bad"]] * 5
    vectors = embedder.embed_sentences(sentences)
    features = np.asarray(vectors).reshape(len(sentences), -1)
    labels = ["good" in sentence for sentence in sentences]
    assert linear_model.LogisticRegression().fit(features, labels).score(features, labels) == 1


def test_bf16_becomes_fp32_on_a_cpu_without_it(
    model: Path,
    expected: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(elmo.inference.embedder, "onednn_multiplies", lambda dtype: dtype == torch.float32)
    embedder = ElmoEmbedder(model, device="cpu", precision="bf16")
    assert caplog.messages == ["precision: this CPU has no fast bfloat16 products; fp32 is used instead"]
    assert embedder.metadata["precision"] == "fp32"
    for vectors, wanted in zip(embedder.embed_batch(SENTENCES), expected, strict=True):
        assert_near(vectors, wanted)


def test_bf16_points_the_same_way(model: Path, expected: list[np.ndarray]) -> None:
    embedder = ElmoEmbedder(model, device="cpu", precision="bf16")
    for actual, wanted in zip(embedder.embed_batch(SENTENCES), expected, strict=True):
        assert actual.dtype == np.float32 and actual.shape == wanted.shape
        for layer, wanted_layer in zip(actual, wanted, strict=True):
            lengths = np.linalg.norm(layer) * np.linalg.norm(wanted_layer)
            assert not layer.size or (layer * wanted_layer).sum() / lengths > 0.999


@pytest.mark.skipif(
    not GOLDEN.exists(), reason="the tiny official model is not beside this checkout (shared/golden/bilm_tf)"
)
def test_carried_vectors_are_those_of_the_original_code() -> None:
    embedder = ElmoEmbedder(
        GOLDEN / "options.json", GOLDEN / "lm_weights.hdf5", layers="top", state="carried"
    )
    texts = [[line.split() for line in row] for row in golden_texts()]
    for number, batch in enumerate(zip(*texts, strict=True)):
        for row, vectors in enumerate(embedder.embed_batch(batch)):
            assert_near(vectors[-1], golden_vectors(row, number), tolerance=1e-6)
    for row, sentences in enumerate(texts):  # a stream is one row
        embedder.forget()
        for number, vectors in enumerate(embedder.stream(sentences)):
            assert_near(vectors, golden_vectors(row, number), tolerance=1e-6)


def golden_texts() -> list[list[str]]:
    texts: list[list[str]] = json.loads((GOLDEN / "lm_embeddings_sentences.json").read_text("utf-8"))
    return texts


def golden_vectors(row: int, number: int) -> np.ndarray:
    with h5py.File(GOLDEN / f"lm_embeddings_{row}.hdf5") as file:
        return np.concatenate(list(file[str(number)][()]), axis=1)


def test_each_row_goes_on_where_it_ended(saved: tuple[Path, oracle.Weights]) -> None:
    path, weights = saved
    embedder = ElmoEmbedder(path, device="cpu", state="carried", tokens_per_batch=16)
    batches: list[list[list[str]]] = [
        [["a", "b"], ["The", "cat", "sat"]],
        [["c"]],  # the second row waits
        [[], ["d", "e"], ["new", "row"]],  # the first has no words
        [["x"] * 30, ["f"], []],
    ]
    states: dict[int, Any] = {}
    for batch in batches:
        padded = embedder.embed_sentences(batch, layers="all") if batch is batches[-1] else None
        vectors = embedder.embed_batch(batch) if padded is None else list(padded)
        for row, words in enumerate(batch):
            if words:
                wanted, states[row] = oracle.encode(words, weights, OPTIONS, states.get(row))
                assert_near(np.ascontiguousarray(vectors[row][:, : len(words)]), wanted[:, 1:-1])
    embedder.forget()
    assert_near(embedder.embed_sentence(["a"]), oracle.encode(["a"], weights, OPTIONS)[0][:, 1:-1])


def mean_states(weights: oracle.Weights, sentences: Sequence[Sequence[str]]) -> Any:
    """The mean of the states that the oracle ends with, for each layer and direction."""
    ends = [oracle.encode(words, weights, OPTIONS)[1] for words in sentences]
    return [
        [
            tuple(np.mean([end[layer][direction][part] for end in ends], axis=0) for part in (0, 1))
            for direction in (0, 1)
        ]
        for layer in range(L - 1)
    ]


def test_a_warm_state_is_measured_saved_and_loaded_again(tmp_path: Path) -> None:
    weights = oracle.official_weights(save_encoder(tmp_path / "model"))
    embedder = ElmoEmbedder(tmp_path / "model", device="cpu", state="warm")
    assert "warm_up_sentences" not in embedder.metadata
    with pytest.raises(InputError, match=r"no warm state at .*warm_state.safetensors; call warm_up"):
        embedder.embed_batch(SENTENCES)
    with pytest.raises(InputError, match="no sentence with words to warm up with"):
        embedder.warm_up([[], []])

    texts = [sentence for sentence in SENTENCES if sentence]
    embedder.warm_up(SENTENCES, saved=True)
    again = ElmoEmbedder(tmp_path / "model", device="cpu", state="warm")
    states = mean_states(weights, texts)
    for words in texts:
        wanted = oracle.encode(words, weights, OPTIONS, states)[0][:, 1:-1]
        assert_near(embedder.embed_sentence(words), wanted)
    for used in (embedder, again):
        assert used.metadata["state"] == "warm" and used.metadata["warm_up_sentences"] == len(texts)
    for ours, theirs in zip(embedder.embed_batch(texts), again.embed_batch(texts), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    save_encoder(tmp_path / "other", seed=1)
    (tmp_path / "model" / "warm_state.safetensors").rename(tmp_path / "other" / "warm_state.safetensors")
    with pytest.raises(InputError, match=r"warm_state.safetensors: the warm state of another model"):
        ElmoEmbedder(tmp_path / "other", state="warm")
    (tmp_path / "other" / "warm_state.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"warm_state.safetensors: damaged"):
        ElmoEmbedder(tmp_path / "other", state="warm")
    with pytest.raises(InputError, match="warm_up is for an embedder with state='warm', this has 'auto'"):
        ElmoEmbedder(tmp_path / "other").warm_up(SENTENCES)


def test_metadata_tell_all_and_are_plain_values(model: Path, tmp_path: Path) -> None:
    metadata = ElmoEmbedder(model, layers=np.array(MIX), state="carried", precision="bf16").metadata
    assert json.loads(json.dumps(metadata)) == metadata
    precision = "bf16" if onednn_multiplies(torch.bfloat16) else "fp32"
    given = {"model": str(model), "layers": MIX, "state": "carried", "precision": precision}
    assert {key: metadata[key] for key in given} == given
    assert metadata["versions"]["torch"] == torch.__version__

    files = tmp_path / "options.json", tmp_path / "weights.hdf5"
    write_official(load_bilm(model).bilm, *files)
    assert ElmoEmbedder(*files).metadata["fingerprint"] == metadata["fingerprint"]
    save_encoder(tmp_path / "other", seed=1)
    assert ElmoEmbedder(tmp_path / "other").metadata["fingerprint"] != metadata["fingerprint"]


def test_a_model_of_whole_words_is_embedded(tmp_path: Path) -> None:
    from elmo.bilm.word_lstm import WordLstm
    from elmo.text.vocabulary import Vocabulary

    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "the", "cat"])
    names = ("cell_size", "projection_size", "num_layers", "cell_clip", "projection_clip", "skip_connected")
    sizes = {name: SIZES[name] for name in names}
    encoder = WordLstm(vocabulary=vocabulary, **sizes)
    oracle.widen(encoder, std=0.5)
    config = {"encoder": {"type": "word_lstm", **sizes}}
    save_model(
        tmp_path / "model", config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=vocabulary
    )
    layers = ElmoEmbedder(tmp_path / "model").embed_sentence(["the", "dog", "cat", "<S>"])
    table = encoder.words.embedding.detach().numpy()[[3, 2, 4, 2]]
    np.testing.assert_array_equal(layers[0], np.concatenate([table, table], axis=1))


def test_a_file_becomes_allennlps_hdf5(embedder: ElmoEmbedder, tmp_path: Path) -> None:
    lines = ["The cat sat .", "  One  ", "", "日本語 😀", "One"]
    (tmp_path / "text.txt").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    embedder.embed_file(tmp_path / "text.txt", tmp_path / "new" / "vectors.h5")
    with h5py.File(tmp_path / "new" / "vectors.h5") as file:
        assert set(file) == {"0", "1", "2", "3", "4", "sentence_to_index"}
        for number, line in enumerate(lines):
            assert file[str(number)].dtype == np.float32
            assert_near(file[str(number)][()], embedder.embed_sentence(line.split()), tolerance=1e-6)
        numbers = json.loads(file["sentence_to_index"][0])
        assert numbers == {"The cat sat .": "0", "": "2", "日本語 😀": "3", "One": "4"}
        assert json.loads(file.attrs["metadata"]) == {**embedder.metadata, "layers": "all"}
    embedder.embed_file(tmp_path / "text.txt", tmp_path / "top.h5", layers="top", sentences_stored=False)
    with h5py.File(tmp_path / "top.h5") as file:
        assert file["0"].shape == (4, SIZE) and "sentence_to_index" not in file


def test_a_file_that_cannot_be_embedded_leaves_earlier_output(embedder: ElmoEmbedder, tmp_path: Path) -> None:
    text, output = tmp_path / "text.txt", tmp_path / "vectors.h5"
    output.write_bytes(b"earlier")
    text.write_bytes(b"fine\ncaf\xe9 .\n")
    with pytest.raises(InputError, match=r"text.txt:2: invalid UTF-8 \(0xe9\)"):
        embedder.embed_file(text, output)
    with pytest.raises(InputError, match=r"gone.txt: cannot be read \(No such file"):
        embedder.embed_file(tmp_path / "gone.txt", output)
    text.write_text("The cat sat .\n" * 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(InputError, match="no space left to write it"):
            embedder.embed_file(text, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with pytest.raises(InputError, match="cannot be written"):
        embedder.embed_file(text, text / "vectors.h5")
    assert output.read_bytes() == b"earlier" and len(list(tmp_path.iterdir())) == 2


NO_SENTENCES: list[tuple[Any, str]] = [
    ("The cat sat .", "sentences: expected a sequence of sentences"),
    (None, "sentences: expected a sequence of sentences, each a sequence of words, got None (NoneType)"),
    (7, "sentences: expected a sequence of sentences"),
    (
        [["fine"], "The cat sat ."],
        "sentences[1]: expected a sequence of words, got the string 'The cat sat .'",
    ),
    ([["fine"], None], "sentences[1]: expected a sequence of words, got None (NoneType)"),
    ([["fine"], {"a", "b"}], "sentences[1]: expected a sequence of words, got {"),
    ([["fine"], ["a", None]], "sentences[1][1]: expected a word (str), got None (NoneType)"),
    ([["fine"], ["a", b"b"]], "sentences[1][1]: expected a word (str), got b'b' (bytes)"),
    ([["fine"], [["a"]]], "sentences[1][0]: expected a word (str), got ['a'] (list)"),
]


@pytest.mark.parametrize(("sentences", "message"), NO_SENTENCES)
def test_what_is_no_sentence_is_named_in_one_line(
    sentences: Any, message: str, embedder: ElmoEmbedder
) -> None:
    for call in (embedder.embed_batch, embedder.embed_sentences, lambda s: list(embedder.stream(s))):
        with pytest.raises(InputError) as error:
            call(sentences)
        assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_string_is_no_sentence(embedder: ElmoEmbedder) -> None:
    with pytest.raises(
        InputError, match=r"^sentence: expected a sequence of words, got the string 'The cat'"
    ):
        embedder.embed_sentence("The cat")
    with pytest.raises(InputError, match=r"^sentence: expected a sequence of words, got None"):
        embedder.embed_sentence(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "last"}, "layers: expected all, top, average, 0..2 or 3 weights, got 'last'"),
        ({"layers": 3}, "got 3"),
        ({"layers": -1}, "got -1"),
        ({"layers": True}, "got True"),
        ({"layers": [1, 2]}, "got [1, 2]"),
        ({"layers": [1, 2, float("nan")]}, "got [1, 2, nan]"),
        ({"layers": None}, "layers: expected"),
        ({"state": "warmed"}, "state: unknown 'warmed'; nearest: warm"),
        ({"precision": "fp16"}, "precision: unknown 'fp16'; nearest: "),
        ({"device": "gpu"}, "device: expected auto, cpu, cuda, cuda:<number> or mps, got 'gpu'"),
        ({"device": "cuda:99"}, "device: cuda:99 is not available here; use auto or cpu"),
        ({"tokens_per_batch": 0}, "tokens_per_batch: expected at least 1, got 0"),
        ({"num_threads": 0}, "num_threads: expected at least 1, got 0"),
        ({"model": "no-such-model"}, "no-such-model: no such directory and no published model; "),
        ({"model": None}, "model: expected a path or the name of a published model, got None"),
        ({"model": __file__}, "a file; give a model's directory, or options.json and weights together"),
        ({"model": Path(__file__).parent}, "no model here (no config.json)"),
        ({"model": "gone.json", "weights": "gone.hdf5"}, "gone.json: cannot be read (No such file"),
    ],
)
def test_an_embedder_that_cannot_be_is_refused_in_one_line(
    arguments: dict[str, Any], message: str, model: Path
) -> None:
    with pytest.raises(InputError) as error:
        ElmoEmbedder(**{"model": model, **arguments})
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_library_is_imported_when_it_is_used() -> None:
    program = """
import sys
import elmo, elmo.text.tokenizers.words
assert "torch" not in sys.modules
from elmo import Elmo, ElmoEmbedder, ScalarMix
loaded = {"hydra", "omegaconf", "wandb", "datasets", "tasks", "experiments"} & set(sys.modules)
assert not loaded, loaded
assert set(elmo.__all__) <= set(dir(elmo))
try:
    elmo.Nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "module 'elmo' has no attribute 'Nothing'\n" and not done.stderr
