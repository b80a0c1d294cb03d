"""Run directories as training leaves them, with made-up scores: for comparisons of many runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

CONFIG: dict[str, Any] = {
    "task": {"type": "text_classification", "dropout": 0.3},
    "data": {"type": "labelled_files", "train": "train.csv", "test": "test.csv", "fraction": 1.0},
    "tokenizer": {"type": "whitespace"},
    "encoder": {"type": "word", "size": 8},
    "softmax": None,
    "head": {"type": "pooled", "pooling": ["mean"], "hidden_size": None},
    "optimizer": {"type": "torch_optimizer", "name": "AdamW", "learning_rate": 0.01},
    "trainer": {"batch_size": 4, "accumulate_batches": 1, "max_epochs": 15.0, "num_threads": 1}
    | {"metric": "dev/accuracy", "metric_goal": "maximize", "device": "cpu"},
    "logger": {"wandb": "disabled", "tags": []},
    "seed": 1,
    "name": None,
    "output_dir": None,
    "cache_dir": "/cache",
    "init_from": None,
}
CHOICES = {"task": "text_classification", "data": "labelled_files", "tokenizer": "whitespace"}
CHOICES |= {"encoder": "word", "head": "pooled", "optimizer": "adamw", "trainer": "default", "logger": "none"}
START: dict[str, Any] = {
    "time": "2026-01-01T00:00:00+00:00",
    "step": 0,
    "overrides": [],
    "command": "python -m experiments.train",
    "git": {"commit": "0123456789abcdef", "dirty": False},
    "python": "3.11.7",
    "packages": {"elmo-experiments": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
    "cpu": "Made-up CPU",
    "cores": 2,
    "accelerators": [],
    "threads": 1,
    "seed": 1,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "encoder": {
        "word": {"type": "word", "size": 8},
        "elmo": {"type": "elmo"},
        "char_cnn": {"type": "char_cnn", "filters": [[1, 8]]},
    },
    "head": {
        "pooled": CONFIG["head"],
        "bilstm": {"type": "bilstm", "hidden_size": 8},
        "cnn": {"type": "cnn", "widths": [2, 3]},
    },
    "data": {
        "labelled_files": CONFIG["data"],
        **{
            name: {**CONFIG["data"], "train": f"{name}.csv"} for name in ("trec", "sst2", "mr", "imdb", "bbc")
        },
    },
}


def write_run(
    path: Path,
    score: float | None,
    *,
    dev: float | None = None,
    examples: Sequence[float] | None = None,
    ratios: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    state: str = "finished",
    **changes: Any,
) -> Path:
    """Write the directory of a run.

    Args:
        path: of it.
        score, dev: accuracies on test and dev, by default the same.
        examples: test accuracies of each example.
        ratios: numerators and denominators of each of these examples, by metric.
        figures: more final figures.
        start: changes of the start in environment.json.
        state: `finished`, `unfinished` or `failed`.
        changes: an option of a group, as `encoder="elmo"`, or a value, as `seed=2` and `task__dropout=0.1`.
    """
    path.mkdir(parents=True)
    config, choices = _config(changes)
    values = {"defaults": [{f"override /{group}": option} for group, option in choices.items()], **config}
    (path / "config.yaml").write_text("# @package _global_\n" + yaml.safe_dump(values, sort_keys=False))
    fingerprints = {split: f"{split} of {choices['data']}" for split in ("train", "dev", "test")}
    record = {**START, "seed": config["seed"], "data_fingerprints": fingerprints, **(start or {})}
    _write(path / "environment.json", {"starts": [{**record, "config": config}]})
    (path / "metrics.jsonl").write_text('{"step": 10, "seconds": 36.0, "train/loss": 1.0}\n')
    if state == "finished":
        _write(path / "metrics.json", {**_figures(score, score if dev is None else dev), **(figures or {})})
    if state == "failed":
        _write(
            path / "failure.json", {"time": "now", "reason": "out of memory", "exit_code": 137, "attempts": 1}
        )
    if examples is not None:
        (path / "predictions").mkdir()
        stored = {"ids": [f"e{i}" for i in range(len(examples))], "scores": {"accuracy": list(examples)}}
        stored["ratios"] = dict(ratios or {})
        _write(path / "predictions" / "test_scores.json", stored)
    return path


def _config(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    config, choices = copy.deepcopy(CONFIG), dict(CHOICES)
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            config[section][name] = value
        elif key in OPTIONS:
            config[key], choices[key] = dict(OPTIONS[key][value]), value
        else:
            config[key] = value
    return config, choices


def _figures(score: float | None, dev: float | None) -> dict[str, Any]:
    return {
        "facts/parameters": 1000,
        "facts/parameters_trained": 900,
        "facts/parameters_frozen": 100,
        "dev/accuracy": dev,
        "test/accuracy": score,
        "test/macro_f1": score,
        "train/steps": 10,
        "train/best_step": 10,
        "seconds": 72.0,
        "peak_memory_bytes": 2**30,
    }


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
