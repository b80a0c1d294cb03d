"""The benchmark of training: what is counted, a real measurement, rounds that go on, refused rows."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from elmo.bilm.bilm import build_bilm
from elmo.bilm.kernels.library import kernels
from elmo.bilm.kernels.windows import CharacterFilters
from elmo.registry import REGISTRY
from elmo.text.characters import PAD
from experiments.benchmark import train as train_module
from experiments.benchmark.__main__ import benchmark
from experiments.benchmark.flops import step_flops
from experiments.benchmark.made_up_text import write_text
from experiments.benchmark.train_rows import (
    RefusedError,
    Row,
    joined,
    measure_row,
    median_figures,
    ratios_beside,
)
from experiments.config.check import COMPONENT_PACKAGES
from tasks.language_model.model import Batch, LanguageModel

REGISTRY.discover(*COMPONENT_PACKAGES)

FILTERS = [[1, 8], [3, 16]]
ENCODER = {
    "type": "char_cnn_lstm",
    "character_embedding_size": 4,
    "filters": FILTERS,
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 16,
    "projection_size": 8,
    "num_layers": 2,
    "cell_clip": None,
    "projection_clip": None,
    "skip_connected": True,
    "dropout": 0.1,
}
TYPES, CHARACTERS, SIZES = 11, 9, [4, 4, 3]
SMALL = [
    *("encoder.cell_size=16", "encoder.projection_size=8", "encoder.filters=[[1,8]]"),
    *("softmax.num_samples=16", "trainer.batch_size=4"),
]


def model_and_batch(softmax: dict[str, Any]) -> tuple[LanguageModel, Batch]:
    """A small model and a batch; in double precision, which torch computes, whose counter sees no other."""
    encoder = build_bilm(ENCODER)
    built = REGISTRY.build("softmax", softmax, input_size=8, num_types=50)
    targets = np.random.default_rng(1).integers(0, 50, (2, sum(SIZES)))
    batch = Batch(
        types_U=torch.zeros(TYPES, CHARACTERS, dtype=torch.int64),
        inputs_DN=torch.zeros(2, sum(SIZES), dtype=torch.int64),
        targets_DN=torch.from_numpy(targets),
        batch_sizes=SIZES,
        carried=False,
        first_types=np.zeros(1, dtype=np.int64),
        plan=built.plan(targets, np.random.default_rng(2)),
    )
    return LanguageModel(encoder=encoder, softmax=built).double(), batch


def counted(call: Any) -> int:
    """The FLOPs of the products of a call, forward and backward, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        result: Tensor = call()
        result.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "softmax",
    [
        {"type": "full"},
        {"type": "sampled", "num_samples": 12, "sparse": False},
    ],
    ids=lambda node: node["type"],
)
def test_the_counted_operations_of_recurrence_and_softmax_are_those_that_torch_counts(
    softmax: dict[str, Any],
) -> None:
    model, batch = model_and_batch(softmax)
    flops = step_flops(model, batch)
    context, vectors = model.encoder.context, torch.zeros(TYPES, 8, dtype=torch.float64, requires_grad=True)
    state = context.zero_state(SIZES[0])
    assert flops["context"] == counted(lambda: context(vectors, batch.inputs_DN, SIZES, state)[0][-1])
    top = torch.zeros(2, sum(SIZES), 8, dtype=torch.float64, requires_grad=True)
    assert flops["softmax"] == counted(lambda: model.softmax(top, batch.plan))


def test_an_adaptive_softmax_is_counted_by_the_tokens_of_its_clusters() -> None:
    model, batch = model_and_batch({"type": "adaptive", "cutoffs": [20, 40], "shrink": 2.0})
    targets = 2 * sum(SIZES)
    first, second = (batch.plan[f"tokens_{index}"].numel() for index in range(2))
    head = targets * 22 * 8
    assert first and second
    clusters = first * (8 * 4 + 20 * 4) + second * (8 * 2 + 10 * 2)
    assert step_flops(model, batch)["softmax"] == 3 * 2 * (head + clusters)


