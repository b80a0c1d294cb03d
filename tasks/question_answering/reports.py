"""What question answering leaves for its reader: predictions as SQuAD has them, and unusable answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.files import write_aside
from tasks.question_answering.decoding import FoundAnswers
from tasks.question_answering.examples import UnusableAnswer
from tasks.question_answering.scores import Prediction

Table = tuple[list[str], list[list[Any]]]  # columns, rows


def predictions_of(found: Mapping[str, FoundAnswers]) -> dict[str, Prediction]:
    """The best answer to each question, by its id, and the probability that there is none."""
    return {
        id: Prediction(answers.best[0].text if answers.best else "", answers.no_answer_probability)
        for id, answers in found.items()
    }


def write_predictions(path: Path, split: str, found: Mapping[str, FoundAnswers], *, threshold: float) -> None:
    """Write three files to `predictions/`, each an object of questions by id.

    `<split>.json`: the answer, in the format of SQuAD's evaluation scripts, empty where there is none.
    `<split>_no_answer.json`: the probability of there being none, as the script of SQuAD 2.0 takes it.
    `<split>_n_best.json`: the most probable answers with their places in characters.

    Args:
        path: the run's directory.
        split: of the data.
        found: by the question's id.
        threshold: of that probability, above which no answer is given.
    """
    predictions = predictions_of(found)
    contents: dict[str, Any] = {
        "": {
            id: best.text if best.no_answer_probability <= threshold else ""
            for id, best in predictions.items()
        },
        "_no_answer": {id: best.no_answer_probability for id, best in predictions.items()},
        "_n_best": {id: [answer._asdict() for answer in answers.best] for id, answers in found.items()},
    }
    for name, content in contents.items():
        with write_aside(path / "predictions" / f"{split}{name}.json") as aside:
            aside.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def write_unusable(path: Path, unusable: Mapping[str, Sequence[UnusableAnswer]]) -> None:
    """Write `unusable_answers.jsonl` into the run's directory if a split of the data has such answers."""
    lines = [
        json.dumps({"split": split, **answer._asdict()}, ensure_ascii=False) + "\n"
        for split, answers in unusable.items()
        for answer in answers
    ]
    if lines:
        with write_aside(path / "unusable_answers.jsonl") as aside:
            aside.write_text("".join(lines), encoding="utf-8")
