"""Encoders of words: what each gives for sentences, alone and as parts, before and after it was saved.

Shape legend: L layers, S sentences, T words of the longest one, P size of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from torch import Tensor, nn

from elmo import ElmoEmbedder
from elmo.bilm.bilm import BiLm, build_bilm
from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.errors import InputError
from elmo.io.model_directory import save_model
from elmo.io.official import write_official
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary
from tasks.encoders.char_cnn import CharCnnEncoder
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.glove import GloveEncoder
from tasks.encoders.parts import (
    build_parts,
    check_parts,
    initialize_parts,
    restore_words,
    saved_node,
    word_lists,
)
from tasks.encoders.token_encoder import TokenEncoder
from tasks.encoders.word import WordEncoder

LSTM_SIZES: dict[str, Any] = {
    "cell_size": 10,
    "projection_size": 6,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
}
BILM_NODE: dict[str, Any] = {
    "type": "char_cnn_lstm",
    "character_embedding_size": 4,
    "filters": [[1, 4], [2, 4], [3, 8]],
    "num_highways": 1,
    "activation": "tanh",
    **LSTM_SIZES,
    "dropout": 0.5,  # that it stays off is easily seen
}
REGISTRY.discover("tasks.encoders")

SENTENCES = [["The", "cat", "sat"], [], ["the"], ["dogs", "naïve", "the", "Cat", "😀" * 99]]
COUNTS = {"the": 5, "The": 2, "cat": 3, "sat": 2, "dogs": 1, "naïve": 2}
TABLE = "the 1 2\ncat 3 4\nCat 5 6\nsat 7 8\nbird 9 10\n"


@pytest.fixture
def table_path(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(TABLE)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The directory of a biLM with wide weights."""
    bilm = build_bilm(BILM_NODE)
    oracle.widen(bilm, std=0.5)
    parts = nn.ModuleDict({"encoder": bilm})
    save_model(tmp_path / "model", config={"encoder": BILM_NODE}, model=parts)
    return tmp_path / "model"


def node_of(kind: str, table_path: Path) -> dict[str, Any]:
    glove = {"type": "glove", "path": str(table_path)}
    nodes: dict[str, dict[str, Any]] = {
        "word": {"type": "word", "size": 5},
        "glove": glove,
        "trained glove": {**glove, "trainable": True},
        "char_cnn": {"type": "char_cnn", "filters": [[1, 4], [3, 8]], "projection_size": 6},
        "biLM": BILM_NODE,
        "elmo": {"type": "elmo"},
        "concat": {"type": "concat", "parts": {"fixed": glove, "elmo": {"type": "elmo"}}},
    }
    return nodes[kind]


KINDS = ["word", "glove", "trained glove", "char_cnn", "biLM", "elmo", "concat"]


def built(kind: str, table_path: Path, model: Path) -> dict[str, TokenEncoder]:
    """The parts of an encoder as a training has them when its first batch comes."""
    torch.manual_seed(0)
    parts = build_parts(node_of(kind, table_path))
    if kind in ("elmo", "concat"):
        initialize_parts(parts, model)
    check_parts(parts)
    for part in parts.values():
        part.learn_words(COUNTS)
    return parts


@pytest.mark.parametrize("kind", KINDS)
def test_a_words_vectors_are_those_of_its_sentence_alone(kind: str, table_path: Path, model: Path) -> None:
    for part in built(kind, table_path, model).values():
        vectors = part(SENTENCES)
        assert vectors.shape == (part.num_layers, 4, 5, part.size) and vectors.dtype == torch.float32
        for row, sentence in enumerate(SENTENCES):
            assert not vectors[:, row, len(sentence) :].any()
            alone = part([sentence])
            assert alone.shape == (part.num_layers, 1, len(sentence), part.size)
            torch.testing.assert_close(vectors[:, row : row + 1, : len(sentence)], alone)
        order = [3, 0, 2, 1]
        permuted = part([SENTENCES[row] for row in order])
        torch.testing.assert_close(permuted, vectors[:, order])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sentences", "shape"), [([], (0, 0)), ([[]], (1, 0)), ([[], []], (2, 0))])
