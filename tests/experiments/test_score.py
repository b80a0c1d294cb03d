"""Scoring by the command: the probabilities are the model's, in the order of the text."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from elmo.inference.embedder import ElmoEmbedder
from elmo.io.model_directory import save_model
from elmo.registry import REGISTRY
from elmo.text.vocabulary import Vocabulary
from experiments import score
from experiments.config.command import run_command
from tasks.language_model.model import BatchBuilder, LanguageModel, build_model, perplexities

WORDS = ["<S>", "</S>", "<UNK>", "the", "cat", "sat", "."]
LINES = ["the cat sat .", "", "the dog sat", "<S> cat"]  # of which `dog` and `<S>` are unknown
NODES = {
    "task": {"type": "language_model", "loss_scale": 1.0},
    "tokenizer": {"type": "whitespace"},
    "encoder": {
        "type": "char_cnn_lstm",
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
        "dropout": 0.5,
    },
    "softmax": {"type": "full"},
    "batching": {"type": "sentences", "num_steps": 5},
}


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    """A biLM, in a run's directory `run`; the text is in `in.txt`."""
    monkeypatch.chdir(tmp_path)
    REGISTRY.discover("elmo", "tasks")
    torch.manual_seed(0)
    model = build_model(NODES, num_types=len(WORDS)).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -1, 1)
    save_model(
        Path("run/model"), config={"batch_size": 4, **NODES}, model=model, vocabulary=Vocabulary(WORDS)
    )
    Path("in.txt").write_text("\n".join(LINES) + "\n")
    return model


def run(**arguments: Any) -> int:
    usual = {"run": "run", "input": "in.txt", "output": "out.jsonl", "progress": "none"} | arguments
    return run_command(score.main, config_name="score", arguments=[f"{k}={v}" for k, v in usual.items()])


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_probabilities_are_the_softmax_of_the_neighbours_vectors(model: LanguageModel) -> None:
    assert run() == 0
    softmax: Any = model.softmax
    vectors = ElmoEmbedder("run", layers="top").embed_batch([line.split() for line in LINES])
    ids = {word: WORDS.index(word) for word in ("the", "cat", "sat", ".")}
    for row, line, layers in zip(rows(), LINES, vectors, strict=True):
        assert row["words"] == line.split()
        targets = [ids.get(word, 2) for word in line.split()]
        assert row["unknown"] == [target == 2 for target in targets]
        if not targets:
            continue
        scores = layers[-1].reshape(len(targets), 2, 4) @ softmax.weight.detach().numpy().T
        scores = scores + softmax.bias.detach().numpy()
        logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        forward = [logs[i, 0, target] for i, target in enumerate([*targets[1:], 1])]
        backward = [logs[i, 1, target] for i, target in enumerate([0, *targets[:-1]])]
        np.testing.assert_allclose([*row["forward"][1:], row["forward_end"]], forward, atol=2e-5)
        np.testing.assert_allclose([row["backward_end"], *row["backward"][:-1]], backward, atol=2e-5)


def test_the_figures_of_a_sentence_are_sums_and_perplexities() -> None:
    assert run() == 0
    first, blank, *_ = rows()
    assert blank == {"line": 2, "words": [], "unknown": [], "forward": [], "backward": []}
    forward = sum(first["forward"]) + first["forward_end"]
    backward = sum(first["backward"]) + first["backward_end"]
    assert first["forward_log_probability"] == pytest.approx(forward, abs=1e-4)
    assert first["backward_perplexity"] == pytest.approx(math.exp(-backward / 5), rel=1e-4)
    assert first["perplexity"] == pytest.approx(math.exp(-(forward + backward) / 10), rel=1e-4)


def test_the_perplexity_of_the_whole_is_that_of_an_evaluation(
    model: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    from elmo.text.characters import TypeTable

    class Text:
        """The sentences of LINES, as batching reads a corpus."""

        types = TypeTable.from_words(dict.fromkeys(" ".join(LINES).split()))
        num_sentences, num_tokens = 3, 9

        def read_sentences(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
            known = list(self.types.words())
            ids = [[known.index(word) for word in line.split()] for line in LINES if line][start:stop]
            return np.concatenate(ids).astype(np.int32), np.cumsum([0, *map(len, ids)])

    text = Text()
    builder = BatchBuilder(
        types=text.types,
        target_ids=Vocabulary(WORDS).ids_of(text.types),
        words=model.encoder.words,
    )
    batching = REGISTRY.build("batching", NODES["batching"], batch_size=4)
    batches = batching.evaluation_batches(text, builder)
    figures = perplexities(model, batches, device=torch.device("cpu"))
    mean, forward, backward = (
        f"{figures[f'dev/{kind}perplexity']:,.2f}" for kind in ("", "forward_", "backward_")
    )
    assert capsys.readouterr().err == (
        f"4 sentences, 9 words, 22.22% unknown; perplexity {mean} (forward {forward}, backward {backward})\n"
    )


def test_neighbours_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run() == 0 and run(output="small.jsonl", tokens_per_batch="1") == 0
    monkeypatch.setattr(score, "WINDOW_WORDS", 1)
    assert run(output="alone.jsonl") == 0
    for other in ("small.jsonl", "alone.jsonl"):
        for left, right in zip(rows(), Path(other).read_text().splitlines(), strict=True):
            row = json.loads(right)
            assert left["words"] == row["words"]
            np.testing.assert_allclose(left["forward"], row["forward"], atol=2e-5)
            np.testing.assert_allclose(left["backward"], row["backward"], atol=2e-5)


def test_prose_is_read_from_standard_input_and_answered_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The cat sat. The cat!\n")))
    assert run(input="-", output="-", tokenizer="words", prose="true") == 0
    scored = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["words"] for row in scored] == [["The", "cat", "sat", "."], ["The", "cat", "!"]]
    assert [row["line"] for row in scored] == [1, 1]
    assert [row["unknown"] for row in scored] == [[True, False, False, False], [True, False, True]]


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no such run": ({"run": "gone"}, "gone: no model here"),
    "an encoder alone": ({"run": "encoder"}, "encoder: only an encoder, from official files"),
    "no such input": ({"input": "gone.txt"}, "input: no such file: gone.txt"),
    "no text": ({"input": "empty.txt"}, "empty.txt: no sentence to score"),
    "existing output": ({"output": "in.txt"}, "in.txt: exists already; nothing is overwritten"),
    "NUL": ({"input": "nul.txt"}, "nul.txt:2: NUL character; remove it from the text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_scored_is_one_line(
    case: str, model: LanguageModel, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.txt").touch()
    Path("nul.txt").write_text("a\nb\0\n")
    config = {"encoder": NODES["encoder"]}
    encoder_alone = nn.ModuleDict({"encoder": model.encoder})
    save_model(Path("encoder"), config=config, model=encoder_alone, vocabulary=None)
    arguments, message = REFUSED[case]
    assert run(**arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message) and err.count("\n") == 1
    assert not Path("out.jsonl").exists() and Path("in.txt").read_text() == "\n".join(LINES) + "\n"