def test_the_convolutions_are_counted_where_they_are_valid_and_backward_at_the_maxima() -> None:
    model, batch = model_and_batch({"type": "full"})
    letters = torch.zeros(TYPES, 4, CHARACTERS)
    with FlopCounterMode(display=False) as counter:
        for width, number in FILTERS:
            F.conv1d(letters, torch.zeros(number, 4, width))
    backward = 2 * 2 * TYPES * sum(4 * width * number for width, number in FILTERS)
    linear = 3 * 2 * TYPES * (2 * 24 * 24 + 24 * 8)  # highway and projection
    assert step_flops(model, batch)["words"] == counter.get_total_flops() + backward + linear


@pytest.mark.skipif(kernels() is None, reason="no kernels could be compiled here")
def test_convolutions_that_are_looked_up_are_counted_as_the_products_of_their_tables() -> None:
    model, batch = model_and_batch({"type": "full"})
    words = model.float().encoder.words
    weights = [torch.zeros(width * 4, number, requires_grad=True) for width, number in ((1, 16), (3, 16))]
    biases = [torch.zeros(16, requires_grad=True) for _ in weights]
    embedding = torch.zeros(words.embedding.shape, requires_grad=True)
    tables = counted(
        lambda: CharacterFilters.apply(batch.types_U, embedding, PAD, False, TYPES, *weights, *biases)
    )  # of 16 filters each: a row of a table has a vector of 16 columns more
    (_, narrow), (width, _) = FILTERS
    linear = 3 * 2 * TYPES * (2 * 24 * 24 + 24 * 8)
    assert step_flops(model, batch)["words"] - linear == tables * (narrow + width * 16) / (32 + width * 32)


def test_a_made_up_text_has_the_words_of_its_vocabulary_by_frequency(tmp_path: Path) -> None:
    text, vocabulary = write_text(tmp_path, num_types=500, num_words=5000)
    words = vocabulary.read_text().splitlines()
    assert words[:3] == ["<S>", "</S>", "<UNK>"] and len(set(words)) == 500
    tokens = text.read_text().split()
    assert len(tokens) == 5000 and set(tokens) <= set(words[3:])
    counts = [tokens.count(word) for word in (words[3], words[30], words[300])]
    assert counts == sorted(counts, reverse=True) and counts[0] > 3 * counts[1]
    assert write_text(tmp_path, num_types=500, num_words=5000) == (text, vocabulary)
    assert text.read_text().split() == tokens


def test_a_training_is_measured_in_a_process_of_its_own_and_beside_an_outside_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *("train", "presets=[tiny]", "precisions=[fp32]", "processes=[1x1]", "rounds=1", "seconds=0.01"),
        *("num_types=60", f"overrides={SMALL}", "device=cpu", "progress=none"),
        "beside='echo 12 steps, 1,000.0 tokens/s'",
        f"output={tmp_path / 'speed.json'}",
    ]
    assert benchmark(arguments) == 0
    told = capfd.readouterr().out
    saved = json.loads((tmp_path / "speed.json").read_text())
    figures = saved["medians"]["tiny fp32 1x1"]
    assert saved["measured"]["beside"] == {"0": {"tokens_per_second": 1000.0}}
    assert figures["flops/words"] + figures["flops/context"] + figures["flops/softmax"] == pytest.approx(1)
    assert sum(value for name, value in figures.items() if name.startswith("share/")) == pytest.approx(1)
    assert figures["of_peak"] == pytest.approx(figures["flops_per_second"] / figures["peak_flops_per_second"])
    assert figures["memory_bytes"] > 2**27 and figures["estimate_to_measured"] > 0.5
    ratio = figures["tokens_per_second"] / 1000
    assert f"tiny fp32 1x1: {ratio:.2f} times the 1,000 tokens/s of the command beside it" in told
    (row,) = csv.DictReader((tmp_path / "speed.csv").read_text().splitlines())
    assert (row["preset"], float(row["tokens_per_second"])) == ("tiny", figures["tokens_per_second"])

    assert benchmark(arguments) == 0  # nothing is left to measure
    assert capfd.readouterr().out == told
    assert benchmark([*arguments, "seconds=2"]) == 2
    assert "of a benchmark with other settings; give another file" in capfd.readouterr().err


