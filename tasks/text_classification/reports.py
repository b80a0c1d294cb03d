"""What a classification leaves for its reader: predictions, a report for each label, a confusion matrix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elmo.files import write_aside
from tasks.text_classification.scores import Decision, confusion_matrix, label_scores

Table = tuple[list[str], list[list[Any]]]  # columns, rows

_LABELS_WITH_NUMBERS = 30  # a picture with more has colours alone
_LARGEST_PICTURE = 40.0  # inches


class Results(NamedTuple):
    """A model's logits for the texts of one split of the data, beside their labels.

    Shape legend: N texts, V labels.

    Attributes:
        names: of the texts.
        labels: V.
        logits: (N, V).
        gold: (N, V) bool.
        decision: from logits to labels.
    """

    names: Sequence[str]
    labels: Sequence[str]
    logits: Tensor
    gold: Tensor
    decision: Decision

    def predicted(self) -> Tensor:
        """(N, V) bool."""
        return self.decision.labels(self.logits)


def answer(logits_V: Tensor, labels: Sequence[str], decision: Decision) -> dict[str, Any]:
    """What is told of one text: `label` and its `probability`, or `labels`; `probabilities` of all."""
    probabilities = dict(zip(labels, decision.probabilities(logits_V[None])[0].tolist(), strict=True))
    chosen = names_of(decision.labels(logits_V[None])[0], labels)
    if decision.multi_label:
        return {"labels": chosen, "probabilities": probabilities}
    return {"label": chosen[0], "probability": probabilities[chosen[0]], "probabilities": probabilities}


def names_of(chosen_V: Tensor, labels: Sequence[str]) -> list[str]:
    """The names of the labels that a boolean row has."""
    return [labels[index] for index in chosen_V.nonzero().flatten().tolist()]


def tables(results: Results, split: str) -> dict[str, Table]:
    """The report of each label and, where a text has exactly one, the confusion matrix; by name."""
    found = {f"{split}/labels": label_scores(results.predicted(), results.gold, results.labels)}
    if not results.decision.multi_label:
        rows = confusion_matrix(results.predicted(), results.gold).tolist()
        named = [[label, *row] for label, row in zip(results.labels, rows, strict=True)]
        found[f"{split}/confusion"] = (["gold", *(f"predicted {label}" for label in results.labels)], named)
    return found


def write_reports(path: Path, results: Results, split: str) -> None:
    """Write `predictions/<split>.jsonl`, `predictions/<split>_labels.json` and `plots/confusion.png`."""
    with write_aside(path / "predictions" / f"{split}.jsonl") as aside:
        aside.write_text("".join(f"{line}\n" for line in _lines(results)), encoding="utf-8")
    columns, rows = label_scores(results.predicted(), results.gold, results.labels)
    report = {row[0]: dict(zip(columns[1:], row[1:], strict=True)) for row in rows}
    with write_aside(path / "predictions" / f"{split}_labels.json") as aside:
        aside.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not results.decision.multi_label:
        counts_VV = confusion_matrix(results.predicted(), results.gold)
        with write_aside(path / "plots" / "confusion.png") as aside:
            draw_confusion(aside, counts_VV, results.labels)


def draw_confusion(path: Path, counts_VV: Tensor, labels: Sequence[str]) -> None:
    """A PNG of counts, gold labels down, predicted ones across, coloured by the share of the gold label."""
    from matplotlib.figure import Figure  # takes a second to import

    size = min(2.5 + 0.45 * len(labels), _LARGEST_PICTURE)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    shares_VV = counts_VV / counts_VV.sum(dim=1, keepdim=True).clamp_min(1)
    image = axes.imshow(shares_VV.numpy(), cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the gold label")
    axes.set_xticks(range(len(labels)), [_literal(label) for label in labels], rotation=90)
    axes.set_yticks(range(len(labels)), [_literal(label) for label in labels])
    axes.set(xlabel="predicted", ylabel="gold")
    if len(labels) <= _LABELS_WITH_NUMBERS:
        for row, column in torch.cartesian_prod(*[torch.arange(len(labels))] * 2).tolist():
            colour = "white" if shares_VV[row, column] > 0.5 else "black"
            text = str(int(counts_VV[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, format="png", dpi=120)


def _lines(results: Results) -> list[str]:
    """JSON of each text: its name, its gold labels, and the answer."""
    multi_label, lines = results.decision.multi_label, []
    for name, logits_V, gold_V in zip(results.names, results.logits, results.gold, strict=True):
        gold = names_of(gold_V, results.labels)
        said = {"name": name, "gold": gold if multi_label else gold[0]}
        said |= answer(logits_V, results.labels, results.decision)
        lines.append(json.dumps(said, ensure_ascii=False))
    return lines


def _literal(label: str) -> str:
    """A label for a picture: matplotlib reads formulas between dollars."""
    return label.replace("$", r"\$")
