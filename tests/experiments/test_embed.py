"""Embedding by the command: what it writes, that it goes on where it was stopped, and what it refuses."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
import pytest
import torch
from places import ROOT
from torch import nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.inference.embedder import ElmoEmbedder
from elmo.io.model_directory import save_model
from elmo.io.official import write_official
from experiments import embed
from experiments.config.command import run_command
from experiments.io import sentence_reader
from experiments.io.vector_spool import VectorSpool

SIZES = {
    "character_embedding_size": 3,
    "filters": [[1, 2], [2, 3]],
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 6,
    "projection_size": 4,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.1,
}
LINES = ["the cat sat .", "", "don't stop", "one", "the cat sat .", "a b c d e f g"]
SENTENCES = [line.split() for line in LINES]


@pytest.fixture(autouse=True)
def a_model_in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in `model`, the text in `in.txt`."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    encoder = CharCnnLstm(**SIZES)  # type: ignore[arg-type]
    config = {"encoder": {"type": "char_cnn_lstm", **SIZES}}
    save_model(Path("model"), config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=None)
    Path("in.txt").write_text("\n".join(LINES) + "\n")


def run(**arguments: Any) -> int:
    """The command on `model` and `in.txt`, into `out.h5`, where nothing else is said."""
    usual = {"model": "model", "input": "in.txt", "output": "out.h5", "progress": "none"} | arguments
    return run_command(embed.main, config_name="embed", arguments=[f"{k}={v}" for k, v in usual.items()])


def vectors_of(path: str = "out.h5") -> list[np.ndarray]:
    with h5py.File(path) as file:
        return [file[str(key)][...] for key in range(len(file) - 1)]


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def assert_equal(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_hdf5_has_allennlps_layout_and_a_blank_line_keeps_its_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(layers="all") == 0
    assert capsys.readouterr() == ("out.h5: 6 sentences, 18 words, layers=all\n", "")
    with h5py.File("out.h5") as file:
        assert set(file) == {*"012345", "sentence_to_index"}
        assert file["1"].shape == (3, 0, 8) and file["0"].dtype == np.float32
        assert file["sentence_to_index"].shape == (1,)
        index = json.loads(file["sentence_to_index"][0])
        metadata = json.loads(file.attrs["metadata"])
    assert index == {"the cat sat .": "4", "": "1", "don't stop": "2", "one": "3", "a b c d e f g": "5"}
    assert metadata["model"] == "model" and metadata["dtype"] == "float32"
    assert [metadata[key] for key in ("layers", "state", "precision")] == ["all", "auto", "fp32"]
    assert_equal(vectors_of(), ElmoEmbedder("model").embed_batch(SENTENCES))
    assert sorted(path.name for path in Path().iterdir()) == ["in.txt", "model", "out.h5"]


@pytest.mark.parametrize("layers", ["top", "average", "0", "2"])
def test_one_layer_or_the_average_has_words_and_dimensions(layers: str) -> None:
    assert run(layers=layers) == 0
    expected = ElmoEmbedder("model").embed_batch(SENTENCES)
    pick: Callable[[np.ndarray], np.ndarray] = {
        "top": lambda array: array[-1],
        "average": lambda array: array.mean(axis=0),
    }.get(layers, lambda array: array[int(layers)])
    assert_equal(vectors_of(), [pick(array) for array in expected])


@pytest.mark.parametrize("layers", ["all", "top"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_format_has_the_same_vectors(layers: str, dtype: str) -> None:
    for output in ("out.h5", "out.npz", "out"):
        assert run(layers=layers, output=output, dtype=dtype) == 0
    expected = vectors_of()
    with np.load("out.npz") as archive:
        assert set(archive) == {*"012345", "sentence_to_index", "metadata"}
        assert all(np.array_equal(archive[str(key)], array) for key, array in enumerate(expected))
        assert json.loads(archive["sentence_to_index"][0])["one"] == "3"
        assert json.loads(archive["metadata"][0])["layers"] == layers
    rows = datasets.load_from_disk("out")
    assert rows["words"][:] == SENTENCES
    assert json.loads(rows.info.description)["layers"] == layers
    for row, array in zip(rows.with_format("numpy"), expected, strict=True):
        assert array.dtype == np.dtype(dtype)
        assert np.array_equal(np.asarray(list(row["vectors"])).reshape(array.shape), array)


def assert_same_file(left: str, right: str) -> None:
    """The same but for rounding, which depends on the words that are met for the first time together."""
    with h5py.File(left) as a, h5py.File(right) as b:
        assert set(a) == set(b) and dict(a.attrs) == dict(b.attrs)
        assert a["sentence_to_index"][0] == b["sentence_to_index"][0]
    assert_equal(vectors_of(left), vectors_of(right))


INPUTS: dict[str, tuple[dict[str, str], str, list[list[str]]]] = {
    "raw text": ({"tokenizer": "words"}, "No, don't!\r\nYes.\r\n", [["No", ",", "don't", "!"], ["Yes", "."]]),
    "a byte-order mark": ({}, "\ufeffa b", [["a", "b"]]),
    "prose": (
        {"prose": "true"},
        "I came. I saw.\n\nHe left.\n",
        [["I", "came."], ["I", "saw."], ["He", "left."]],
    ),
    "JSON lines": (
        {"field": "words"},
        '{"words": ["New York", "is"]}\n\n{"words": "it is\\nbig"}\n{"words": []}\n',
        [["New York", "is"], [], ["it", "is", "big"], []],
    ),
}


@pytest.mark.parametrize("case", INPUTS)
def test_words_are_found_in_any_kind_of_text(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, text, expected = INPUTS[case]
    give(monkeypatch, text.encode())
    assert run(**arguments, input="-", output="out") == 0
    assert datasets.load_from_disk("out")["words"][:] == expected


def test_a_jsonl_file_needs_no_field_and_may_be_compressed() -> None:
    with gzip.open("in.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": line}) + "\n" for line in LINES)
    assert run(input="in.jsonl.gz") == 0 and run(output="plain.h5") == 0
    assert_equal(vectors_of(), vectors_of("plain.h5"))


def test_an_official_model_is_named_by_its_two_files() -> None:
    torch.manual_seed(0)
    write_official(CharCnnLstm(**SIZES), Path("o.json"), Path("w.hdf5"))  # type: ignore[arg-type]
    assert run(model="o.json", weights="w.hdf5") == 0 and run(output="same.h5") == 0
    assert_equal(vectors_of(), vectors_of("same.h5"))


class Interrupted(io.BytesIO):
    """A stream that the user interrupts before its end is known."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line:
            raise KeyboardInterrupt
        return line


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "WINDOW_WORDS", 8)
    monkeypatch.setattr(sentence_reader, "_BATCH_LINES", 1)