def test_nothing_gives_nothing(
    kind: str, sentences: list[list[str]], shape: tuple[int, int], table_path: Path, model: Path
) -> None:
    for part in built(kind, table_path, model).values():
        for trained in (True, False):
            part.requires_grad_(trained)
            assert part(sentences).shape == (part.num_layers, *shape, part.size)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_contextual_encoder_looks_at_other_words(kind: str, table_path: Path, model: Path) -> None:
    for part in built(kind, table_path, model).values():
        first, second = (part([[word, "cat"]])[:, 0, 1] for word in ("the", "sat"))
        assert torch.equal(first[0], second[0])
        assert torch.equal(first, second) != part.is_contextual


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_what_comes_back(kind: str, table_path: Path, model: Path) -> None:
    node = node_of(kind, table_path)
    parts = built(kind, table_path, model)
    weights = nn.ModuleDict(parts).state_dict()
    table_path.unlink()
    for file in model.iterdir():
        file.unlink()

    restored = build_parts(saved_node(parts, node))
    restore_words(restored, word_lists(parts))
    nn.ModuleDict(restored).load_state_dict(weights)
    assert restored.keys() == parts.keys()
    assert saved_node(restored, saved_node(parts, node)) == saved_node(parts, node)
    for name, part in parts.items():
        assert torch.equal(restored[name](SENTENCES), part(SENTENCES))


@pytest.mark.parametrize("kind", ["word", "trained glove", "char_cnn", "biLM", "elmo"])
def test_every_parameter_has_a_gradient(kind: str, table_path: Path, model: Path) -> None:
    (part,) = built(kind, table_path, model).values()
    part.train()(SENTENCES).square().sum().backward()
    for name, parameter in part.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_a_fixed_table_has_nothing_to_train(table_path: Path, model: Path) -> None:
    parts = built("glove", table_path, model)
    assert not any(p.requires_grad for p in nn.ModuleDict(parts).parameters())


def test_learned_words_are_by_count_then_by_alphabet() -> None:
    encoder = WordEncoder(size=3, min_count=2)
    encoder.learn_words(COUNTS)
    assert encoder.word_lists() == {"words": ["the", "cat", "The", "naïve", "sat"]}
    assert encoder.vectors.shape == (6, 3)
    vectors = encoder([["dogs", "unheard", "cat", "Sat"]])[0, 0]
    for row, place in enumerate([0, 0, 2, 0]):
        assert torch.equal(vectors[row], encoder.vectors[place])


def test_words_that_differ_in_case_alone_can_be_one() -> None:
    encoder = WordEncoder(size=3, min_count=7, lowercased=True)
    encoder.learn_words(COUNTS)
    assert encoder.word_lists() == {"words": ["the"]}
    assert torch.equal(*encoder([["THE", "the"]])[0, 0])


def test_rare_words_train_the_vector_of_unknown_ones() -> None:
    encoder = WordEncoder(size=3, min_count=2)
    encoder.learn_words(COUNTS)
    encoder([["dogs", "cat"]]).sum().backward()
    assert encoder.vectors.grad is not None
    assert encoder.vectors.grad.tolist() == [[1.0] * 3, [0.0] * 3, [1.0] * 3, *[[0.0] * 3] * 3]


@pytest.mark.parametrize("trainable", [False, True])
def test_a_table_gives_each_word_its_line(trainable: bool, table_path: Path) -> None:
    encoder = GloveEncoder(path=table_path, trainable=trainable)
    encoder.learn_words(COUNTS)
    assert encoder.size == 2
    vectors = encoder([["The", "Cat", "CAT", "dog", "bird", "sat"]])
    assert vectors.tolist() == [[[[1, 2], [5, 6], [3, 4], [0, 0], [9, 10], [7, 8]]]]


def test_only_words_of_the_training_text_are_trained(table_path: Path) -> None:
    encoder = GloveEncoder(path=table_path, trainable=True)
    encoder.learn_words(COUNTS)
    assert encoder.word_lists() == {"trained": ["the", "cat", "sat"], "fixed": ["Cat", "bird"]}
    encoder([["the", "bird", "unheard", "the"]]).sum().backward()
    assert encoder.trained.grad is not None
    assert encoder.trained.grad.tolist() == [[2.0, 2.0], [0.0, 0.0], [0.0, 0.0]]


def test_fewer_lines_of_a_table_can_be_used(table_path: Path) -> None:
    encoder = GloveEncoder(path=table_path, max_words=2)
    encoder.learn_words(COUNTS)
    assert encoder.word_lists() == {"trained": [], "fixed": ["the", "cat"]}


