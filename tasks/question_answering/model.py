"""The model of question answering, from the words of passages and questions to scores of answers.

Shape legend: B pairs of a window and a question, T words of the longest text, P size of a word's vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.heads.span_head import SpanHead, SpanScores, Words
from tasks.question_answering.examples import QuestionBatch
from tasks.question_answering.scores import NEVER
from tasks.question_answering.word_matches import match_features
from tasks.supervised.representation import Representation, WindowBatch


class Answerer(nn.Module):
    """Representation of passage and question alike, joined by which words both have, and a head.

    Args:
        representation: gives the words their vectors.
        head: scores the passages' words.
        word_features: whether the head gets `match_features` beside the vectors.

    Attributes:
        no_answer_threshold: the probability of there being no answer above which none is given; part of the
            model's state, as it is chosen for the weights.
    """

    no_answer_threshold: Tensor

    def __init__(self, *, representation: Representation, head: SpanHead, word_features: bool) -> None:
        super().__init__()
        self.representation = representation
        self.head = head
        self.word_features = word_features
        self.register_buffer("no_answer_threshold", torch.tensor(NEVER))

    def forward(self, batch: QuestionBatch) -> SpanScores:
        """The scores of the passages' words; every text has one word at least."""
        scores = self.head(
            self._words(batch.passages, batch.questions), self._words(batch.questions, batch.passages)
        )
        return SpanScores(*(tensor.float() for tensor in scores))  # bfloat16 is too coarse for the loss

    def _words(self, texts: WindowBatch, others: WindowBatch) -> Words:
        words = self.representation(texts)
        if not self.word_features:
            return words
        matches_BTF = match_features(texts.windows, others.windows).to(words.vectors)
        return words._replace(vectors=torch.cat([words.vectors, matches_BTF], dim=2))