@pytest.fixture
def measured_rows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the rows that are measured, by a stand-in: bf16 is refused, the fourth is interrupted."""
    names: list[str] = []

    def measure(row: Any, overrides: Sequence[str], **options: Any) -> dict[str, float]:
        if row.precision == "bf16":
            raise RefusedError(f"{row.name}: estimated memory 9.9 GiB, but cpu has 1.0 GiB")
        names.append(f"{row.preset} {row.processes}")
        if len(names) == 4:
            raise KeyboardInterrupt
        speed = 100.0 * len(names)
        return {
            "tokens_per_second": speed,
            "flops_per_second": 1e9 * speed,
            "peak_flops_per_second": 2e11,
            "memory_bytes": 2.0**30,
            "estimated_memory_bytes": 2.0**30,
        }

    monkeypatch.setattr(train_module, "measure_row", measure)
    monkeypatch.setattr(train_module, "has_bfloat16", lambda device: True)
    return names


def test_rows_are_measured_in_turns_and_an_interrupted_benchmark_prints_what_it_has_and_goes_on(
    measured_rows: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *("train", "presets=[default,tiny]", "processes=[1x1]", "rounds=2", "num_types=60"),
        *("device=cpu", "progress=none", f"output={tmp_path / 'speed.json'}"),
    ]
    assert benchmark(arguments) == 130
    assert measured_rows == ["default 1x1", "tiny 1x1"] * 2
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in told[1:3]] == [
        ["default", "fp32", "1x1", "200"],  # the median of 100 and 300
        ["tiny", "fp32", "1x1", "200"],
    ]
    assert benchmark(arguments) == 1
    assert measured_rows[4:] == ["tiny 1x1"]
    captured = capsys.readouterr().out.splitlines()
    assert captured[2].split()[:4] == ["tiny", "fp32", "1x1", "350"]  # of 200 and 500
    assert captured[3] == "refused: default bf16 1x1: estimated memory 9.9 GiB, but cpu has 1.0 GiB"


def test_a_command_beside_that_tells_no_speed_is_refused(
    measured_rows: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "presets=[default]", "precisions=[fp32]", "processes=[1x1]", "num_types=60"]
    assert benchmark([*arguments, "progress=none", "beside='echo no speed; exit 3'"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "beside: expected a command that prints `N tokens/s`; it ended with code 3 and 'no speed'"
    )


def test_figures_of_several_processes_and_rounds_are_joined() -> None:
    one = {
        "tokens_per_second": 10.0,
        "flops_per_second": 4.0,
        "peak_flops_per_second": 8.0,
        "memory_bytes": 2.0,
        "estimated_memory_bytes": 3.0,
    }
    both = joined([one, {**one, "tokens_per_second": 11.0}])
    assert (both["tokens_per_second"], both["flops_per_second"], both["memory_bytes"]) == (10, 8, 4)
    figures = median_figures([both, {**both, "tokens_per_second": 30.0}, {**both, "flops_per_second": 16.0}])
    assert figures["tokens_per_second"] == 10
    assert (figures["of_peak"], figures["estimate_to_measured"]) == (0.5, 1.5)
    assert ratios_beside({0: 10.0, 1: 30.0, 2: 9.0}, {0: 5.0, 1: 10.0}) == [2.0, 3.0]


def test_why_processes_of_torchrun_have_failed_is_told_in_their_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = (
        "out of memory: 2 GiB\n\nW1122 03:35:54.870000 1 torch/api.py:1] Sending signal\nTraceback\n=====\n"
    )
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr=told)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: failed)
    row = Row("tiny", "fp32", "2x1")
    with pytest.raises(RefusedError, match=r"^tiny fp32 2x1: out of memory: 2 GiB$"):
        measure_row(row, [], seconds=1.0, scratch=tmp_path, profile=None)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["processes=[2]"], "processes: expected processes x threads of each, such as 1x2 or 2x1, got '2'"),
        (["vocabulary=words.txt"], "vocabulary: belongs to a text; give text=FILE"),
        (["text=a.txt", "num_types=9"], "num_types: of a made-up text; leave out num_types or text"),
        (["output=speed.txt"], "output: expected a file that ends with .json, got speed.txt"),
        (["device=gpu"], "device: expected auto, cpu, cuda, cuda:<number> or mps, got 'gpu'"),
    ],
)
def test_faults_of_the_command_line_are_told(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(["train", *arguments]) == 2
    assert capsys.readouterr().err.startswith(fault)
