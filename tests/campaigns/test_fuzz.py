"""The first mutations of each reader's campaign, and those that once ended in a traceback."""

from __future__ import annotations

import os
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from campaigns import fuzz
from campaigns.fuzz import read_mutation, run_campaign
from campaigns.mutations import mutate_bytes, mutate_json, mutate_yaml
from campaigns.readers import READERS, Reader

NUM_FIRST = 6
SLOW = ("resume", "resume_tc", "ckptcrc", "ckptcrc_tc", "evaluate")  # a whole command for each mutation
# Seed 1: mutations that ended in a traceback, a hang or a message of 100,000 letters.
REGRESSIONS: dict[str, list[int]] = {
    "config_tcenc": [12, 15],
    "config_enc": [10, 32],
    "starts": [66],
    "safetensors_lm": [1, 3],
    "safetensors_tc": [16],
    "config_tcenc_predict": [8, 13, 53],
    "config_tc": [13],
    "config_lm": [14],
    "parquet": [10],
    "squad": [9],
    "corpus": [17],
    "spool": [8, 9, 13, 16],
    "warm": [7, 15],
    "metrics": [14, 21],
    "training_sentences": [9, 16],
    "ckptcrc": [0, 12],
    "ckptcrc_tc": [8, 14],
    "resume": [25],
    "resume_tc": [8],
    "evaluate": [10],
}


@pytest.fixture(autouse=True)
def settings_are_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_file_is_read_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    READERS[name].prepare(tmp_path / "base")
    first = range(0 if name in SLOW else NUM_FIRST)
    outcomes = {
        number: read_mutation(READERS[name], tmp_path / "base", seed=1, number=number)
        for number in sorted({*first, *REGRESSIONS.get(name, ())})
    }
    bad = {n: what for n, what in outcomes.items() if what != "success" and not what.startswith("refused: ")}
    assert bad == {}


def reader_of(read: Callable[[Path], None]) -> Reader:
    def mutate(path: Path, generator: random.Random) -> None:
        (path / "number").write_text(str(generator.random()))

    return Reader("probe", lambda path: None, mutate, read)


def is_mutated(path: Path) -> bool:
    return (path / "number").exists()


def test_tracebacks_hangs_and_crashes_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 1)

    def fail(path: Path) -> None:
        if is_mutated(path):
            raise KeyError("key")

    def hang(path: Path) -> None:
        if is_mutated(path):
            time.sleep(60)

    def crash(path: Path) -> None:
        if is_mutated(path):
            os.kill(os.getpid(), 11)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside torch's threads
        found = [run_campaign(reader_of(read), seed=1, numbers=range(2)) for read in (fail, hang, crash)]
    kinds = [[finding.what.split(":")[0] for finding in outcomes.findings] for outcomes in found]
    assert kinds == [["KeyError"] * 2, ["hang"] * 2, ["crash by SIGSEGV"] * 2]


def test_a_campaign_does_not_begin_with_files_that_are_not_read() -> None:
    def fail(path: Path) -> None:
        raise KeyError("key")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(AssertionError, match="probe: the sound files are not read"):
            run_campaign(reader_of(fail), seed=1, numbers=[])


def test_mutations_are_the_same_for_the_same_seed_and_differ_otherwise() -> None:
    text = b'{"a": [1, 2, {"b": "c"}], "d": null}'
    for mutate in (mutate_bytes, mutate_json, mutate_yaml):
        found = [[mutate(text, random.Random(seed)) for seed in range(30)] for _ in range(2)]
        assert found[0] == found[1]
        assert len(set(found[0])) > 15