def test_a_size_that_the_table_lacks_is_refused(table_path: Path) -> None:
    with pytest.raises(InputError, match=r"^encoder.size: expected null or 2, as the table has, got 50$"):
        GloveEncoder(path=table_path, size=50).learn_words({})


def test_characters_alone_decide_a_vector() -> None:
    encoder = CharCnnEncoder()
    vectors = encoder([["a" * 48 + "b", "b", "a" * 60, "b"]])[0, 0]
    assert vectors.shape == (4, 128)
    assert torch.equal(vectors[0], vectors[2]) and torch.equal(vectors[1], vectors[3])
    assert not torch.equal(vectors[0], vectors[1])


def test_a_bilms_layers_are_those_of_the_embedder(model: Path) -> None:
    encoder = ElmoEncoder()
    initialize_parts({"elmo": encoder}, model)
    assert (encoder.num_layers, encoder.size) == (3, 12)
    wanted = ElmoEmbedder(model, device="cpu").embed_sentences(SENTENCES, layers="all")
    for trained in (True, False):  # the second time by the fast way
        actual = encoder.requires_grad_(trained).train()(SENTENCES)
        assert actual.requires_grad == trained
        difference = np.abs(actual.detach().numpy() - np.asarray(wanted).swapaxes(0, 1))
        assert difference.max() < 1e-5


def test_the_fast_way_follows_changed_weights(model: Path) -> None:
    encoder = ElmoEncoder()
    initialize_parts({"elmo": encoder}, model)
    encoder.requires_grad_(False)
    before = encoder(SENTENCES)
    kernel = encoder.get_parameter("bilm.context.layers.1.kernel")
    with torch.no_grad():
        kernel.mul_(0.5)
    after = encoder(SENTENCES)
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, encoder.requires_grad_(True)(SENTENCES).detach())


def test_a_bilms_parameters_come_in_layers(model: Path) -> None:
    encoder = ElmoEncoder()
    initialize_parts({"elmo": encoder}, model)
    groups = encoder.layer_groups()
    assert sorted(name for group in groups for name in group) == sorted(
        name for name, _ in encoder.named_parameters()
    )
    beginnings = ("bilm.words.", "bilm.context.layers.0.", "bilm.context.layers.1.")
    for group, beginning in zip(groups, beginnings, strict=True):
        assert group and all(name.startswith(beginning) for name in group)


def word_bilm() -> BiLm:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "the", "cat"])
    bilm = build_bilm({"type": "word_lstm", **LSTM_SIZES}, vocabulary=vocabulary)
    oracle.widen(bilm, std=0.5)
    return bilm


def test_a_bilm_of_whole_words_is_saved_with_its_words() -> None:
    parts: dict[str, TokenEncoder] = {"elmo": ElmoEncoder()}
    bilm = word_bilm()
    encoder = parts["elmo"]
    assert isinstance(encoder, ElmoEncoder)
    encoder.take(bilm)
    assert encoder.layer_groups()[0] == ["bilm.words.embedding"]
    node = saved_node(parts, {"type": "elmo"})
    assert node == {"type": "word_lstm", **LSTM_SIZES}

    restored = build_parts(node)
    restore_words(restored, word_lists(parts))
    nn.ModuleDict(restored).load_state_dict(nn.ModuleDict(parts).state_dict())
    assert torch.equal(restored["elmo"](SENTENCES), encoder(SENTENCES))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("changed", [{}, {"cell_size": 6}, {"cell_clip": None, "projection_clip": None}])
def test_a_bilms_node_builds_its_like(activation: str, changed: Mapping[str, Any]) -> None:
    bilm = build_bilm({**BILM_NODE, "activation": activation, **changed})
    again = build_bilm(bilm.node)
    assert again.node == bilm.node
    again.load_state_dict(bilm.state_dict())
    torch.testing.assert_close(run(again), run(bilm))


def run(bilm: CharCnnLstm) -> Tensor:
    encoder = ElmoEncoder()
    encoder.take(bilm)
    vectors: Tensor = encoder(SENTENCES)
    return vectors.detach()


