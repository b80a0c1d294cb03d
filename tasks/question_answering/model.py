"""The question answering model, its training, and its answers.

Shape legend: B pairs of a window and a question, T words of the longest text, P size of a word's vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.heads.span_head import SpanHead, SpanScores, Words
from tasks.processes import Processes
from tasks.question_answering.decoding import (
    BestSpans,
    FoundAnswers,
    best_spans,
    merge_windows,
    predictions_of,
    span_losses,
)
from tasks.question_answering.examples import QuestionBatch, QuestionExamples
from tasks.question_answering.scores import NEVER, best_threshold, has_unanswerable, score_answers
from tasks.question_answering.word_matches import match_features
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatches, evaluation_order
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.representation import Representation, WindowBatch
from tasks.supervised.training import SupervisedTraining
from tasks.task import Reports, Setup, Tell, tell_nobody, told


class Answerer(nn.Module):
    """A shared representation of passage and question, optional features of shared words, and a head.

    Args:
        representation: computes the words' vectors.
        head: scores the passages' words.
        word_features: concatenate `match_features` to the vectors.

    Attributes:
        no_answer_threshold: if the probability of no answer is above it, the prediction is "no answer"; part
            of the model's state, as it is chosen for its weights.
    """

    no_answer_threshold: Tensor

    def __init__(self, *, representation: Representation, head: SpanHead, word_features: bool) -> None:
        super().__init__()
        self.representation = representation
        self.head = head
        self.word_features = word_features
        self.register_buffer("no_answer_threshold", torch.tensor(NEVER))

    def forward(self, batch: QuestionBatch) -> SpanScores:
        """The scores of the passages' words; every text has at least one word."""
        scores = self.head(
            self._words(batch.passages, batch.questions), self._words(batch.questions, batch.passages)
        )
        return SpanScores(
            *(tensor.float() for tensor in scores)
        )  # bfloat16 is not precise enough for the loss

    def _words(self, texts: WindowBatch, others: WindowBatch) -> Words:
        words = self.representation(texts)
        if not self.word_features:
            return words
        matches_BTF = match_features(texts.windows, others.windows).to(words.vectors)
        return words._replace(vectors=torch.cat([words.vectors, matches_BTF], dim=2))


class Decoding(NamedTuple):
    """How scores become answers.

    Attributes:
        max_answer_words: largest number of words in an answer.
        num_best: number of answers to keep for each question.
    """

    max_answer_words: int
    num_best: int


class Found(NamedTuple):
    """A model's answers and loss.

    Attributes:
        answers: for each question.
        loss: the mean over the pairs with a known target, in nats; nan if there are none.
    """

    answers: list[FoundAnswers]
    loss: float


