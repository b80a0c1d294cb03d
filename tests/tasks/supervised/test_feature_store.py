"""Stored vectors are those of the encoder; nothing half-written, damaged or of other words is ever read.

Shape legend: L layers, S sentences, W words of the longest one, P size of a vector.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from places import ROOT
from torch import Tensor, nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.errors import InputError
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.token_encoder import TokenEncoder
from tasks.supervised import feature_store
from tasks.supervised.feature_store import FeatureCache, FeatureStore
from tasks.supervised.representation import Representation, Window, WindowBatch

TEXTS: list[Window] = [
    [["the", "cat", "sat"], ["it", "slept"]],
    [],
    [["a"], [], ["b", "c", "d", "e"]],
    [["the"]],
]
NUM_WORDS, NUM_BYTES = 11, 128 + 11 * 2 * 2 * 4  # a header, then words x layers x size x float32


class Spelling(TokenEncoder):
    """Layer 0 is a word's length and its first character, layer 1 that times `factor` times its place."""

    num_layers, size, is_contextual = 2, 2, True

    def __init__(self, *, factor: float = 3.0, clip: float | None = None) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor), requires_grad=False)
        self.clip = clip
        self._calls: list[int] = []

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self._calls.append(len(sentences))
        lower_SWP = torch.zeros(len(sentences), max(map(len, sentences)), 2)
        for rows, sentence in zip(lower_SWP, sentences, strict=True):
            rows[: len(sentence)] = torch.tensor([[float(len(word)), ord(word[0])] for word in sentence])
        places_W1 = torch.arange(1, lower_SWP.shape[1] + 1)[:, None]
        return torch.stack([lower_SWP, self.factor * places_W1 * lower_SWP])


def expected(texts: Sequence[Window] = TEXTS) -> list[list[list[float]]]:
    """(words, layers, size), worked out word by word."""
    return [
        [[len(word), ord(word[0])], [3 * place * len(word), 3 * place * ord(word[0])]]
        for text in texts
        for sentence in text
        for place, word in enumerate(sentence, start=1)
    ]


class Cached(NamedTuple):
    cache: FeatureCache
    reports: list[tuple[int, int, float | None]]
    notices: list[str]


def make(path: Path, *, max_gigabytes: float = 1.0, dtype: str = "float32") -> Cached:
    reports: list[tuple[int, int, float | None]] = []
    notices: list[str] = []
    cache = FeatureCache(
        path=path,
        max_gigabytes=max_gigabytes,
        dtype=dtype,
        report=lambda *progress: reports.append(progress),
        notice=notices.append,
    )
    return Cached(cache, reports, notices)


def store_of(
    path: Path, encoder: TokenEncoder, texts: Sequence[Window] = TEXTS, **options: Any
) -> FeatureStore:
    store = make(path, **options).cache.store(encoder, texts)
    assert store is not None
    return store


@pytest.mark.parametrize(("block_words", "batch_words"), [(1000, 1000), (4, 1000), (1000, 3), (1, 1)])
def test_the_vectors_are_the_encoders_in_the_order_of_the_words(
    block_words: int, batch_words: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_store, "_BLOCK_BYTES", block_words * 16)
    monkeypatch.setattr(feature_store, "_BATCH_WORDS", batch_words)
    store = store_of(tmp_path, Spelling())
    assert store.vectors_NLP.tolist() == expected()
    assert store.ranges == [(0, 5), (5, 5), (5, 10), (10, 11)]


def test_of_two_that_need_the_same_vectors_one_computes_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Waiting(Spelling):
        def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
            while not caplog.messages:  # until the other one waits
                time.sleep(0.01)
            return super().forward(sentences)

    encoders, stores = [Waiting(), Waiting()], list[FeatureStore]()
    threads = [
        threading.Thread(target=lambda encoder=encoder: stores.append(store_of(tmp_path, encoder)))
        for encoder in encoders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(encoder._calls) for encoder in encoders) == [False, True]
    assert [store.vectors_NLP.tolist() for store in stores] == [expected(), expected()]
    assert "another process is computing it" in caplog.text


