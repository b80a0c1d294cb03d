"""Baselines without training: the sentence most similar to the question, and never answering."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from tasks.question_answering.examples import AskedQuestion, QuestionExamples
from tasks.question_answering.scores import NEVER, Prediction, has_unanswerable, score_answers


def score_baselines(test: QuestionExamples) -> dict[str, float]:
    """Test scores of the most similar sentence and, if some questions have no answer, of never answering."""
    golds, sentences = test.golds(), most_similar_sentences(test)
    figures = {"test/sentence": score_answers(golds, sentences, threshold=NEVER)}
    if has_unanswerable(golds):
        never = {id: prediction._replace(text="") for id, prediction in sentences.items()}
        figures["test/never"] = score_answers(golds, never, threshold=NEVER)
    return {
        f"{name}_{metric}": found[metric]
        for name, found in figures.items()
        for metric in ("exact_match", "f1")
    }


def most_similar_sentences(examples: QuestionExamples) -> dict[str, Prediction]:
    """For each question, by its id, the sentence of its passage that shares most words with it.

    A shared word, in any case, has the weight log(1 + 1 / its count in the passage) (Richardson et al. 2013,
    section 4.1); of equal sentences the first is chosen.
    """
    return {question.id: Prediction(_answer(examples, question), 0.0) for question in examples.questions}


def _answer(examples: QuestionExamples, question: AskedQuestion) -> str:
    text, context = examples.passages[question.passage], examples.contexts[question.passage]
    words = [word.lower() for word in text.words]
    counts = Counter(words)
    asked = {word.lower() for sentence in question.window for word in sentence}

    def shared(bounds: tuple[int, int]) -> float:
        common = asked.intersection(words[slice(*bounds)])
        return math.fsum(math.log1p(1 / counts[word]) for word in common)  # a set has no order: exact

    start, stop = max(pairwise([*text.sentence_starts, len(words)]), key=shared, default=(0, 0))
    return context[text.starts[start] : text.ends[stop - 1]] if words else ""
