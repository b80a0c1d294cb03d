"""The model of pairs of sentences, its training, and its outputs for any number of pairs.

Shape legend: N pairs, B pairs of a batch, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.heads.pairs.pair_head import PairHead
from tasks.heads.span_head import Words
from tasks.processes import Processes
from tasks.sentence_pair.examples import PairBatch, PairExamples
from tasks.sentence_pair.target import PairTarget
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatches, evaluation_order
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.representation import Representation, WindowBatch
from tasks.supervised.training import SupervisedTraining
from tasks.task import Reports, Setup, Tell, tell_nobody, told


class PairModel(nn.Module):
    """A shared representation of both sides, a head, dropout and a linear layer, in this order.

    Args:
        representation: computes the words' vectors.
        head: computes a vector for each pair.
        num_outputs: K.
        dropout: on a pair's vector, during training.
    """

    def __init__(
        self, *, representation: Representation, head: PairHead, num_outputs: int, dropout: float
    ) -> None:
        super().__init__()
        self.representation = representation
        self.head = head
        self.linear = nn.Linear(head.output_size, num_outputs)
        self.dropout = dropout

    def forward(self, sides: WindowBatch) -> Tensor:
        """(B, K) float32 outputs.

        Args:
            sides: 2 B windows, all first sides before all second ones; each has at least one word.
        """
        first, second = halves(self.representation(sides))
        pairs_BS = F.dropout(self.head(first, second), self.dropout, self.training)
        return self.linear(pairs_BS).float()  # bfloat16 is not precise enough for the loss


def halves(words: Words) -> tuple[Words, Words]:
    """The words of the first sides and of the second ones, which are the rows of one batch."""
    first, second = zip(*(tensor.chunk(2) for tensor in words if tensor is not None), strict=True)
    return Words(*first, *[None] * (3 - len(first))), Words(*second, *[None] * (3 - len(second)))


class SentencePairTraining(SupervisedTraining):
    """The training of a model of pairs (see `tasks.task.Training`).

    Args:
        setup: the setup of the training.
        model: on its device.
        encoder: the parts of the model's encoder.
        examples: the pairs of each split.
        target: what is predicted.
        reports: the reports of the same model.
    """

    model: PairModel

    def __init__(
        self,
        *,
        setup: Setup,
        model: PairModel,
        encoder: EncoderParts,
        examples: Mapping[Split, PairExamples],
        target: PairTarget,
        reports: Reports,
    ) -> None:
        self.setup, self.model, self.encoder = setup, model, encoder
        self.examples, self.target, self.reports = examples, target, reports
        self.units_per_epoch = len(examples["train"])
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)
        self._batches = self.batches()

    def batches(self) -> ExampleBatches[PairBatch]:
        """An endless iterator over training batches: shuffled in every epoch, similar lengths together."""
        train = self.examples["train"]
        self._batches = ExampleBatches(
            lengths=train.lengths(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=train.batch,
            processes=self.setup.processes,
        )
        return self._batches

    def loss(self, batch: PairBatch) -> Tensor:
        """The target's mean loss, plus the mixes' penalty."""
        if self.encoder.fine_tuning.unfreeze_every is not None:
            self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        batch = batch.to(self.setup.device)
        pair_loss = self.target.loss(self.model(batch.sides), batch.gold_B)
        return pair_loss + self.model.representation.penalty()

    def describe(self, batch: PairBatch) -> str:
        """A batch's name for messages, with the names of its first pairs."""
        return f"the batch of the pairs {', '.join(batch.names[:3])}{', ...' if len(batch.names) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The current scores on the dev split."""
        dev = self.examples["dev"]
        outputs_NK = outputs_of(
            self.model,
            dev,
            batch_size=self.setup.batch_size,
            split="dev",
            tell=self.setup.tell,
            processes=self.setup.processes,
        )
        figures = self.target.scores(outputs_NK, dev.gold_N)
        return {f"dev/{name}": value for name, value in figures.items()}


@torch.no_grad()
def outputs_of(
    model: PairModel,
    examples: PairExamples,
    *,
    batch_size: int,
    split: str = "",
    tell: Tell = tell_nobody,
    processes: Processes | None = None,
) -> Tensor:
    """(N, K) outputs on the CPU, with dropout off; `tell` is told of the pairs of the split.

    With n processes, each computes every n-th batch, and all get all outputs.
    """
    was_training, processes = model.training, processes or Processes()
    model.eval()
    device = model.linear.weight.device
    outputs_NK = torch.zeros(len(examples), model.linear.out_features)
    order = evaluation_order(examples.lengths(), batch_size)
    for number, pairs in enumerate(told(order, tell, split=split, total=len(examples), size=len)):
        if processes.takes(number):
            outputs_NK[pairs] = model(examples.batch(pairs).sides.to(device)).cpu()
    model.train(was_training)
    return processes.sum(outputs_NK)