def test_ranges_of_words_are_gathered_with_zeros_behind(tmp_path: Path) -> None:
    store = store_of(tmp_path, Spelling(), dtype="float16")
    gathered = store.gather([(3, 5), (5, 5), (5, 9), (10, 11)])
    assert (gathered.shape, gathered.dtype) == ((2, 4, 4, 2), torch.float16)
    words = expected()
    for row, (start, stop) in enumerate([(3, 5), (5, 5), (5, 9), (10, 11)]):
        padding = [[[0.0, 0.0], [0.0, 0.0]]] * (4 - stop + start)
        assert gathered[:, row].transpose(0, 1).tolist() == words[start:stop] + padding
    assert store.gather([(1, 1)]).shape == (2, 1, 0, 2)


def test_a_store_is_computed_once_and_is_an_ordinary_array(tmp_path: Path) -> None:
    encoder = Spelling()
    first = store_of(tmp_path, encoder)
    calls = len(encoder._calls)
    again = store_of(tmp_path, Spelling())
    assert store_of(tmp_path, encoder).vectors_NLP.tolist() == again.vectors_NLP.tolist()
    assert len(encoder._calls) == calls
    (file,) = tmp_path.iterdir()
    np.testing.assert_array_equal(np.load(file), first.vectors_NLP)


def test_whatever_decides_the_vectors_makes_another_store(tmp_path: Path) -> None:
    store_of(tmp_path, Spelling())
    store_of(tmp_path, Spelling(factor=2.0))
    store_of(tmp_path, Spelling(clip=3.0))
    store_of(tmp_path, Spelling(), dtype="float16")
    words = [["the", "cat", "sat", "it", "slept"]]
    for texts in ([words], [[words[0][:2], words[0][2:]]], [[[*words[0][:3], "it slept"]]]):
        store_of(tmp_path, Spelling(), texts)
    assert len(list(tmp_path.iterdir())) == 7


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "_BLOCK_BYTES", 5 * 16)
    cached = make(tmp_path)
    cached.cache.store(Spelling(), TEXTS)
    assert cached.reports == [(5, 2, 1 / 3), (10, 5, 5 / 6), (11, 6, 1.0)]


def test_an_interrupted_computation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "_BLOCK_BYTES", 5 * 16)

    class Interrupted(Spelling):
        def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
            if len(self._calls) == 2:
                raise KeyboardInterrupt
            return super().forward(sentences)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path).cache.store(Interrupted(), TEXTS)
    assert list(tmp_path.iterdir()) == []
    assert store_of(tmp_path, Spelling()).vectors_NLP.tolist() == expected()


@pytest.mark.parametrize("damage", ["cut", "extended", "emptied", "other header"])
def test_a_damaged_store_is_computed_anew(damage: str, tmp_path: Path) -> None:
    store_of(tmp_path, Spelling())
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    assert len(content) == NUM_BYTES
    file.write_bytes(
        {
            "cut": content[:-1],
            "extended": content + b"\0",
            "emptied": b"",
            "other header": content.replace(b"(11, 2, 2)", b"(11, 4, 1)"),
        }[damage]
    )
    encoder = Spelling()
    assert store_of(tmp_path, encoder).vectors_NLP.tolist() == expected()
    assert encoder._calls
    assert file.read_bytes() == content


def test_the_stores_unused_for_longest_make_room(tmp_path: Path) -> None:
    room_for_two = 2.5 * NUM_BYTES / 10**9
    files: dict[float, Path] = {}
    for age, factor in ((3, 1.0), (2, 2.0)):
        store_of(tmp_path, Spelling(factor=factor))
        (files[factor],) = set(tmp_path.iterdir()) - set(files.values())
        os.utime(files[factor], (10**9 - age, 10**9 - age))
    store_of(tmp_path, Spelling(factor=1.0))  # used again
    store_of(tmp_path, Spelling(factor=4.0), max_gigabytes=room_for_two)
    assert files[1.0].exists()
    assert not files[2.0].exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_open_makes_no_room(tmp_path: Path) -> None:
    cached = make(tmp_path, max_gigabytes=1.5 * NUM_BYTES / 10**9)
    encoder, other = Spelling(), Spelling(factor=2.0)
    assert cached.cache.store(encoder, TEXTS) is not None
    assert cached.cache.store(other, TEXTS) is None
    assert not other._calls
    assert len(cached.notices) == 1
    assert cached.cache.store(encoder, TEXTS) is not None


