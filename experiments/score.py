"""Log-probabilities of words under a biLM: `python -m experiments.score run=DIR input=FILE output=FILE`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from elmo.errors import InputError
from elmo.files import atomic_write, json_text, refuse_existing, utf8_output
from experiments.config.command import run_command
from experiments.config.schema import ScoreConfig
from experiments.io.line_reader import STANDARD_STREAM

if TYPE_CHECKING:
    import numpy as np

    from experiments.io.sentence_reader import Sentence
    from tasks.language_model.scores import SentenceScore

WINDOW_WORDS = 65_536  # words of the sentences that are sorted by length together


def main(config: ScoreConfig, overrides: list[str]) -> None:
    """Write a line of JSON for every sentence, and print the total perplexity to standard error."""
    from elmo.device import choose_device
    from elmo.io.model_directory import read_model
    from elmo.registry import REGISTRY
    from experiments.io.sentence_reader import SentenceReader, windows
    from experiments.logging.progress import make_progress
    from experiments.training.process import set_up_process
    from tasks.language_model.model import load_language_model
    from tasks.language_model.scores import score_sentences

    if config.output != STANDARD_STREAM:
        refuse_existing(Path(config.output))
    saved = read_model(Path(config.run))
    model, vocabulary = load_language_model(saved, name=config.run)
    reader = SentenceReader(
        config.input,
        tokenizer=REGISTRY.build("tokenizer", config.tokenizer or saved.config["tokenizer"]),
        field=config.field,
        prose=config.prose,
        language=config.language,
    )
    device = choose_device(config.device)
    set_up_process(num_threads=config.num_threads, device=device)
    model.to(device)
    totals = _Totals()
    with (
        _opened(config.output) as output,
        make_progress(config.progress.value, title="scoring") as progress,
    ):
        for window in windows(iter(reader), num_words=WINDOW_WORDS):
            scores = score_sentences(
                model,
                vocabulary,
                [sentence.words for sentence in window],
                tokens_per_batch=config.tokens_per_batch,
                device=device,
            )
            for sentence, score in zip(window, scores, strict=True):
                output.write(json_text(_row(sentence, score)) + "\n")
                totals.add(score)
            progress.update(fraction=reader.fraction, tokens=totals.num_words, sentences=totals.num_sentences)
        if not totals.num_sentences:
            raise InputError(f"{reader.name}: no sentence to score")
    print(totals, file=sys.stderr)


def _row(sentence: Sentence, score: SentenceScore) -> dict[str, Any]:
    """A sentence's line of output; a sentence without words has no perplexities."""
    row: dict[str, Any] = {
        "line": sentence.line,
        "words": sentence.words,
        "unknown": score.unknown,
        "forward": _rounded(score.forward[:-1]),
        "backward": _rounded(score.backward[1:]),
    }
    if not sentence.words:
        return row
    forward, backward = float(score.forward.sum()), float(score.backward.sum())
    num_predictions = len(score.forward)
    return row | {
        "forward_end": _rounded(score.forward[-1:])[0],
        "backward_end": _rounded(score.backward[:1])[0],
        "forward_log_probability": round(forward, 5),
        "backward_log_probability": round(backward, 5),
        "forward_perplexity": _perplexity(forward, num_predictions),
        "backward_perplexity": _perplexity(backward, num_predictions),
        "perplexity": _perplexity((forward + backward) / 2, num_predictions),
    }


class _Totals:
    """Sums over all sentences that have words."""

    def __init__(self) -> None:
        self.num_sentences = self.num_words = self.num_unknown = self.num_predictions = 0
        self._forward = self._backward = 0.0

    def add(self, score: SentenceScore) -> None:
        self.num_sentences += 1
        if score.unknown:
            self.num_words += len(score.unknown)
            self.num_unknown += sum(score.unknown)
            self.num_predictions += len(score.forward)
            self._forward += float(score.forward.sum(dtype=float))
            self._backward += float(score.backward.sum(dtype=float))

    def __str__(self) -> str:
        counts = (
            f"{self.num_sentences:,} sentences, {self.num_words:,} words, "
            f"{self.num_unknown / max(1, self.num_words):.2%} unknown"
        )
        if not self.num_predictions:
            return counts
        forward, backward = (
            _perplexity(total, self.num_predictions) for total in (self._forward, self._backward)
        )
        mean = _perplexity((self._forward + self._backward) / 2, self.num_predictions)
        return f"{counts}; perplexity {mean:,.2f} (forward {forward:,.2f}, backward {backward:,.2f})"


def _rounded(logs: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in logs]


def _perplexity(log_probability: float, num_predictions: int) -> float:
    return round(math.exp(min(-log_probability / num_predictions, 700.0)), 4)


@contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    if output == STANDARD_STREAM:
        yield utf8_output()
        return
    with atomic_write(Path(output)) as aside, aside.open("w", encoding="utf-8") as file:
        yield file


def command() -> int:
    """`elmo-score`, which is `python -m experiments.score`: the exit code."""
    return run_command(main, config_name="score")


if __name__ == "__main__":
    sys.exit(command())
