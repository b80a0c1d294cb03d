"""SIGKILLs at random times: `python -m campaigns.kill [--kills N] [SCENARIO ...]` in tests/support.

Each scenario is run once without a kill. Then it is killed at random times, again and again, and goes on
each time by the command that a user would give, until it ends. What it leaves must be equal bit for bit, the
vectors of `embed` within 1e-6. `trainings` stands for the runs of all batchings, softmaxes and tasks.

Other scenarios let processes meet: in one run's directory, at one corpus, at one store of vectors.
"""

from __future__ import annotations

import argparse
import csv
import json
import operator
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from tiny_runs import arguments_of, write_data

from elmo.registry import REGISTRY
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from experiments import embed, train
from experiments.config.command import run_command
from experiments.sweep.command import run_sweep
from experiments.training.saving.checkpoint import load_checkpoint
from tasks.language_model.preparation import prepare_corpus

VOLATILE = (
    "seconds",
    "per_second",
    "memory_bytes",
    "share_of",
)  # parts of keys whose values are of the machine
STEPS = [
    "trainer.max_steps=24",
    "trainer.evaluate_every=8",
    "trainer.save_every=2",
    "trainer.keep_checkpoints=2",
]
Step = Callable[[], int]


class Scenario(NamedTuple):
    """What is killed.

    Attributes:
        command: what to do, or to go on with, in a directory; it returns an exit code.
        result: what it leaves there, to be compared.
        is_same: compares two results.
        most: kills before it may end.
        check: looks at what a kill has left.
    """

    command: Callable[[Path], int]
    result: Callable[[Path], Any]
    is_same: Callable[[Any, Any], bool] = operator.eq
    most: int = 4
    check: Callable[[Path], None] = lambda place: None


def training(name: str, *changes: str) -> Scenario:
    """A tiny run; the same command begins it and goes on with it."""

    def command(place: Path) -> int:
        arguments = [*arguments_of(name, place / "run", write_data(place)), *STEPS, *changes, "resume=auto"]
        return run_command(train.main, config_name="train", arguments=arguments)

    return Scenario(
        command, lambda place: run_result(place / "run"), check=lambda place: check_run(place / "run")
    )


def check_run(run: Path) -> None:
    """The newest checkpoint of a killed run is whole, and no step was scored before it was saved."""
    log, last = run / "metrics.jsonl", run / "checkpoints" / "last"
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    scored = [event["step"] for event in events if any(key.startswith("dev/") for key in event)]
    if last.exists() or scored:
        assert load_checkpoint(last)["position"]["step"] >= max(scored, default=0)


def run_result(run: Path, home: Path | None = None) -> dict[str, Any]:
    """The events, the figures, the model and the predictions of a run, without times and without the place of
    its home: by default the directory above it."""
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    files = [
        path
        for part in ("model", "predictions")
        for path in sorted((run / part).rglob("*"))
        if path.is_file()
    ]
    return {
        "events": [_steady(event) for event in events],
        "figures": _steady(json.loads((run / "metrics.json").read_text())),
        **{
            str(path.relative_to(run)): path.read_bytes().replace(str(home or run.parent).encode(), b"")
            for path in files
        },
    }


def _steady(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if not any(part in key for part in VOLATILE)}


def prepare(place: Path) -> int:
    """Prepare a text of some hundred thousand words."""
    text = place / "text.txt"
    if not text.exists():
        generator = random.Random(1)
        lines = (" ".join(f"w{int(generator.paretovariate(0.7))}" for _ in range(20)) for _ in range(20_000))
        aside = place / "text.aside"
        aside.write_text("\n".join(lines))
        aside.rename(text)
    source = REGISTRY.build("data", {"type": "text", "train": str(text)})
    for split in ("train", "dev"):
        prepare_corpus(source, WhitespaceTokenizer(), cache_path=place / "cache", split=split, num_workers=1)
    return 0


def prepared(place: Path) -> dict[str, bytes]:
    """The stores, without their names, which depend on the place of the text."""
    stores = [path for path in (place / "cache").iterdir() if (path / "meta.json").exists()]
    assert len(stores) == 2 and not list((place / "cache").glob(".*.tmp"))
    files = [path for store in stores for path in store.glob("*.bin")]
    return {f"{path.name} {path.stat().st_size}": path.read_bytes() for path in files}


