"""Sweeps as a user starts them: one file or `-m`, one directory, a table; faults before the first job."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from places import CONF
from tiny_runs import COMMON, POOLED, TINY, write_data

from elmo.files import file_lock
from experiments import train
from experiments.sweep.command import run_sweep
from experiments.sweep.record import read_sweep

TEXTS = ["task=text_classification", "data=labelled_files", "data.prose=false", "tokenizer=whitespace"]
TEXTS += [*(f"data.{part}={part}.csv" for part in ("train", "dev", "test")), "encoder=word", "encoder.size=8"]
TEXTS += [*COMMON, *POOLED, "cache_dir=cache", "trainer.max_steps=2", "trainer.evaluate_every=2"]
TEXTS.remove("trainer.num_threads=1")


def values_of(overrides: Iterable[str]) -> dict[str, Any]:
    """The plain values of overrides, as a file has them."""
    return {key: yaml.safe_load(value) for key, value in (text.split("=") for text in overrides)}


FILE = {
    "question": "Does ELMo help?",
    "base": values_of(text for text in TEXTS if not text.startswith("encoder")),
    "pretraining": {
        "bilm": {
            "data": "text",
            "tokenizer": "whitespace",
            **{f"data.{part}": f"{part}_text.txt" for part in ("train", "dev", "test")},
            **{key: [value] for key, value in values_of(TINY).items()},  # a list is crossed: each has one
            "vocabulary.min_count": 1,
            "softmax": "full",
            "trainer.max_steps": 2,
        }
    },
    "grid": {
        "system": {
            "word": {"encoder": "word", "encoder.size": 8},
            "elmo": {"encoder": "elmo", "init_from": "pretraining/bilm"},
        },
        "seed": [1, 2],
    },
    "launcher": {"jobs": 2},
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with data, a file `mine/sweep/heads.yaml`, and its sweep, finished."""
    home = tmp_path_factory.mktemp("home")
    write_data(home)
    (home / "mine" / "sweep").mkdir(parents=True)
    (home / "mine" / "sweep" / "heads.yaml").write_text(
        f"# @package _global_\n{yaml.safe_dump(FILE, sort_keys=False)}"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert sweep("sweep=heads") == 0
    return home


@pytest.fixture
def home(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that place, as the working directory."""
    home = shutil.copytree(swept, tmp_path / "home", symlinks=True)
    monkeypatch.chdir(home)
    return home


def sweep(*arguments: str) -> int:
    return run_sweep([*arguments, "--config-dir=mine", "progress=none"], run=train.run_job)


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_file_is_a_directory_for_each_job_a_record_and_a_table(home: Path) -> None:
    path = home / "runs" / "heads"
    names = [
        "pretraining/bilm",
        *(f"system={name},seed={seed}" for name in ("word", "elmo") for seed in (1, 2)),
    ]
    record = read_sweep(path)
    assert (record.name, record.question, [job.name for job in record.jobs]) == (
        "heads",
        "Does ELMo help?",
        names,
    )
    assert record.file["grid"]["seed"] == [1, 2]
    table = rows(path)
    assert [(row["job"], row["state"], row["system"], row["seed"]) for row in table[1:]] == [
        (name, "finished", name[7:11], name[-1]) for name in names[1:]
    ]
    assert table[0]["role"] == "pretraining"
    for row in table[1:]:
        figures = json.loads((path / row["job"] / "metrics.json").read_text())
        assert float(row["test/accuracy"]) == figures["test/accuracy"]


def test_each_job_has_its_output_its_group_its_threads_and_the_command_that_repeats_it(home: Path) -> None:
    path = home / "runs" / "heads" / "system=elmo,seed=2"
    config = yaml.safe_load((path / "config.yaml").read_text())
    assert config["logger"]["group"] == "heads"
    assert config["trainer"]["num_threads"] >= 1
    assert config["init_from"].endswith("/runs/heads/pretraining/bilm")
    assert "the model" in (path / "output.log").read_text()
    (start,) = json.loads((path / "environment.json").read_text())["starts"]
    assert start["command"].startswith("python -m experiments.train task=text_classification ")


def test_the_same_command_skips_what_has_finished_and_runs_what_is_new(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {path: path.stat().st_mtime_ns for path in home.glob("runs/heads/*/metrics.json")}
    assert sweep("sweep=heads", "seed=1,2,3", "launcher.jobs=1") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == ("runs/heads: 5 of 7 jobs have finished and are skipped; name=... begins a new sweep")
    assert [line.split(":")[0] for line in said[1:3]] == [
        "done    system=word,seed=3",
        "done    system=elmo,seed=3",
    ]
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert len(rows(home / "runs" / "heads")) == 7


def test_a_dry_run_prints_the_jobs_and_leaves_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("sweep=heads", "name=other", "seed=5", "dry_run=true") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "runs/other: 3 jobs, 1 of them pretraining"
    assert [line.split()[0] for line in said[1:-1]] == [
        "pretraining/bilm",
        "system=word,seed=5",
        "system=elmo,seed=5",
    ]
    assert not (home / "runs" / "other").exists()


def test_m_is_a_sweep_without_a_file_whose_failures_stop_no_other(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["-m", *TEXTS, "logger.tags=[x]", "data.test=test.csv,absent.csv", "progress=none"]
    assert train.command(command) == 1
    assert capsys.readouterr().err.startswith("1 of 2 jobs have not finished: output.log in their")
    (path,) = (home / "runs").glob("text_classification-*")
    assert [(row["job"], row["state"]) for row in rows(path)] == [
        ("test=test.csv", "finished"),
        ("test=absent.csv", "failed"),
    ]
    note = json.loads((path / "test=absent.csv" / "failure.json").read_text())
    assert note["reason"].startswith("data.test: ")
    (home / "absent.csv").write_text((home / "test.csv").read_text())
    assert train.command(command) == 0
    said = capsys.readouterr().out
    assert f"runs/{path.name}: 1 of 2 jobs have finished and are skipped; name=... begins a new sweep" in said
    assert not (path / "test=absent.csv" / "failure.json").exists()


def test_an_interrupted_sweep_saves_its_jobs_writes_the_table_and_says_how_to_go_on(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["trainer.max_steps=1000000", "trainer.evaluate_every=1000000"]
    begun = home / "runs" / "long" / "seed=1" / "metrics.jsonl"

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    command = ["-m", *TEXTS, *limits, "seed=1,2", "name=long", "launcher.jobs=1", "progress=none"]
    assert train.command(command) == 130
    thread.join()
    assert list((home / "runs" / "long" / "seed=1" / "checkpoints").glob("step-*"))
    assert [row["state"] for row in rows(home / "runs" / "long")] == ["unfinished", "not begun"]
    said = capsys.readouterr().err
    assert "stopped by SIGINT; the same command goes on\n" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sweep=hedas"], "sweep: unknown option 'hedas'; nearest: heads"),
        (["sweep=small", "trainer.max_step=3"], "trainer.max_step: unknown key; nearest: max_steps, max_"),
        (
            ["sweep=small", "head=cn,cnn"],
            "head: unknown option 'cn'; nearest: cnn, bcn (in seed=1,head=cn and",
        ),
        (["sweep=small", "launcher.job=3"], "launcher.job: unknown key; nearest: jobs"),
        (["sweep=small", "launcher=locl"], "launcher: unknown option 'locl'; nearest: local"),
        (["sweep=small", "seed=1,1"], "seed=1: 2 jobs have this name; leave out what is there twice"),
        (["sweep=small", "output_dir=x"], "output_dir: a sweep gives it to its jobs; leave it out"),
        (["sweep=small", "name=a/b"], "name: must be a plain directory name, got 'a/b'"),
        (["sweep=small", "name=taken"], "runs/taken: holds a run; give another name="),
        (["sweep=heads", "optimizer.learning_rate=0.1"], "runs/heads/system=word,seed=1: was run with other"),
        (["sweep=typo"], "grdi: unknown key; nearest: grid (in sweep/typo.yaml)"),
        (["sweep=small", "data_files=none.yaml"], "none.yaml: cannot be read as a config ("),
        (
            ["sweep=small", "data_files=files.yaml"],
            "files.yaml: sst2: expected a mapping such as {train: FILE},",
        ),
        (
            ["sweep=elmo", "pretraining.bilm=runs/none"],
            "pretraining.bilm: runs/none: no such directory and no",
        ),
        ([], "sweep: nothing varies; give a file, sweep=NAME, or several values, such as seed=1,2"),
    ],
)
def test_a_fault_is_a_line_before_the_first_job(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    (home / "mine/sweep/typo.yaml").write_text("# @package _global_\ngrdi: {seed: [1]}\n")
    (home / "mine/sweep/small.yaml").write_text(
        "# @package _global_\nbase: {task: sentiment}\ngrid: {seed: [1, 2]}\n"
    )
    (home / "mine/sweep/elmo.yaml").write_text(
        "# @package _global_\nbase: {task: sentiment, encoder: elmo, init_from: pretraining/bilm}\n"
        "pretraining: {bilm: {}}\ngrid: {seed: [1, 2]}\n"
    )
    (home / "files.yaml").write_text("sst2: train.tsv\n")
    (home / "runs" / "taken").mkdir()
    (home / "runs" / "taken" / "config.yaml").write_text("seed: 1\n")
    before = sorted(home.rglob("*"))
    assert sweep(*arguments) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(line)
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("name", [path.stem for path in sorted((CONF / "sweep").glob("*.yaml"))])
def test_every_sweep_that_is_shipped_has_sound_jobs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [f"sweep={name}", "seed=1", "dry_run=true", "cache_dir=cache"]
    assert run_sweep(arguments, run=train.run_job) == 0
    assert f"runs/{name}: " in capsys.readouterr().out


def test_two_sweeps_do_not_write_into_one_directory(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with file_lock(home / "runs" / "heads" / ".lock"):
        assert sweep("sweep=heads") == 2
    assert (
        capsys.readouterr().err
        == "runs/heads: a running process is writing there; wait for it or give another name\n"
    )


def test_jobs_that_are_runs_of_another_sweep_are_taken_and_not_run_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, again = home / "runs" / "heads", home / "runs" / "again"
    known = [
        "sweep=heads",
        "name=again",
        "pretraining.bilm=runs/heads/pretraining/bilm",
        "reuse=[runs/heads]",
    ]
    assert sweep(*known, "dry_run=true") == 0
    assert not again.exists()
    for system in ("word", "elmo"):
        (before / f"system={system},seed=2" / "wandb").mkdir(exist_ok=True)
    # Another place of stored vectors makes no other run; another seed does.
    assert sweep(*known, "seed=2,3", "cache_dir=other_cache") == 0
    assert (
        "2 jobs are runs of other sweeps, such as runs/heads/system=word,seed=2\n" in capsys.readouterr().out
    )
    for system in ("word", "elmo"):
        own, run = again / f"system={system},seed=2", before / f"system={system},seed=2"
        assert (own / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
        assert (own / "model" / "model.safetensors").samefile(run / "model" / "model.safetensors")
        assert not (own / "wandb").exists()  # the id by which W&B knows the other
        assert (again / f"system={system},seed=3" / "metrics.json").is_file()
        assert not (before / f"system={system},seed=3").exists()
    assert [row["state"] for row in rows(again)] == ["finished"] * 4
    # One that goes on writes into no file of the other.
    taken = "runs/again/system=word,seed=2"
    events = (before / "system=word,seed=2" / "metrics.jsonl").read_bytes()
    assert train.run_job([f"resume='{taken}'", "trainer.max_steps=4"]) == 0
    assert (before / "system=word,seed=2" / "metrics.jsonl").read_bytes() == events
    assert len((home / taken / "metrics.jsonl").read_bytes()) > len(events)


def test_a_command_for_a_part_of_the_jobs_keeps_the_others_in_the_record(home: Path) -> None:
    path = home / "runs" / "heads"
    before = read_sweep(path).jobs
    shutil.rmtree(path / "system=elmo,seed=2")  # it is not wanted any more
    assert sweep("sweep=heads", "system=word") == 0
    left = [job for job in before if job.name != "system=elmo,seed=2"]
    assert sorted(job.name for job in read_sweep(path).jobs) == sorted(job.name for job in left)


def test_a_run_of_other_files_or_none_is_not_taken(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = (home / "test.csv").read_text().splitlines()
    (home / "test.csv").write_text("\n".join([first[0], *reversed(first[1:])]) + "\n")
    known = ["sweep=heads", "name=again", "pretraining.bilm=runs/heads/pretraining/bilm", "seed=2"]
    assert sweep(*known, "reuse=[runs/heads]") == 0
    assert "are runs of other sweeps" not in capsys.readouterr().out
    assert sweep(*known, "name=more", "reuse=[runs/nothing]") == 2
    assert "runs/nothing: no sweep or study" in capsys.readouterr().err
