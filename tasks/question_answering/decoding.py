"""Decoding: from scores of words to the most probable spans and their text.

All spans and "no answer" share one distribution (Clark and Gardner 2018, section 3.3): a span's score is the
sum of the start score of its first word and the end score of its last word.

Shape legend: B windows of passages, each with a question, T words of the longest one, K words of the longest
answer, N best spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.heads.span_head import SpanScores
from tasks.question_answering.scores import Prediction
from tasks.supervised.located_text import LocatedText

NO_ANSWER = -1  # index of the first and the last word if there is no answer


class BestSpans(NamedTuple):
    """The most probable spans of windows.

    Attributes:
        first, last: (B, N) indices of the first and the last word (inclusive), the most probable span first.
        log_probability: (B, N); -inf if a window has fewer spans.
        no_answer_log_probability: (B,).
    """

    first: Tensor
    last: Tensor
    log_probability: Tensor
    no_answer_log_probability: Tensor


class FoundAnswer(NamedTuple):
    """`text == context[start:end]`, counted in characters, and its probability within its window."""

    text: str
    start: int
    end: int
    probability: float


class FoundAnswers(NamedTuple):
    """The answers found in a passage.

    Attributes:
        best: most probable first; empty if the passage or the question has no words.
        no_answer_probability: the minimum over the passage's windows.
    """

    best: list[FoundAnswer]
    no_answer_probability: float


def span_losses(scores: SpanScores, first_B: Tensor, last_B: Tensor) -> Tensor:
    """(B,) the negative log-probability of the gold span, or of no answer, in nats."""
    span_B = _at(scores.start, first_B) + _at(scores.end, last_B)
    return _log_total(scores) - torch.where(first_B == NO_ANSWER, scores.no_answer, span_B)


def best_spans(scores: SpanScores, *, num_best: int, max_answer_words: int) -> BestSpans:
    """The most probable spans of at most `max_answer_words` words."""
    later_BTK = F.pad(scores.end, (0, max_answer_words - 1), value=-torch.inf).unfold(1, max_answer_words, 1)
    spans_BTK = scores.start[:, :, None] + later_BTK
    best_BN, place_BN = spans_BTK.flatten(1).topk(min(num_best, spans_BTK[0].numel()))
    first_BN = place_BN.div(max_answer_words, rounding_mode="floor")
    total_B = _log_total(scores)
    return BestSpans(
        first=first_BN,
        last=first_BN + place_BN % max_answer_words,
        log_probability=best_BN - total_B[:, None],
        no_answer_log_probability=scores.no_answer - total_B,
    )


def merge_windows(
    context: str, text: LocatedText, windows: Iterable[tuple[int, BestSpans]], *, num_best: int
) -> FoundAnswers:
    """The answers of a passage to one question, from all its windows.

    Args:
        context: the raw passage.
        text: its words.
        windows: for each window, the index of its first word, and its spans as tensors without the axis B.
        num_best: number of answers to keep.
    """
    found: dict[tuple[int, int], float] = {}
    no_answer = 0.0
    for offset, spans in windows:
        no_answer = min(no_answer, spans.no_answer_log_probability.item())
        for first, last, value in zip(*(tensor.tolist() for tensor in spans[:3]), strict=True):
            place = (offset + first, offset + last)
            found[place] = max(value, found.get(place, value))
    best = sorted((-value, place) for place, value in found.items() if value > -torch.inf)[:num_best]
    places = [(int(text.starts[first]), int(text.ends[last])) for _, (first, last) in best]
    probabilities = torch.tensor([no_answer, *(-value for value, _ in best)]).exp().tolist()
    answers = [
        FoundAnswer(context[a:b], a, b, p) for (a, b), p in zip(places, probabilities[1:], strict=True)
    ]
    return FoundAnswers(answers, probabilities[0])


def _log_total(scores: SpanScores) -> Tensor:
    """(B,) log-sum-exp over "no answer" and all pairs of start and end, even those with end before start."""
    return torch.logaddexp(scores.no_answer, scores.start.logsumexp(1) + scores.end.logsumexp(1))


def _at(scores_BT: Tensor, word_B: Tensor) -> Tensor:
    return scores_BT.gather(1, word_B.clamp_min(0)[:, None]).squeeze(1)


def predictions_of(found: Mapping[str, FoundAnswers]) -> dict[str, Prediction]:
    """The best answer to each question and the probability of no answer, by the question's id."""
    return {
        id: Prediction(answers.best[0].text if answers.best else "", answers.no_answer_probability)
        for id, answers in found.items()
    }
