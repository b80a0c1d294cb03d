"""Predictions by the command: an answer or an error for every line, in its place, as soon as it is known."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, save_model
from elmo.registry import REGISTRY
from experiments import predict
from experiments.config.command import run_command
from experiments.io import record_reader
from tasks.task import Setup

CALLS: list[list[str]] = []  # the texts of each call of a predictor
ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__)  # this module is a plugin with the two tasks below


class LengthPredictor:
    """Tells long texts from short ones, as its one weight says, and counts their words."""

    def __init__(self, words_of_long: float) -> None:
        self._words_of_long = words_of_long

    def read(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(record.get("text"), str):
            raise InputError("text: missing")
        return record

    def predict(self, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        CALLS.append([record["text"] for record in inputs])
        return [self._answer(record) for record in inputs]

    def _answer(self, record: Mapping[str, Any]) -> dict[str, Any]:
        num_words = len(record["text"].split())
        label = "long" if num_words >= self._words_of_long else "short"
        given = {"id": record["id"]} if "id" in record else {}
        return {**given, "label": label, "num_words": num_words, "score": num_words / 4, "scores": {}}


class ExplainingLengthPredictor(LengthPredictor):
    """Finds that words of four letters and more speak for the answer, shorter ones against it."""

    def explain(self, inputs: Sequence[Mapping[str, Any]]) -> list[list[tuple[str, float]]]:
        return [[(word, (len(word) - 3.5) / 2) for word in record["text"].split()] for record in inputs]


@REGISTRY.register("task", "length_of_text")
class LengthTask:
    predictor_class: type[LengthPredictor] = LengthPredictor

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> LengthPredictor:
        return self.predictor_class(saved.weights["bias"].item())


@REGISTRY.register("task", "explained_length_of_text")
class ExplainedLengthTask(LengthTask):
    predictor_class = ExplainingLengthPredictor


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs `run` and `explained`; texts of four words or more are long."""
    monkeypatch.chdir(tmp_path)
    CALLS.clear()
    save_run("run", "length_of_text")
    save_run("explained", "explained_length_of_text")
    Path("in.jsonl").write_text(
        '{"text": "a short one", "id": 7}\n{"id": "b", "text": "this one is long"}\n{"text": "one"}\n'
    )


def save_run(name: str, task: str) -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.bias, 4.0)
    save_model(Path(name, "model"), config={"task": {"type": task}, "batch_size": 2}, model=model)


def run(**arguments: Any) -> int:
    usual = {"run": "run", "input": "in.jsonl", "output": "out.jsonl", "progress": "none"} | arguments
    return run_command(predict.main, config_name="predict", arguments=[f"{k}={v}" for k, v in usual.items()])


def rows(text: str | None = None) -> list[dict[str, Any]]:
    lines = (Path("out.jsonl").read_text() if text is None else text).splitlines()
    return [json.loads(line) for line in lines]


def give(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_every_record_has_its_answer_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert rows() == [
        {"line": 1, "id": 7, "label": "short", "num_words": 3, "score": 0.75, "scores": {}},
        {"line": 2, "id": "b", "label": "long", "num_words": 4, "score": 1.0, "scores": {}},
        {"line": 3, "label": "short", "num_words": 1, "score": 0.25, "scores": {}},
    ]
    assert capsys.readouterr() == ("", "3 lines answered, 0 not\n")
    assert sorted(path.name for path in Path().iterdir()) == ["explained", "in.jsonl", "out.jsonl", "run"]


def test_the_standard_streams_are_read_and_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"one\r\nit is \xc3\xa9t\xc3\xa9 now\n")
    assert run(input="-", output="-") == 0
    out, err = capsys.readouterr()
    assert [row["num_words"] for row in rows(out)] == [1, 4]
    assert CALLS == [["one", "it is été now"]]
    assert err == "2 lines answered, 0 not\n"


def test_gzip_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.jsonl.gz").write_bytes(gzip.compress(Path("in.jsonl").read_bytes()))
    assert run(input="in.jsonl.gz") == 0
    assert [row["num_words"] for row in rows()] == [3, 4, 1]