def test_what_is_too_large_is_told_before_anything_is_computed_or_removed(tmp_path: Path) -> None:
    store_of(tmp_path, Spelling())
    before = list(tmp_path.iterdir())
    cached, encoder = make(tmp_path, max_gigabytes=4e-7), Spelling(factor=2.0)
    assert cached.cache.store(encoder, TEXTS * 2) is None
    assert not encoder._calls
    assert list(tmp_path.iterdir()) == before
    assert cached.notices == [
        "features: 4.8e-07 GB of vectors do not fit into features.max_gigabytes=4e-07 (0 GB are in use);"
        " the encoder computes them again for every batch"
    ]


def test_a_full_disk_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=NUM_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    encoder = Spelling()
    with pytest.raises(InputError, match=r"\.npy: no space left to write it"):
        make(tmp_path).cache.store(encoder, TEXTS)
    assert not encoder._calls
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("factor", "dtype"), [(1e5, "float16"), (float("nan"), "float32")])
def test_values_that_the_dtype_cannot_hold_are_refused(factor: float, dtype: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"features.dtype: {dtype} cannot hold the encoder's vectors"):
        make(tmp_path, dtype=dtype).cache.store(Spelling(factor=factor), TEXTS)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_compute_the_same_store(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = ['tests/support', 'tests/tasks/supervised']\n"
        "from pathlib import Path; import test_feature_store as t\n"
        f"print(t.store_of(Path({str(tmp_path)!r}), t.Spelling()).vectors_NLP.tolist() == t.expected())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == ["True\n", "True\n"]
    assert len(list(tmp_path.iterdir())) == 1


def test_texts_without_words_have_a_store(tmp_path: Path) -> None:
    assert store_of(tmp_path, Spelling(), [[], [[]]]).gather([(0, 0)]).shape == (2, 1, 0, 2)


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"features.dtype: expected one of float16, float32, got 'int8'"):
        make(tmp_path, dtype="int8")


def test_a_bilm_of_stored_vectors_represents_words_as_the_running_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ElmoEncoder()
    encoder.take(
        CharCnnLstm(
            character_embedding_size=4,
            filters=[[1, 3], [2, 4]],
            num_highways=1,
            cell_size=7,
            projection_size=5,
        ).requires_grad_(False)
    )
    store = store_of(tmp_path, encoder)
    alone = [encoder([sentence])[:, 0] for text in TEXTS for sentence in text if sentence]
    np.testing.assert_allclose(
        store.vectors_NLP, torch.cat(alone, dim=1).transpose(0, 1).numpy(), rtol=1e-4, atol=1e-6
    )
    mix = {"type": "scalar", "dropout": 0.5, "l2": 0.1}
    model = Representation(parts={"elmo": encoder}, mix=mix, injection="both", word_dropout=0.5).eval()
    ranges = [(0, 5), (5, 10), (10, 11)]
    windows = [TEXTS[0], TEXTS[2], TEXTS[3]]
    torch.testing.assert_close(
        model(WindowBatch(windows, {"elmo": store.gather(ranges)})),
        model(WindowBatch(windows)),
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_store_that_is_removed_as_soon_as_it_is_written_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utime = os.utime

    def remove(path: Path, *times: Any) -> None:
        utime(path, *times)
        if Path(path).suffix == ".npy":
            Path(path).unlink()

    monkeypatch.setattr(feature_store.os, "utime", remove)
    store = store_of(tmp_path / "features", Spelling())
    assert not list((tmp_path / "features").glob("*.npy"))
    assert store.vectors_NLP.tolist() == expected()