class QuestionAnsweringTraining(SupervisedTraining):
    """The training of a model of question answering (see `tasks.task.Training`).

    The trainer counts pairs of a question and a window of its passage as examples.

    Args:
        setup: the setup of the training.
        model: on its device.
        encoder: the parts of the model's encoder.
        examples: the questions of each split; some can be learned from.
        decoding: how scores become answers.
        reports: the reports of the same model.
    """

    model: Answerer

    def __init__(
        self,
        *,
        setup: Setup,
        model: Answerer,
        encoder: EncoderParts,
        examples: Mapping[Split, QuestionExamples],
        decoding: Decoding,
        reports: Reports,
    ) -> None:
        self.setup, self.model, self.encoder = setup, model, encoder
        self.examples, self.decoding, self.reports = examples, decoding, reports
        self.learnable = examples["train"].learnable()
        self.units_per_epoch = len(self.learnable.pairs)
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)
        self._batches = self.batches()

    def batches(self) -> ExampleBatches[QuestionBatch]:
        """An endless iterator over training batches: shuffled in every epoch, similar lengths together."""
        self._batches = ExampleBatches(
            lengths=self.learnable.lengths(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=self.learnable.batch,
            processes=self.setup.processes,
        )
        return self._batches

    def loss(self, batch: QuestionBatch) -> Tensor:
        """The mean negative log-probability of the gold spans in nats, plus the mixes' penalty."""
        if self.encoder.fine_tuning.unfreeze_every is not None:
            self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        batch = batch.to(self.setup.device)
        losses_B = span_losses(self.model(batch), batch.first_B, batch.last_B)
        return losses_B.mean() + self.model.representation.penalty()

    def describe(self, batch: QuestionBatch) -> str:
        """A batch's name for messages, with the ids of its first questions."""
        return f"the batch of the questions {', '.join(batch.ids[:3])}{', ...' if len(batch.ids) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The current scores on the dev split.

        If some of its questions have no answer, the model's threshold is set to the one with the best F1.
        """
        dev = self.examples["dev"]
        found = find_answers(
            self.model,
            dev,
            batch_size=self.setup.batch_size,
            decoding=self.decoding,
            split="dev",
            tell=self.setup.tell,
            processes=self.setup.processes,
        )
        golds, predictions = dev.golds(), predictions_of(dev.by_id(found.answers))
        threshold = NEVER
        if has_unanswerable(golds):
            _, threshold = best_threshold(golds, predictions, metric="f1")
        self.model.no_answer_threshold.fill_(threshold)
        figures = {"loss": found.loss, **score_answers(golds, predictions, threshold=threshold)}
        return {f"dev/{name}": value for name, value in figures.items()}


@torch.no_grad()
def find_answers(
    model: Answerer,
    examples: QuestionExamples,
    *,
    batch_size: int,
    decoding: Decoding,
    split: str = "",
    tell: Tell = tell_nobody,
    processes: Processes | None = None,
) -> Found:
    """The answers to all questions, with dropout off; `tell` is told of the pairs of the split.

    With n processes, each computes every n-th batch, and all get all answers.
    """
    was_training, processes = model.training, processes or Processes()
    model.eval()
    # for each pair: the loss, the log-probability of no answer, and of N spans the first word, the last one,
    # the log-probability
    found_PK = torch.zeros(len(examples.pairs), 2 + 3 * decoding.num_best, dtype=torch.float64)
    order = evaluation_order(examples.lengths(), batch_size)
    for index, numbers in enumerate(told(order, tell, split=split, total=len(examples.pairs), size=len)):
        if processes.takes(index):
            found_PK[numbers] = _found_in_batch(model, examples, numbers, decoding)
    model.train(was_training)
    found_PK = processes.sum(found_PK)
    spans: dict[int, list[tuple[int, BestSpans]]] = {}  # for each question, its windows' spans
    for pair, found in zip(examples.pairs, found_PK, strict=True):
        first, last, log_probability = found[2:].view(3, -1)
        best = BestSpans(first.long(), last.long(), log_probability, found[1])
        spans.setdefault(pair.question, []).append((pair.start, best))
    losses = [
        float(loss)
        for pair, loss in zip(examples.pairs, found_PK[:, 0], strict=True)
        if pair.target is not None
    ]
    answers = [
        merge_windows(
            examples.contexts[question.passage],
            examples.passages[question.passage],
            spans.get(number, []),
            num_best=decoding.num_best,
        )
        for number, question in enumerate(examples.questions)
    ]
    return Found(answers, sum(losses) / len(losses) if losses else float("nan"))


def _found_in_batch(
    model: Answerer, examples: QuestionExamples, numbers: Sequence[int], decoding: Decoding
) -> Tensor:
    """(B, 2 + 3 N) float64 on the CPU, as `find_answers` keeps it; a missing span has a probability of 0."""
    batch = examples.batch(numbers).to(model.no_answer_threshold.device)
    scores = model(batch)
    best = best_spans(scores, num_best=decoding.num_best, max_answer_words=decoding.max_answer_words)
    missing = (0, decoding.num_best - best.first.shape[1])
    columns = [
        span_losses(scores, batch.first_B, batch.last_B)[:, None],
        best.no_answer_log_probability[:, None],
        F.pad(best.first.to(scores.start), missing),
        F.pad(best.last.to(scores.start), missing),
        F.pad(best.log_probability, missing, value=-torch.inf),
    ]
    return torch.cat(columns, dim=1).double().cpu()