FORMATS: dict[str, tuple[str, str, list[str]]] = {
    "by the first line": ("auto", '\ufeff{"text": "a"}\n', ["a"]),
    "blank lines say nothing": ("auto", '\n {"text": "a"}\n', ["a"]),
    "plain text": ("auto", 'a\n{"text": "b"}\n', ["a", '{"text": "b"}']),
    "text, if so told": ("text", '{"text": "a"}\n', ['{"text": "a"}']),
}


@pytest.mark.parametrize("case", FORMATS)
def test_the_format_is_told_or_found(case: str) -> None:
    told, text, expected = FORMATS[case]
    Path("in.txt").write_text(text)
    run(input="in.txt", format=told)
    assert [text for call in CALLS for text in call] == expected


def test_a_line_that_cannot_be_read_has_its_error_in_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record_reader, "MAX_LINE_BYTES", 60)
    bad: dict[bytes, str] = {
        b'{"text": ': "no JSON (Expecting value: line 1 column 10 (char 9))",
        b"[1]": "expected a JSON object, got a list",
        b'{"txt": "a"}': "text: missing",
        b"": "empty line",
        b'{"text": "\xff"}': "invalid UTF-8 at byte 11 (0xff); convert the text",
        b'{"text": "\\ud83d"}': "half of a character U+D83D; remove it from the text",
        b'{"text": "%s"}'
        % (b"a" * 100): "line of 60 bytes or more; expected a sentence or a paragraph a line",
    }
    Path("in.jsonl").write_bytes(b"".join(line + b'\n{"text": "fine"}\n' for line in bad))
    assert run() == 1
    assert [row["line"] for row in rows()] == list(range(1, 2 * len(bad) + 1))
    assert rows()[::2] == [{"line": 2 * i + 1, "error": error} for i, error in enumerate(bad.values())]
    assert all(row["num_words"] == 1 for row in rows()[1::2])
    told = [f"in.jsonl:{2 * i + 1}: {error}" for i, error in enumerate(bad.values())]
    assert capsys.readouterr().err.splitlines() == [*told, "7 lines answered, 7 not"]


def test_what_is_said_of_a_line_commands_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(self: LengthPredictor, record: Mapping[str, Any]) -> None:
        raise InputError(f"bad text {record['text']}")

    monkeypatch.setattr(LengthPredictor, "read", read)
    Path("in.jsonl").write_text(json.dumps({"text": "\x1b[2J\n"}))
    assert run() == 1
    assert capsys.readouterr().err.splitlines()[0] == "in.jsonl:1: bad text \ufffd[2J\ufffd"
    assert rows() == [{"line": 1, "error": "bad text \x1b[2J\n"}]


