"""The tagger, its training, and its tags for any number of sentences.

Shape legend: B windows, T words of the longest one, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.heads.tags.tag_head import TagHead
from tasks.processes import Processes
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatches, evaluation_order
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.representation import Representation
from tasks.supervised.training import SupervisedTraining
from tasks.tagging.crf import LinearChainCrf
from tasks.tagging.examples import IGNORED, TagBatch, TagExamples, TagInputs
from tasks.tagging.figures import tag_scores
from tasks.tagging.labels import LabelSet
from tasks.task import Reports, Setup, Tell, tell_nobody, told


class Tagger(nn.Module):
    """Representation, predicate indicator, head, a linear layer, and a CRF, in this order.

    Args:
        representation: computes the vectors of the words.
        head: computes a vector for each word, from which its labels are scored.
        labels: the V labels.
        indicator_size: size of the embedding that tells the predicate from other words, concatenated to their
            vectors (He et al. 2017, section 2.1); 0: none.
    """

    def __init__(
        self,
        *,
        representation: Representation,
        head: TagHead,
        labels: LabelSet,
        indicator_size: int,
    ) -> None:
        super().__init__()
        self.representation = representation
        self.head = head
        self.indicator = nn.Embedding(2, indicator_size) if indicator_size else None
        self.linear = nn.Linear(head.output_size, len(labels))
        self.crf = LinearChainCrf(allowed=labels.allowed(), trained=head.crf)

    def forward(self, inputs: TagInputs) -> Tensor:
        """(B, T, V) float32, the scores of each word's labels; every window has at least one word."""
        words = self.representation(inputs.windows)
        vectors_BTP = words.vectors
        if self.indicator is not None:
            indicators_BTI = self.indicator(inputs.is_predicate_BT) * words.mask[..., None]
            vectors_BTP = torch.cat([vectors_BTP, indicators_BTI], dim=2)
        outputs = self.head(vectors_BTP, words.mask, words.injected)
        return self.linear(outputs).float()

    def loss(self, inputs: TagInputs, gold_BT: Tensor) -> Tensor:
        """The negative log-likelihood of the gold labels in nats, the mean over all words; a scalar.

        Args:
            inputs: the words.
            gold_BT: the indices of their labels; `IGNORED` in the padding.
        """
        scores_BTV = self(inputs)
        if not self.head.crf:
            return F.cross_entropy(scores_BTV.flatten(0, 1), gold_BT.flatten(), ignore_index=IGNORED)
        mask_BT = inputs.windows.mask_BT
        return -self.crf.log_likelihood(scores_BTV, gold_BT, mask_BT).sum() / mask_BT.sum()

    def best_labels(self, inputs: TagInputs) -> Tensor:
        """(N,) the indices of the best labels of all words of the B windows, in order."""
        mask_BT = inputs.windows.mask_BT
        return self.crf.best_paths(self(inputs), mask_BT)[mask_BT]


class TaggingTraining(SupervisedTraining):
    """The training of a tagger (see `tasks.task.Training`).

    Args:
        setup: the setup of the training.
        model: on its device.
        encoder: the parts of the model's encoder.
        labels: that the model predicts.
        examples: the sentences of each split.
        reports: the reports of the same model.
    """

    model: Tagger

    def __init__(
        self,
        *,
        setup: Setup,
        model: Tagger,
        encoder: EncoderParts,
        labels: LabelSet,
        examples: Mapping[Split, TagExamples],
        reports: Reports,
    ) -> None:
        self.setup, self.model, self.encoder = setup, model, encoder
        self.labels, self.examples, self.reports = labels, examples, reports
        self.units_per_epoch = len(examples["train"])
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)
        self._batches = self.batches()

    def batches(self) -> ExampleBatches[TagBatch]:
        """An endless iterator over training batches: shuffled in every epoch, similar lengths together."""
        train = self.examples["train"]
        lengths = train.lengths()
        self._batches = ExampleBatches(
            lengths=lengths,
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=train.batch,
            processes=self.setup.processes,
            weigh=lambda pieces: sum(lengths[index] for index in pieces),
        )
        return self._batches

    def loss(self, batch: TagBatch) -> Tensor:
        """The mean loss of the words in nats, plus the mixes' penalty."""
        if self.encoder.fine_tuning.unfreeze_every is not None:
            self.encoder.fine_tuning.set_epoch(self._batches.epochs_read)
        device = self.setup.device
        loss = self.model.loss(batch.inputs.to(device), batch.gold_BT.to(device))
        return loss + self.model.representation.penalty()

    def describe(self, batch: TagBatch) -> str:
        """A batch's name for messages, with the names of its first sentences."""
        shown = ", ".join(batch.names[:3])
        return f"the batch of the sentences {shown}{', ...' if len(batch.names) > 3 else ''}"

    def evaluate(self) -> dict[str, float]:
        """The current scores on the dev split."""
        dev = self.examples["dev"]
        predicted = predict_tags(
            self.model,
            dev,
            self.labels,
            batch_size=self.setup.batch_size,
            split="dev",
            tell=self.setup.tell,
            processes=self.setup.processes,
        )
        found = tag_scores(dev.tags(), predicted, has_spans=self.labels.has_spans)
        return {f"dev/{name}": value for name, value in found.items()}


@torch.no_grad()
def predict_tags(
    model: Tagger,
    examples: TagExamples,
    labels: LabelSet,
    *,
    batch_size: int,
    split: str = "",
    tell: Tell = tell_nobody,
    processes: Processes | None = None,
) -> list[list[str]]:
    """The tags of each sentence's words, in BIO if they are spans; `tell` is told of the windows.

    With n processes, each computes every n-th batch, and all get all tags.
    """
    was_training, processes = model.training, processes or Processes()
    model.eval()
    lengths, device = examples.lengths(), model.linear.weight.device
    found = list(torch.zeros(sum(lengths), dtype=torch.long).split(lengths))
    order = evaluation_order(lengths, batch_size)
    for number, pieces in enumerate(told(order, tell, split=split, total=len(examples), size=len)):
        if processes.takes(number):
            best_N = model.best_labels(examples.inputs(pieces).to(device)).cpu()
            for index, best in zip(pieces, best_N.split([lengths[i] for i in pieces]), strict=True):
                found[index] = best
    model.train(was_training)
    tags: list[list[str]] = [[] for _ in examples.tagged]
    for piece, ids in zip(examples.pieces, processes.sum(torch.cat(found)).split(lengths), strict=True):
        tags[piece.sentence] += labels.tags(ids.tolist())
    return tags
