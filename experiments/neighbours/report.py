"""What was found, on the terminal and as files: JSON lines, a table as in the paper, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elmo.files import atomic_write, json_text
from experiments.logging.progress import Cell, summary_table
from experiments.neighbours.context_free import ContextFree
from experiments.neighbours.queries import Occurrence, Query

_AROUND = 40  # letters on each side of a word, of a sentence that is not shown whole
_MARKDOWN = re.compile(r"([\\|*_<>\[\]`#])")
_COLUMNS = ["source", "query", "rank", "cosine", "word", "sense", "line", "sentence"]


@dataclass(frozen=True)
class Neighbours:
    """All that was found.

    Attributes:
        word: that was looked for.
        encoder: the model and its layer, in words.
        method: how was searched, in words.
        context_free: the nearest words whatever the sentence.
        queries: occurrences of the word.
        found: for each query the nearest tokens and their cosines, the nearest first.
    """

    word: str
    encoder: str
    method: str
    context_free: ContextFree
    queries: Sequence[Query]
    found: Sequence[Sequence[tuple[Occurrence, float]]]


def marked(occurrence: Occurrence, *, marks: tuple[str, str] = ("[", "]")) -> str:
    """The sentence of an occurrence, whose word stands between two marks."""
    before, word, after = _parts(occurrence)
    return " ".join(filter(None, [before, f"{marks[0]}{word}{marks[1]}", after]))


def around(occurrence: Occurrence, *, width: int = _AROUND) -> str:
    """The same, at most some letters on each side of the word."""
    before, word, after = _parts(occurrence)
    if len(before) > width:
        before = f"...{before[-width:].partition(' ')[2] or before[-width:]}"
    if len(after) > width:
        after = f"{after[:width].rpartition(' ')[0] or after[:width]}..."
    return " ".join(filter(None, [before, f"[{word}]", after]))


def print_neighbours(result: Neighbours) -> None:
    """A line for the context-free vectors, and a table for each query."""
    print(f"\n{result.context_free.source}: {_listed(result.context_free, result.word)}")
    has_senses = any(occurrence.sense is not None for found in result.found for occurrence, _ in found)
    for number, (query, found) in enumerate(zip(result.queries, result.found, strict=True), start=1):
        print(f"\n{_heading(number, query.occurrence)}: {marked(query.occurrence)}")
        rows: list[list[Cell]] = []
        for occurrence, score in found:
            sense = [occurrence.sense or ""] * has_senses
            rows.append([f"{score:.3f}", occurrence.word, *sense, occurrence.line, around(occurrence)])
        summary_table(rows, columns=["cosine", "word", *["sense"] * has_senses, "line", "sentence"])
        agreement = _agreement(query.occurrence, found)
        if agreement:
            print(agreement)


def write_neighbours(result: Neighbours, path: Path) -> None:
    """Write neighbours.jsonl, neighbours.md and neighbours.csv into a directory."""
    texts = {
        "neighbours.jsonl": "".join(f"{json_text(line)}\n" for line in _records(result)),
        "neighbours.md": _markdown(result),
        "neighbours.csv": _csv(result),
    }
    for name, text in texts.items():
        with atomic_write(path / name) as aside:
            aside.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")


def _parts(occurrence: Occurrence) -> tuple[str, str, str]:
    words, position = occurrence.words, occurrence.position
    return " ".join(words[:position]), words[position], " ".join(words[position + 1 :])


def _listed(found: ContextFree, word: str) -> str:
    if not found.neighbours:
        return f"has no vector of {word!r}"
    return ", ".join(f"{neighbour} {score:.3f}" for neighbour, score in found.neighbours)


def _heading(number: int, occurrence: Occurrence) -> str:
    facts = [f"query {number}"] + [f"line {occurrence.line}"] * (occurrence.line is not None)
    return ", ".join([*facts, *filter(None, [occurrence.sense])])


def _agreement(occurrence: Occurrence, found: Sequence[tuple[Occurrence, float]]) -> str:
    """How many of a word's own occurrences that were found have the query's sense, if that is known."""
    senses = [other.sense for other, _ in found if other.word == occurrence.word and other.sense is not None]
    if occurrence.sense is None or not senses:
        return ""
    alike = senses.count(occurrence.sense)
    return f"of {len(senses)} tokens of {occurrence.word!r} with a known sense, {alike} have the query's"


def _records(result: Neighbours) -> list[dict[str, Any]]:
    words = [{"word": word, "cosine": score} for word, score in result.context_free.neighbours]
    records: list[dict[str, Any]] = [
        {"source": result.context_free.source, "word": result.word, "neighbours": words}
    ]
    for query, found in zip(result.queries, result.found, strict=True):
        neighbours = [{"cosine": score, **_record(occurrence)} for occurrence, score in found]
        records.append(
            {
                "source": result.encoder,
                "method": result.method,
                "query": _record(query.occurrence),
                "neighbours": neighbours,
            }
        )
    return records


def _record(occurrence: Occurrence) -> dict[str, Any]:
    return {
        "word": occurrence.word,
        "position": occurrence.position,
        "line": occurrence.line,
        "sense": occurrence.sense,
        "words": occurrence.words,
    }


def _markdown(result: Neighbours) -> str:
    """The table of the paper (Peters et al. 2018, table 4), with all neighbours."""
    lines = [
        f"Nearest neighbours of {_plain(result.word)} by {_plain(result.encoder)}; {_plain(result.method)}.",
        "",
    ]
    lines += ["| source | nearest neighbours |", "| --- | --- |"]
    lines.append(
        f"| {_plain(result.context_free.source)} | {_plain(_listed(result.context_free, result.word))} |"
    )
    for query, found in zip(result.queries, result.found, strict=True):
        cells = [f"{score:.3f} {_bold(occurrence)}" for occurrence, score in found]
        lines.append(f"| {_bold(query.occurrence)} | {'<br>'.join(cells)} |")
    return "\n".join([*lines, ""])


def _bold(occurrence: Occurrence) -> str:
    before, word, after = map(_plain, _parts(occurrence))
    return " ".join(filter(None, [before, f"**{word}**", after]))


def _plain(text: str) -> str:
    """A text for a cell of Markdown."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _csv(result: Neighbours) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for rank, (word, score) in enumerate(result.context_free.neighbours, start=1):
        writer.writerow([result.context_free.source, result.word, rank, f"{score:.6f}", word, "", "", ""])
    for query, found in zip(result.queries, result.found, strict=True):
        asked = marked(query.occurrence)
        for rank, (occurrence, score) in enumerate(found, start=1):
            place = [occurrence.word, occurrence.sense or "", occurrence.line, marked(occurrence)]
            writer.writerow([result.encoder, asked, rank, f"{score:.6f}", *place])
    return text.getvalue()