def interrupt(monkeypatch: pytest.MonkeyPatch, lines: list[str], **arguments: Any) -> None:
    """Run the command and stop it when it has read some lines."""
    stream = io.TextIOWrapper(Interrupted("".join(f"{line}\n" for line in lines).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert run(input="-", **arguments) == 130


def done(path: str = "out.h5.partial") -> int:
    return int(json.loads(Path(path, "progress.json").read_text())["num_sentences"])


def test_an_interrupted_command_goes_on_and_gives_the_same(
    small_windows: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(output="whole.h5", layers="all") == 0
    capsys.readouterr()
    interrupt(monkeypatch, LINES[:4], layers="all")
    message = "out.h5.partial keeps what is done; the same command goes on\ninterrupted\n"
    assert capsys.readouterr() == ("", message)
    assert not Path("out.h5").exists() and done() == 2

    computed: list[int] = []
    stream = ElmoEmbedder.stream

    def counted(embedder: ElmoEmbedder, sentences: Any, **options: Any) -> Any:
        computed.append(len(sentences))
        return stream(embedder, sentences, **options)

    monkeypatch.setattr(ElmoEmbedder, "stream", counted)
    assert run(layers="all") == 0
    assert sum(computed) == 4
    assert_same_file("out.h5", "whole.h5")
    assert not Path("out.h5.partial").exists()


def test_a_killed_command_goes_on_and_gives_the_same() -> None:
    lines = [f"{number} {'a b c ' * (number % 9)}" for number in range(2000)]
    Path("in.txt").write_text("\n".join(lines))
    assert run(output="whole.h5") == 0
    usual = ["model=model", "output=out.h5", "progress=none", "input=-"]
    command = [sys.executable, "-m", "experiments.embed", *usual]
    root = ROOT
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        process.stdin.write("\n".join(lines[:1800]).encode())
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not Path("out.h5.partial/progress.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not Path("out.h5").exists() and 0 < done() < 1800
    with Path("out.h5.partial/vectors.bin").open("ab") as file:
        file.write(b"half a sentence")
    assert run() == 0
    assert_same_file("out.h5", "whole.h5")


def test_a_fault_in_the_text_is_mended_and_the_command_goes_on(
    small_windows: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(output="whole.h5") == 0
    Path("in.txt").write_text("\n".join([*LINES[:5], "a b\0 c"]))
    capsys.readouterr()
    assert run() == 2
    assert capsys.readouterr() == ("", "in.txt:6: NUL character; remove it from the text\n")
    assert done() == 5
    Path("in.txt").write_text("\n".join(LINES))
    assert run() == 0
    assert_same_file("out.h5", "whole.h5")


def test_a_partial_output_of_other_settings_or_text_is_refused(
    small_windows: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch, LINES[:5])
    before = {path: path.read_bytes() for path in Path("out.h5.partial").iterdir()}
    capsys.readouterr()
    assert run(layers="top") == 2
    assert capsys.readouterr().err == (
        'out.h5.partial: an interrupted run with layers "average" left it, this one has "top"; '
        "remove it to start over\n"
    )
    Path("in.txt").write_text("\n".join(["the cat sat !", *LINES[1:]]))
    assert run() == 2
    reason = "not the text of the interrupted run; remove out.h5.partial to start over\n"
    assert capsys.readouterr().err == f"in.txt:1: {reason}"
    Path("in.txt").write_text("\n".join(LINES[:2]))
    assert run() == 2
    assert capsys.readouterr().err == f"in.txt:2: {reason}"
    assert {path: path.read_bytes() for path in Path("out.h5.partial").iterdir()} == before


def test_two_commands_do_not_write_the_same_output(capsys: pytest.CaptureFixture[str]) -> None:
    with VectorSpool(Path("out.h5.partial"), settings={}, shape=(-1, 8), dtype=np.dtype("float32")):
        assert run() == 2
    assert capsys.readouterr().err == "out.h5.partial: a running process is writing there; wait for it\n"
    assert run() == 0


def test_a_carried_state_starts_over_and_is_named(
    small_windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(output="whole.h5", state="carried") == 0
    interrupt(monkeypatch, LINES[:5], state="carried")
    assert run(state="carried") == 0
    assert_same_file("out.h5", "whole.h5")
    with h5py.File("out.h5") as file:
        assert json.loads(file.attrs["metadata"])["state"] == "carried"
    expected = list(ElmoEmbedder("model", state="carried").stream(SENTENCES))
    assert_equal(vectors_of(), expected)


REFUSED: dict[str, tuple[dict[str, str], bytes, str]] = {
    "no such input": ({"input": "gone.txt"}, b"", "input: no such file: gone.txt"),
    "a directory": ({"input": "model"}, b"", "input: model is a directory, expected a file"),
    "no such model": ({"model": "gone"}, b"a", "gone: no such directory and no published model"),
    "no text": ({}, b"", "stdin: no sentence to embed"),
    "only blank prose": ({"prose": "true"}, b"\n\n", "stdin: no sentence to embed"),
    "existing output": ({"output": "there.h5"}, b"a", "there.h5: exists already; nothing is overwritten"),
    "unknown ending": ({"output": "out.txt"}, b"a", "output: unknown ending of out.txt; expected .h5,"),
    "output below a file": (
        {"output": "in.txt/out.h5"},
        b"a",
        "in.txt/out.h5: cannot be written (",
    ),
    "NUL": ({}, b"a\nb \0 c\n", "stdin:2: NUL character; remove it from the text"),
    "no UTF-8": ({}, b"a\nb\xff\n", "stdin:2: invalid UTF-8 at byte 2 (0xff); convert the text"),
    "a line of 1 MB": ({}, b"a\n" + b"b" * 10**6, "stdin:2: line of 1,000,000 bytes or more; expected"),
    "a long sentence": ({}, b"b " * 5001, "stdin:1: sentence of 5,001 words, more than 5,000; split"),
    "no JSON": ({"field": "text"}, b'{"text": "a"}\n{"text": \n', "stdin:2: no JSON (Expecting value"),
    "another field": (
        {"field": "text"},
        b'{"txt": "a", "id": 1}',
        "stdin:1: expected an object with 'text', got txt, id; field= names another",
    ),
    "a number": (
        {"field": "text"},
        b'{"text": 7}',
        "stdin:1: text: expected a text or a list of words, got 7",
    ),
    "a NUL in JSON": ({"field": "text"}, b'{"text": "a\\u0000"}', "stdin:1: NUL character; remove"),
    "half of a character": (
        {"field": "text"},
        b'{"text": "a \\ud83d b"}',
        "stdin:1: half of a character U+D83D; remove it from the text",
    ),
    "no such layer": ({"layers": "3"}, b"a", "layers: expected all, top, average, 0..2 or"),
    "a word for layers": ({"layers": "last"}, b"a", "layers: expected all, top, average or a layer's"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_embedded_is_one_line(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("there.h5").write_text("earlier")
    arguments, text, message = REFUSED[case]
    give(monkeypatch, text)
    assert run(**({"input": "-"} | arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message) and err.count("\n") == 1
    assert Path("there.h5").read_text() == "earlier" and not Path("out.h5").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("closed").mkdir(mode=0o500)
    assert run(output="closed/out.h5") == 2
    assert capsys.readouterr().err.startswith("closed/out.h5.partial: cannot be written (Permission denied)")


def test_progress_tells_words_speed_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(progress="plain") == 0
    embedding, writing = capsys.readouterr().err.splitlines()
    assert embedding.startswith("embedding: 100%, 18 tokens, 6 sentences, ") and " tokens/s" in embedding
    assert writing.startswith("writing: 100%, 18 tokens, 6 sentences, ")


def test_a_damaged_gzip_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.gz").write_bytes(gzip.compress("\n".join(LINES).encode())[:-12])
    assert run(input="in.gz") == 2
    assert capsys.readouterr().err.startswith("in.gz: damaged gzip file (")
