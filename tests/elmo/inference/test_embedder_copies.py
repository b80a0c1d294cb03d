"""`ElmoEmbedder` as other libraries use it: pickled, copied, cloned, hashed; its progress bar."""

from __future__ import annotations

import copy
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from torch import nn

import elmo
from elmo import ElmoEmbedder
from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.errors import InputError
from elmo.io.model_directory import save_model

SIZES: dict[str, Any] = {
    "character_embedding_size": 4,
    "filters": [[1, 4], [2, 4]],
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
SENTENCES = [["The", "cat", "sat", "."], ["One"], [], ["naïve", "😀", "the"]]
COPIES: list[Callable[[ElmoEmbedder], ElmoEmbedder]] = [
    lambda embedder: pickle.loads(pickle.dumps(embedder)),
    copy.deepcopy,
    copy.copy,
]


def save(path: Path, *, seed: int = 0) -> Path:
    encoder = CharCnnLstm(**SIZES)
    oracle.widen(encoder, std=0.5, seed=seed)
    config = {"encoder": {"type": "char_cnn_lstm", **SIZES}}
    save_model(path, config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=None)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("run") / "model")


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "deepcopy", "copy"])
@pytest.mark.parametrize("state", ["auto", "zero", "carried", "warm"])
def test_a_copy_gives_the_vectors_that_the_embedder_would_give_next(
    model: Path, state: str, copied: Callable[[ElmoEmbedder], ElmoEmbedder]
) -> None:
    embedder = ElmoEmbedder(model, layers="top", state=state)
    if state == "warm":
        embedder.warm_up(SENTENCES)
    embedder.embed_sentences(SENTENCES[:2])
    other = copied(embedder)
    expected = embedder.embed_sentences(SENTENCES)
    np.testing.assert_array_equal(other.embed_sentences(SENTENCES), expected)
    assert other.metadata["layers"] == "top"


def test_an_embedder_without_its_warm_state_is_copied_without_it(model: Path) -> None:
    with pytest.raises(InputError, match="call warm_up"):
        copy.copy(ElmoEmbedder(model, state="warm")).embed_sentences(SENTENCES)


def test_a_copy_is_read_in_another_working_directory(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    embedder = ElmoEmbedder("model", layers="top")
    vectors, pickled = embedder.embed_sentences(SENTENCES), pickle.dumps(embedder)
    assert len(pickled) < 1000  # where the weights lie, not the weights
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(pickle.loads(pickled).embed_sentences(SENTENCES), vectors)


def test_a_model_that_has_changed_since_is_not_taken_for_the_same(tmp_path: Path) -> None:
    embedder = ElmoEmbedder(save(tmp_path / "model"))
    shutil.rmtree(tmp_path / "model")
    save(tmp_path / "model", seed=1)
    with pytest.raises(InputError, match=r"model: has changed since"):
        copy.deepcopy(embedder)


def test_parameters_are_those_that_the_constructor_was_given(model: Path) -> None:
    weights = (0.2, 0.3, 0.5)
    embedder = ElmoEmbedder(model, layers=weights, tokens_per_batch=7)
    assert embedder.get_params()["model"] is model
    assert embedder.get_params()["layers"] is weights
    changed = embedder.set_params(layers="all", tokens_per_batch=9)
    assert changed is embedder
    assert changed.embed_sentences(SENTENCES).shape == (4, 3, 4, 12)
    assert changed.get_params()["tokens_per_batch"] == 9
    with pytest.raises(InputError, match=r"set_params: unknown 'layer'; nearest: layers"):
        embedder.set_params(layer="top")


def test_scikit_learn_clones_it_alone_and_within_a_pipeline(model: Path) -> None:
    base = pytest.importorskip("sklearn.base")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    embedder = ElmoEmbedder(model, layers="top")
    clone = base.clone(embedder)
    assert clone is not embedder
    vectors = embedder.embed_sentences(SENTENCES)
    np.testing.assert_array_equal(clone.embed_sentences(SENTENCES), vectors)
    steps = pipeline.make_pipeline(preprocessing.FunctionTransformer(embedder.embed_sentences))
    np.testing.assert_array_equal(base.clone(steps).fit_transform(SENTENCES), vectors)


def test_datasets_hashes_it_by_what_decides_its_vectors(model: Path, tmp_path: Path) -> None:
    hash_of = pytest.importorskip("datasets.fingerprint").Hasher.hash
    embedder = ElmoEmbedder(model)

    def embed(row: dict[str, Any]) -> dict[str, Any]:
        return {"vectors": embedder.embed_sentences([row["words"]])}

    before = hash_of(embedder), hash_of(embed)
    embedder.embed_sentences(SENTENCES)
    assert (hash_of(embedder), hash_of(embed)) == before
    assert hash_of(ElmoEmbedder(str(model))) == before[0]
    assert hash_of(ElmoEmbedder(model, layers="top")) != before[0]
    other = save(tmp_path / "other", seed=1)
    assert hash_of(ElmoEmbedder(other)) != before[0]


def test_a_progress_bar_is_shown_on_request_and_changes_nothing(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedder = ElmoEmbedder(model)
    silent = embedder.embed_sentences(SENTENCES)
    assert capsys.readouterr() == ("", "")
    np.testing.assert_array_equal(embedder.embed_sentences(SENTENCES, progress=True), silent)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"(\rembedding [█░]{20} \d of 8 words, .*s left )+\n", err)
    assert err.splitlines()[-1].startswith("embedding ████████████████████ 8 of 8 words")


def test_it_is_shown_by_its_arguments_and_sizes(model: Path) -> None:
    shown = repr(ElmoEmbedder(str(model), layers="top", num_threads=1))
    assert shown == (
        f"ElmoEmbedder(model={str(model)!r}, layers='top', state='auto', device='auto', precision='fp32',"
        " tokens_per_batch=4096, num_threads=1), 3 layers of size 12"
    )


def test_the_package_names_its_version_and_its_functions() -> None:
    assert elmo.__version__.count(".") == 2
    assert elmo.batch_to_ids([["a", "b"], ["c"]]).shape == (2, 2, 50)
    assert set(elmo.__all__) <= set(dir(elmo))
