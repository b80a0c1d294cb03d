"""The learning curves of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tasks.pictures import picture

_SMOOTHED = "_smoothed"


def draw_curves(path: Path, metrics_log_path: Path, *, metric: str) -> None:
    """Draw the training loss with the learning rate, and the metric on dev, from the events of a run.

    Args:
        path: of the PNG.
        metrics_log_path: metrics.jsonl, in which a value that is not finite is null.
        metric: the score that selects the best model.
    """
    events = [json.loads(line) for line in metrics_log_path.read_text(encoding="utf-8").splitlines()]
    smoothed = next((key for event in events for key in event if key.endswith(_SMOOTHED)), None)
    with picture(path, size=(10, 4)) as figure:
        training, scores = figure.subplots(1, 2, sharex=True)
        if smoothed is not None:
            loss = smoothed.removesuffix(_SMOOTHED)
            training.plot(*_points(events, loss), color="lightsteelblue", label=loss)
            training.plot(*_points(events, smoothed), color="tab:blue", label="smoothed")
        rates = training.twinx()
        rates.plot(*_points(events, "train/learning_rate"), color="tab:orange", label="learning rate")
        rates.set(ylabel="learning rate", ylim=(0, None))
        training.set(xlabel="step", ylabel="loss in nats")
        figure.legend(loc="outside upper left", ncols=3)
        scores.plot(*_points(events, metric), color="tab:green", marker="o")
        scores.set(xlabel="step", ylabel=metric)


def _points(events: list[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    found = [(event["step"], event[key]) for event in events if event.get(key) is not None]
    return [step for step, _ in found], [value for _, value in found]