def embed_text(place: Path) -> int:
    """Embed a text with a biLM of random weights."""
    import torch
    from torch import nn

    from elmo.bilm.bilm import build_bilm
    from elmo.io.model_directory import save_model

    if not (place / "model").exists():
        torch.manual_seed(0)
        node = {
            "type": "char_cnn_lstm",
            "filters": [[1, 16], [2, 16]],
            "cell_size": 64,
            "projection_size": 32,
        }
        save_model(
            place / "model", config={"encoder": node}, model=nn.ModuleDict({"encoder": build_bilm(node)})
        )
    if not (place / "in.txt").exists():
        generator = random.Random(2)
        lines = [" ".join(f"w{generator.randrange(3000)}" for _ in range(15)) for _ in range(8000)]
        (place / "in.aside").write_text("\n".join(lines))
        (place / "in.aside").rename(place / "in.txt")
    if (place / "out.h5").exists():
        return 0
    arguments = [
        f"{key}={place / name}"
        for key, name in (("model", "model"), ("input", "in.txt"), ("output", "out.h5"))
    ]
    return run_command(embed.main, config_name="embed", arguments=[*arguments, "progress=none", "device=cpu"])


def embedded(place: Path) -> dict[str, Any]:
    with h5py.File(place / "out.h5") as file:
        return {key: file[key][()] for key in file}