def test_official_files_in_a_directory_are_found(model: Path, tmp_path: Path) -> None:
    encoder = ElmoEncoder()
    initialize_parts({"elmo": encoder}, model)
    assert isinstance(encoder.bilm, CharCnnLstm)
    official = tmp_path / "official"
    official.mkdir()
    write_official(encoder.bilm, official / "tiny_options.json", official / "tiny_weights.hdf5")
    again = ElmoEncoder()
    initialize_parts({"elmo": again}, official)
    assert torch.equal(again(SENTENCES), encoder(SENTENCES))

    (official / "other_weights.hdf5").touch()
    with pytest.raises(
        InputError, match=r"expected one .*, found tiny_options.json, other_weights.hdf5, tin"
    ):
        initialize_parts({"elmo": ElmoEncoder()}, official)


def test_sizes_that_the_model_lacks_are_named(model: Path) -> None:
    for changed, message in (
        ({"cell_size": 11}, "cell_size: 11, but init_from has 10; with encoder=elmo it is the model's own"),
        ({"filters": [[1, 8], [2, 8]]}, "filters: .*, but init_from has .*"),
    ):
        parts = build_parts({**BILM_NODE, **changed})
        with pytest.raises(InputError, match=rf"^encoder.{message}$"):
            initialize_parts(parts, model)
    parts = build_parts(BILM_NODE | {"dropout": 0.0})
    initialize_parts(parts, model)


def test_a_bilm_that_came_from_nowhere_is_missed() -> None:
    with pytest.raises(
        InputError, match=r"^encoder.type: elmo takes its sizes and weights from .* init_from=RUN"
    ):
        check_parts(build_parts({"type": "elmo"}))
    with pytest.raises(InputError, match=r"^init_from: no biLM in the encoder"):
        initialize_parts(build_parts({"type": "word"}), "anything")


WORD, ELMO = {"type": "word"}, {"type": "elmo"}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"type": "gloev"}, "encoder.type: unknown encoder 'gloev'; nearest: glove"),
        ({"type": "word", "size": 0}, "encoder.size: expected at least 1, got 0"),
        ({"type": "glove", "max_words": 0}, "encoder.max_words: expected at least 1 or null, got 0"),
        ({"type": "char_cnn", "filters": []}, "encoder.filters: expected a list of 1 to 100 items, got []"),
        ({"type": "concat", "parts": {}}, "encoder.parts: expected at least two, got none"),
        ({"type": "concat", "parts": {"a": WORD}}, "encoder.parts: expected at least two, got a"),
        ({"type": "concat", "parts": {"a.b": WORD, "c": WORD}}, "encoder.parts.a.b: expected another name"),
        ({"type": "concat", "parts": {"keys": WORD, "c": WORD}}, "encoder.parts.keys: expected another name"),
        (
            {"type": "concat", "parts": {"a": ELMO, "b": BILM_NODE}},
            "encoder.parts.b: a second biLM besides a; at most one is possible",
        ),
        (
            {
                "type": "concat",
                "parts": {"a": WORD, "b": {"type": "concat", "parts": {"c": WORD, "d": WORD}}},
            },
            "encoder.parts.b.type: concat cannot be a task's encoder or a part of one",
        ),
        (
            {
                "type": "concat",
                "parts": {
                    "a": {"type": "word", "size": "x", "colour": 1},
                    "b": {"type": "char_cnn", "projection_size": 0},
                    "c": None,
                },
            },
            "encoder.parts.a.size: expected int, got 'x' (str)\n"
            "encoder.parts.a.colour: unknown key; one of: lowercased, min_count, size\n"
            "encoder.parts.b.projection_size: expected at least 1, got 0\n"
            "encoder.parts.c: expected a mapping with `type`, got None",
        ),
    ],
)
def test_all_faults_of_a_config_are_named_with_their_keys(node: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        build_parts(node)
    assert str(error.value).startswith(message)
    assert str(error.value).count("\n") == message.count("\n")


def test_what_the_parts_lack_is_named_together(tmp_path: Path) -> None:
    glove = {"type": "glove", "path": str(tmp_path / "none.txt")}
    parts = build_parts({"type": "concat", "parts": {"g": glove, "e": ELMO}})
    with pytest.raises(InputError) as error:
        check_parts(parts)
    first, second = str(error.value).split("\n")
    assert first.startswith(f"encoder.parts.g.path: {tmp_path / 'none.txt'}: cannot be read")
    assert second.startswith("encoder.parts.e.type: elmo takes its sizes")


def test_a_text_of_rare_words_alone_is_refused() -> None:
    with pytest.raises(InputError, match=r"^encoder.min_count: no word .* occurs 9 times or more$"):
        WordEncoder(min_count=9).learn_words(COUNTS)