def test_answers_are_there_after_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in.txt").write_text("1\n2\n3\n4\n5\n")
    seen: list[int] = []
    answer = LengthPredictor.predict

    def watch(self: LengthPredictor, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        seen.append(len(rows(Path("out.jsonl.partial").read_text())))
        return answer(self, inputs)

    monkeypatch.setattr(LengthPredictor, "predict", watch)
    assert run(input="in.txt") == 0
    assert CALLS == [["1", "2"], ["3", "4"], ["5"]]  # the training's batch_size
    assert seen == [0, 2, 4]
    CALLS.clear()
    Path("out.jsonl").unlink()
    assert run(input="in.txt", batch_size=4) == 0
    assert CALLS == [["1", "2", "3", "4"], ["5"]]


def test_a_long_line_is_answered_and_long_lines_are_not_held_together() -> None:
    Path("in.txt").write_text(f"a\n{'word ' * 200_000}\nb\n")
    assert run(input="in.txt", batch_size=100) == 0
    assert [row["num_words"] for row in rows()] == [1, 200_000, 1]
    assert [len(call) for call in CALLS] == [2, 1]


def test_an_interrupted_command_keeps_what_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = LengthPredictor.predict

    def stop(self: LengthPredictor, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        if CALLS:
            raise KeyboardInterrupt
        return answer(self, inputs)

    monkeypatch.setattr(LengthPredictor, "predict", stop)
    assert run() == 130
    assert capsys.readouterr().err == "out.jsonl.partial keeps what is done\ninterrupted\n"
    assert [row["line"] for row in rows(Path("out.jsonl.partial").read_text())] == [1, 2]
    assert not Path("out.jsonl").exists()
    assert run() == 2
    assert capsys.readouterr().err == "out.jsonl.partial: exists already; nothing is overwritten\n"


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no such run": ({"run": "gone"}, "gone: no model here"),
    "a run without weights": ({"run": "broken"}, "broken/model/model.safetensors: missing or damaged"),
    "a language model": ({"run": "words"}, "words: a language model has no predictions; experiments.score"),
    "no such input": ({"input": "gone.txt"}, "input: no such file: gone.txt"),
    "a table as text": ({"input": "in.csv", "format": "text"}, "input: in.csv is a table, and its lines"),
    "a compression": ({"input": "in.lz4"}, "in.lz4: damaged lz4 file ("),
    "nothing": ({"input": "/dev/null"}, "/dev/null: no text to predict"),
    "no text": ({"input": "empty.txt"}, "empty.txt: no text to predict"),
    "a damaged file": ({"input": "in.gz"}, "in.gz: damaged gzip file ("),
    "existing output": ({"output": "in.jsonl"}, "in.jsonl: exists already; nothing is overwritten"),
    "existing page": (
        {"run": "explained", "explain": "true", "explain_output": "in.jsonl"},
        "in.jsonl: exists already; nothing is overwritten",
    ),
    "nothing explains": (
        {"explain": "true"},
        "explain: the task of run, length_of_text, does not explain; leave it out",
    ),
    "a page of nothing": (
        {"explain_output": "out.html"},
        "explain_output: nothing is explained; add explain=true",
    ),
    "one file for two": (
        {"explain": "true", "output": "out.html"},
        "explain_output: expected another file than output",
    ),
    "no such format": ({"format": "xls"}, "format: unknown choice 'xls'"),
    "no batch": ({"batch_size": "0"}, "batch_size: expected at least 1 or null, got 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_command_that_cannot_run_is_refused_in_one_line(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty.txt", "in.csv"):
        Path(name).touch()
    Path("in.lz4").write_bytes(b"no such thing")
    Path("in.gz").write_bytes(gzip.compress(b"a\n" * 1000)[:-12])
    language_model = {"task": {"type": "language_model", "loss_scale": 1.0}, "batch_size": 2}
    save_model(Path("words"), config=language_model, model=nn.Linear(1, 1))
    save_run("broken", "length_of_text")
    Path("broken/model/model.safetensors").unlink()
    before = Path("in.jsonl").read_text()
    arguments, message = REFUSED[case]
    assert run(**arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message) and err.count("\n") == 1
    assert not Path("out.jsonl").exists() and Path("in.jsonl").read_text() == before


def test_explanations_are_shown_and_make_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(run="explained", explain="true") == 0
    shown = capsys.readouterr().out
    assert "line 1: id 7; label short; num_words 3; score 0.75\na(-1.25) short(+0.75) one(-0.25)\n" in shown
    page = Path("out.html").read_text()
    assert "<h1>Predictions of explained on in.jsonl</h1>" in page and page.endswith("</html>\n")
    assert page.count("<h2>line ") == 3
    assert '<span class="against" style="--strength:0.20" title="-0.25">one</span>' in page
    assert [row["line"] for row in rows()] == [1, 2, 3]


def test_explanations_stand_beside_answers_on_the_standard_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, b"one\n\nfour\n")
    assert run(run="explained", input="-", output="-", explain="true", explain_output="page.html") == 1
    out, err = capsys.readouterr()
    assert [row["line"] for row in rows(out)] == [1, 2, 3]
    assert "line 3: label short; num_words 1; score 0.25\nfour(+0.25)\n" in err
    assert Path("page.html").read_text().count("<h2>") == 2


def test_progress_counts_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(progress="plain") == 0
    assert capsys.readouterr().err.startswith("predicting: 100%, 3 lines, ")


def test_the_model_directory_alone_serves_a_pipe_that_closes_early() -> None:
    Path("run/model").rename("moved")
    Path("in.txt").write_text("a text\n" * 5000)  # whose answers do not fit into a pipe
    Path("lengths.py").write_text(PLUGIN.read_text(encoding="utf-8"), encoding="utf-8")
    arguments = ["run=moved", "input=in.txt", "output=-", "plugins=[lengths]", "progress=none"]
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.predict", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path.cwd()}"},
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr.read() == b""
    assert first == {"line": 1, "label": "short", "num_words": 2, "score": 0.5, "scores": {}}
    assert process.returncode == 141