def are_near(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether vectors are equal within the rounding of single precision.

    A command that goes on has no words in its cache and computes them again in other batches.
    """
    return left.keys() == right.keys() and all(
        np.allclose(left[key], right[key], rtol=0, atol=1e-6)
        if left[key].dtype.kind == "f"
        else left[key] == right[key]
        for key in left
    )


def sweep(place: Path) -> int:
    """A sweep of twelve tiny runs, two at a time."""
    os.chdir(place)
    name = "text_classification, words"
    arguments = [
        text for text in arguments_of(name, place / "run", write_data(place)) if "output_dir" not in text
    ]
    values = ["seed=1,2,3,4,5,6", "optimizer.learning_rate=0.01,0.02", "name=swept", "launcher.jobs=2"]
    arguments.remove("optimizer.learning_rate=0.01")
    return run_sweep(["-m", *arguments, *STEPS, *values, "progress=none"], run=train.run_job)


def swept(place: Path) -> dict[str, Any]:
    """The table, and what each of the twelve runs has left."""
    path = place / "runs" / "swept"
    with (path / "summary.csv").open() as file:
        table = [_steady(row) for row in csv.DictReader(file)]
    runs = [run.parent for run in sorted(path.glob("*/metrics.json"))]
    assert len(table) == len(runs) == 12
    return {"table": table, **{run.name: run_result(run, place) for run in runs}}


TRAININGS = {
    "stream": training("language_model, stream, adaptive"),
    "sentences": training("language_model, sentences, adaptive"),
    "full softmax": training("language_model, sentences, full, tanh"),
    "sampled softmax": training("language_model, stream, sampled"),
    "sampled softmax, sparse": training("language_model, stream, sampled", "softmax.sparse=true"),
    "stored vectors": training("text_classification, stored vectors"),
    "fine-tuning": training("text_classification, fine-tuned biLM"),
    "questions": training("question_answering, words"),
}
SCENARIOS: dict[str, Scenario] = {
    "prepare": Scenario(prepare, prepared),
    **TRAININGS,
    "embed": Scenario(embed_text, embedded, are_near),
    "sweep": Scenario(sweep, swept, most=2),
}


def run_killed(
    scenario: Scenario, place: Path, *, most: int, seconds: float, generator: random.Random
) -> int:
    """Kill a scenario at most `most` times, then let it end; the number of kills.

    Args:
        seconds: how long it takes without a kill.
    """
    kills = 0
    while True:
        deadline = generator.uniform(0.02, seconds) if kills < most else None
        code = run_child(lambda: scenario.command(place), deadline=deadline)
        if code is not None:
            assert code == 0, f"exit code {code} after {kills} kills in {place}"
            return kills
        kills += 1
        scenario.check(place)


def run_child(work: Step, *, deadline: float | None) -> int | None:
    """The exit code of a forked process; None if it was killed after `deadline` seconds."""
    child = start_child(work)
    end = None if deadline is None else time.monotonic() + deadline
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.005)


def start_child(work: Step) -> int:
    """The process id of a forked process, which leads a group of its own; its output is dropped."""
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        code = work()
    finally:
        os._exit(code)


def kill_campaign(name: str, *, kills: int, seed: int) -> str:
    """A row of the table: kills, runs to the end, and whether all were equal to the one without a kill."""
    scenario, generator = SCENARIOS[name], random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory(prefix="kill-") as directory:
        reference, started = Path(directory, "reference"), time.monotonic()
        reference.mkdir()
        assert run_child(lambda: scenario.command(reference), deadline=None) == 0
        seconds, expected = time.monotonic() - started, scenario.result(reference)
        done = num_runs = num_equal = 0
        while done < kills:
            place = Path(directory, f"run-{num_runs}")
            place.mkdir()
            done += run_killed(scenario, place, most=scenario.most, seconds=seconds, generator=generator)
            num_runs += 1
            num_equal += scenario.is_same(scenario.result(place), expected)
            shutil.rmtree(place)
    return f"| {name} | {done} | {num_runs} | {num_equal} |"


def two_in_one_directory(place: Path) -> bool:
    """Two runs are started in one directory: one does all, the other says that it cannot."""
    name = "language_model, stream, adaptive"
    arguments = [*arguments_of(name, place / "run", write_data(place)), *STEPS]
    children = [
        start_child(lambda: run_command(train.main, config_name="train", arguments=arguments))
        for _ in range(2)
    ]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    alone = place / "alone"
    alone.mkdir()
    assert run_child(lambda: training(name).command(alone), deadline=None) == 0
    return codes == [0, 2] and run_result(place / "run") == run_result(alone / "run")


def four_prepare_one_corpus(place: Path) -> bool:
    """Four processes prepare one corpus: all end well, and there is one store of each split."""
    alone = place / "alone"
    alone.mkdir()
    assert prepare(alone) == 0
    shutil.copy(alone / "text.txt", place / "text.txt")
    children = [start_child(lambda: prepare(place)) for _ in range(4)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return codes == [0] * 4 and prepared(place) == prepared(alone)


def vectors_are_evicted(place: Path) -> bool:
    """The stores of a run are removed again and again while it reads them."""
    scenario = training("text_classification, stored vectors")
    alone = place / "alone"
    alone.mkdir()
    assert run_child(lambda: scenario.command(alone), deadline=None) == 0
    child, num_removed = start_child(lambda: scenario.command(place)), 0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        for store in (place / "cache" / "features").glob("*.npy"):
            store.unlink(missing_ok=True)
            num_removed += 1
        time.sleep(0.01)
    return status == 0 and num_removed > 0 and run_result(place / "run") == run_result(alone / "run")


def network_is_off(place: Path) -> bool:
    """A run without a network, in a name space of its own, is equal to one beside a network."""
    scenario = training("language_model, stream, adaptive")
    alone = place / "alone"
    alone.mkdir()
    assert run_child(lambda: scenario.command(alone), deadline=None) == 0

    def offline() -> int:
        import ctypes

        clone_newuser, clone_newnet = 0x10000000, 0x40000000
        if ctypes.CDLL(None, use_errno=True).unshare(clone_newuser | clone_newnet):
            return 77
        return scenario.command(place)

    code = run_child(offline, deadline=None)
    return code == 0 and run_result(place / "run") == run_result(alone / "run")


MEETINGS = {
    "two runs in one directory": two_in_one_directory,
    "four prepare one corpus": four_prepare_one_corpus,
    "vectors evicted while they are read": vectors_are_evicted,
    "network off": network_is_off,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the scenarios and print a table; 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", help=f"trainings, or some of {', '.join([*SCENARIOS, *MEETINGS])}"
    )
    parser.add_argument("--kills", type=int, default=20, help="of each scenario")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    chosen, is_good = options.scenarios or [*SCENARIOS, *MEETINGS], True
    if chosen == ["trainings"]:
        chosen = list(TRAININGS)
    print("| scenario | kills | runs to the end | equal |\n|---|---|---|---|", flush=True)
    for name in chosen:
        if name in SCENARIOS:
            row = kill_campaign(name, kills=options.kills, seed=options.seed)
            cells = row.split("|")
            is_good &= cells[3] == cells[4]
        else:
            with tempfile.TemporaryDirectory(prefix="meet-") as directory:
                held = MEETINGS[name](Path(directory))
            row, is_good = f"| {name} | | | {'yes' if held else 'NO'} |", is_good and held
        print(row, flush=True)
    return 0 if is_good else 1


REGISTRY.discover("elmo", "tasks", "experiments.training")

if __name__ == "__main__":
    sys.exit(main())
