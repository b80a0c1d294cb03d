"""The text classifier, its training, and its logits for any number of texts.

Shape legend: N texts, B windows of all of them, S size of a window's vector, V labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.heads.pooling import WindowAttention
from tasks.heads.span_head import Words
from tasks.heads.text_head import TextHead
from tasks.processes import Processes
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatches, evaluation_order
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.representation import Representation, Window, WindowBatch
from tasks.supervised.training import SupervisedTraining
from tasks.task import Reports, Setup, Tell, tell_nobody, told
from tasks.text_classification.examples import TextBatch, TextExamples
from tasks.text_classification.scores import Decision, scores

_WINDOWS_AT_ONCE = 64  # without a gradient, so that a text of any length fits into memory


class Classifier(nn.Module):
    """Representation, head, attention over a text's windows, dropout and a linear layer, in this order.

    `forward` is `represent` followed by `classify`; call the two if you need the gradient at the words.
    `classify` is `encode` followed by `score`; if a text has too many windows for the memory, encode a few at
    a time.

    Args:
        representation: computes the vectors of the windows' words.
        head: computes a vector for each window.
        num_labels: V.
        dropout: on a text's vector, during training.
    """

    def __init__(
        self, *, representation: Representation, head: TextHead, num_labels: int, dropout: float
    ) -> None:
        super().__init__()
        self.representation = representation
        self.head = head
        self.window_attention = WindowAttention(size=head.output_size)
        self.linear = nn.Linear(head.output_size, num_labels)
        self.dropout = dropout

    def forward(self, batch: WindowBatch, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits.

        Args:
            batch: the windows; each has at least one word.
            text_of_window_B: 0..N-1, the text of each window; every text has at least one window.
            num_texts: N.
        """
        return self.classify(self.represent(batch), text_of_window_B, num_texts)

    def represent(self, batch: WindowBatch) -> Words:
        """The vectors of the windows' words."""
        return self.representation(batch)

    def classify(self, words: Words, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits from the words' vectors."""
        return self.score(self.encode(words), text_of_window_B, num_texts)

    def encode(self, words: Words) -> Tensor:
        """(B, S) the head's vector for each window."""
        return self.head(words.vectors, words.mask, words.injected)

    def score(self, windows_BS: Tensor, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits from the windows' vectors."""
        texts_NS = self.window_attention(windows_BS, text_of_window_B, num_texts)
        return self.linear(F.dropout(texts_NS, self.dropout, self.training))


class TextClassificationTraining(SupervisedTraining):
    """The training of a classifier (see `tasks.task.Training`).

    Args:
        setup: the setup of the training.
        model: on its device.
        encoder: the parts of the model's encoder.
        examples: the texts of each split.
        decision: how logits become labels.
        weights_V: the labels' weights in the loss, from `label_weights`; None: equal weights.
        label_smoothing: see `training_loss`.
        reports: the reports of the same model.
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
        """An endless iterator over training batches: shuffled in every epoch, similar lengths together."""
        train = self.examples["train"]
        self._batches = ExampleBatches(
            lengths=train.num_words.tolist(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=train.batch,
            processes=self.setup.processes,
            weigh=self._weight,
        )
        return self._batches

    def loss(self, batch: TextBatch) -> Tensor:
        """The mean cross-entropy in nats, weighted and smoothed as configured, plus the mixes' penalty."""
        if self.encoder.fine_tuning.unfreeze_every is not None:
            self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        device = self.setup.device
        logits_NV = self.model(batch.windows.to(device), batch.text_of_window_B.to(device), len(batch.names))
        label_loss = training_loss(
            logits_NV.float(),
            batch.gold_NV.to(device),
            multi_label=self.decision.multi_label,
            weights_V=self.weights_V,
            label_smoothing=self.label_smoothing,
        )
        return label_loss + self.model.representation.penalty()

    def _weight(self, texts: Sequence[int]) -> float:
        """The weight of some training texts in the mean loss of a batch."""
        if self.weights_V is None or self.decision.multi_label:
            return len(texts)
        gold_NV = self.examples["train"].gold_NV[list(texts)]
        return float((gold_NV * self.weights_V.cpu()).sum())

    def describe(self, batch: TextBatch) -> str:
        """A batch's name for messages, with the names of its first texts."""
        return f"the batch of the texts {', '.join(batch.names[:3])}{', ...' if len(batch.names) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The current scores on the dev split."""
        dev = self.examples["dev"]
        logits_NV = logits_of(
            self.model,
            dev,
            batch_size=self.setup.batch_size,
            split="dev",
            tell=self.setup.tell,
            processes=self.setup.processes,
        )
        found = scores(logits_NV, dev.gold_NV, self.decision)
        return {f"dev/{name}": value for name, value in found.items()}


def label_weights(gold_NV: Tensor, *, multi_label: bool) -> Tensor:
    """(V,) weights that balance labels of unequal frequency in the training texts.

    With one label per text: N / (V * number of texts with the label). With several: the weight of a positive
    label relative to a negative one, number of texts without the label / number of texts with it.
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
    """The mean cross-entropy in nats, over texts, or over labels if a text may have several; a scalar.

    Args:
        logits_NV: the model's logits.
        gold_NV: bool, the gold labels.
        multi_label: whether a text may have several labels.
        weights_V: from `label_weights`; None: no weights.
        label_smoothing: the fraction of the probability mass that is spread evenly over all V labels or, if a
            text may have several, over having a label and not having it.
    """
    if multi_label:
        targets_NV = gold_NV.to(logits_NV.dtype) * (1 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits_NV, targets_NV, pos_weight=weights_V)
    gold_N = gold_NV.long().argmax(dim=1)
    return F.cross_entropy(logits_NV, gold_N, weight=weights_V, label_smoothing=label_smoothing)


@torch.no_grad()
def logits_of(
    model: Classifier,
    examples: TextExamples,
    *,
    batch_size: int,
    split: str = "",
    tell: Tell = tell_nobody,
    processes: Processes | None = None,
) -> Tensor:
    """(N, V) logits on the CPU, with dropout off; `tell` is told of the texts of the split.

    With n processes, each computes every n-th batch, and all get all logits.

    A bounded number of windows goes through the model at once, so that memory does not grow with a text.
    """
    was_training, processes = model.training, processes or Processes()
    model.eval()
    logits_NV = torch.zeros(examples.gold_NV.shape)
    order = evaluation_order(examples.num_words.tolist(), batch_size)
    for number, texts in enumerate(told(order, tell, split=split, total=len(examples), size=len)):
        if processes.takes(number):
            logits_NV[texts] = _logits_of_batch(model, examples, texts).float().cpu()
    model.train(was_training)
    return processes.sum(logits_NV)


@torch.no_grad()
def logits_of_windows(model: Classifier, texts: Sequence[Iterable[Window]]) -> Tensor:
    """(N, V) logits on the CPU of texts of any length, whose windows are made as they are read.

    Args:
        model: in evaluation mode.
        texts: the windows of each text, at least one.
    """
    counts = [0] * len(texts)

    def counted() -> Iterator[Window]:
        for number, windows in enumerate(texts):
            for window in windows:
                counts[number] += 1
                yield window

    remaining = counted()
    groups = iter(lambda: list(islice(remaining, _WINDOWS_AT_ONCE)), [])
    windows_BS = _encode(model, map(WindowBatch, groups))
    text_of_window_B = torch.repeat_interleave(torch.tensor(counts, device=windows_BS.device))
    return model.score(windows_BS, text_of_window_B, len(texts)).float().cpu()


def _logits_of_batch(model: Classifier, examples: TextExamples, texts: Sequence[int]) -> Tensor:
    numbers, text_of_window_B = examples.windows_of(texts)
    groups = (numbers[i : i + _WINDOWS_AT_ONCE] for i in range(0, len(numbers), _WINDOWS_AT_ONCE))
    windows_BS = _encode(model, map(examples.window_batch, groups))
    return model.score(windows_BS, text_of_window_B.to(windows_BS.device), len(texts))


def _encode(model: Classifier, batches: Iterable[WindowBatch]) -> Tensor:
    """(B, S) the head's vectors of all windows.

    They are in one piece of memory, which grows by doubling: small pieces between the large ones that each
    batch frees would keep those from being used again.
    """
    weight_VS, count = model.linear.weight, 0
    vectors_BS = weight_VS.new_empty(_WINDOWS_AT_ONCE, weight_VS.shape[1])
    for batch in batches:
        start, count = count, count + batch.num_windows
        if count > len(vectors_BS):
            vectors_BS = torch.cat([vectors_BS, torch.empty_like(vectors_BS)])
        vectors_BS[start:count] = model.encode(model.represent(batch.to(weight_VS.device)))
    return vectors_BS[:count]
