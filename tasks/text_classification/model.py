"""The model of all classification of texts, its training and its logits of any number of texts.

Shape legend: N texts, B windows of all of them, S size of a window's vector, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError
from tasks.heads.pooling import WindowAttention
from tasks.heads.span_head import Words
from tasks.heads.text_head import TextHead
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatches, evaluation_order
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.representation import Representation, WindowBatch
from tasks.supervised.training import SupervisedTraining
from tasks.task import Reports, Setup
from tasks.text_classification.examples import TextBatch, TextExamples
from tasks.text_classification.scores import Decision, scores

_WINDOWS_AT_ONCE = 64  # a text of any length fits into memory where there is no gradient to keep


class Classifier(nn.Module):
    """Representation, head, attention over a text's windows, dropout and a linear layer, one after the other.

    `forward` is `represent` and `classify`; who wants the gradient at the words calls the two. `classify` is
    `encode` and `score`; who has more windows of a text than memory holds encodes a few at a time.

    Args:
        representation: gives the windows' words their vectors.
        head: gives each window its vector.
        num_labels: V.
        dropout: on a text's vector, while training.
    """

    def __init__(
        self, *, representation: Representation, head: TextHead, num_labels: int, dropout: float
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"task.dropout: expected at least 0 and less than 1, got {dropout}")
        self.representation = representation
        self.head = head
        self.window_attention = WindowAttention(size=head.output_size)
        self.linear = nn.Linear(head.output_size, num_labels)
        self.dropout = dropout

    def forward(self, batch: WindowBatch, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits.

        Args:
            batch: the windows; each has one word at least.
            text_of_window_B: 0..N-1, the text that a window is of; every text has one at least.
            num_texts: N.
        """
        return self.classify(self.represent(batch), text_of_window_B, num_texts)

    def represent(self, batch: WindowBatch) -> Words:
        """The vectors of the windows' words."""
        return self.representation(batch)

    def classify(self, words: Words, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits, of words that have their vectors."""
        return self.score(self.encode(words), text_of_window_B, num_texts)

    def encode(self, words: Words) -> Tensor:
        """(B, S) the head's vector of each window."""
        return self.head(words.vectors, words.mask, words.injected)

    def score(self, windows_BS: Tensor, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits, of windows that have their vectors."""
        texts_NS = self.window_attention(windows_BS, text_of_window_B, num_texts)
        return self.linear(F.dropout(texts_NS, self.dropout, self.training))


class TextClassificationTraining(SupervisedTraining):
    """The training of a classifier (see `tasks.task.Training`).

    Args:
        setup: that it begins with.
        model: on its device.
        encoder: the parts of the model's encoder.
        examples: the texts of each split.
        decision: from logits to labels.
        weights_V: of the labels in the loss, from `label_weights`; None: all alike.
        label_smoothing: see `training_loss`.
        reports: of the same model.
    """

    model: Classifier

    def __init__(
        self,
        *,
        setup: Setup,
        model: Classifier,
        encoder: EncoderParts,
        examples: Mapping[Split, TextExamples],
        decision: Decision,
        weights_V: Tensor | None,
        label_smoothing: float,
        reports: Reports,
    ) -> None:
        self.setup, self.model, self.encoder = setup, model, encoder
        self.examples, self.decision = examples, decision
        self.weights_V = None if weights_V is None else weights_V.to(setup.device)
        self.label_smoothing = label_smoothing
        self.reports = reports
        self.units_per_epoch = len(examples["train"])
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)
        self._batches = self.batches()

    def batches(self) -> ExampleBatches[TextBatch]:
        """The training texts, shuffled in every epoch, texts of similar length together, without end."""
        train = self.examples["train"]
        self._batches = ExampleBatches(
            lengths=train.num_words.tolist(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=train.batch,
        )
        return self._batches

    def loss(self, batch: TextBatch) -> Tensor:
        """The mean cross entropy in nats, weighted and smoothed as configured, with the mixes' penalty."""
        if self.encoder.fine_tuning.unfreeze_every is not None:
            self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        device = self.setup.device
        logits_NV = self.model(batch.windows.to(device), batch.text_of_window_B.to(device), batch.num_units)
        label_loss = training_loss(
            logits_NV.float(),
            batch.gold_NV.to(device),
            multi_label=self.decision.multi_label,
            weights_V=self.weights_V,
            label_smoothing=self.label_smoothing,
        )
        return label_loss + self.model.representation.penalty()

    def describe(self, batch: TextBatch) -> str:
        """The names of a batch's first texts."""
        return f"the batch of the texts {', '.join(batch.names[:3])}{', ...' if len(batch.names) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The scores of the model as it is on the dev split."""
        dev = self.examples["dev"]
        logits_NV = logits_of(self.model, dev, batch_size=self.setup.batch_size)
        found = scores(logits_NV, dev.gold_NV, self.decision)
        return {f"dev/{name}": value for name, value in found.items()}


def label_weights(gold_NV: Tensor, *, multi_label: bool) -> Tensor:
    """(V,) weights that balance labels which the training texts have unequally often.

    Of a text by its only label: N / (V * texts with it). Of a label that a text has, beside those that it has
    not: texts without it / texts with it.
    """
    with_label_V = gold_NV.sum(dim=0).clamp_min(1).float()
    if multi_label:
        return (len(gold_NV) - with_label_V) / with_label_V
    return len(gold_NV) / (gold_NV.shape[1] * with_label_V)


def training_loss(
    logits_NV: Tensor,
    gold_NV: Tensor,
    *,
    multi_label: bool,
    weights_V: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """The mean cross entropy in nats, of texts, or of labels where a text may have several; a scalar.

    Args:
        weights_V: of `label_weights`, or None for none.
        label_smoothing: share of the gold label's probability that all V labels divide among them; where a
            text may have several, label and no label.
    """
    if multi_label:
        targets_NV = gold_NV.to(logits_NV.dtype) * (1 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits_NV, targets_NV, pos_weight=weights_V)
    gold_N = gold_NV.long().argmax(dim=1)
    return F.cross_entropy(logits_NV, gold_N, weight=weights_V, label_smoothing=label_smoothing)


@torch.no_grad()
def logits_of(model: Classifier, examples: TextExamples, *, batch_size: int) -> Tensor:
    """(N, V) on the CPU, with dropout off.

    Windows go through the model some at a time, so that memory does not grow with a text.
    """
    was_training = model.training
    model.eval()
    logits_NV = torch.empty(examples.gold_NV.shape)
    for texts in evaluation_order(examples.num_words.tolist(), batch_size):
        logits_NV[texts] = _logits_of_batch(model, examples, texts).float().cpu()
    model.train(was_training)
    return logits_NV


def _logits_of_batch(model: Classifier, examples: TextExamples, texts: Sequence[int]) -> Tensor:
    device = model.linear.weight.device
    numbers, text_of_window_B = examples.windows_of(texts)
    windows_BS = [
        model.encode(model.represent(examples.window_batch(numbers[i : i + _WINDOWS_AT_ONCE]).to(device)))
        for i in range(0, len(numbers), _WINDOWS_AT_ONCE)
    ]
    return model.score(torch.cat(windows_BS), text_of_window_B.to(device), len(texts))
