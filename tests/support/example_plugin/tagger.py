"""The model of the task `word_tags`, its examples, its training and its reports.

Shape legend: B sentences, T words of the longest one, N words of all of them, P size of a vector, V tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.files import atomic_write
from example_plugin.tagged_lines import TaggedLines, TaggedSentence
from tasks.sources.shared.split import Split
from tasks.supervised.batches import ExampleBatch, ExampleBatches, evaluation_order
from tasks.supervised.encoder_parts import EncoderParts
from tasks.supervised.reports import SupervisedReports, Table
from tasks.supervised.representation import Representation, WindowBatch
from tasks.supervised.training import SupervisedTraining
from tasks.task import Setup


class Tagger(nn.Module):
    """Scores the tags of each word by a linear layer above its vector."""

    def __init__(self, *, representation: Representation, num_tags: int) -> None:
        super().__init__()
        self.representation = representation
        self.linear = nn.Linear(representation.input_size, num_tags)

    def forward(self, sentences: WindowBatch) -> Tensor:
        """(N, V) logits of the words of all sentences, in order."""
        words = self.representation(sentences)
        return self.linear(words.vectors[words.mask])

    @torch.no_grad()
    def predict(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """(N,) the indices of the best tags, on the CPU, with dropout off."""
        was_training = self.training
        self.eval()
        batch = WindowBatch(windows=[[list(words)] for words in sentences])
        best_N = self(batch.to(self.linear.weight.device)).argmax(dim=1).cpu()
        self.train(was_training)
        return best_N


@dataclass(frozen=True)
class TagBatch(ExampleBatch):
    """A batch of sentences and (N,) the indices of their words' tags."""

    sentences: WindowBatch
    gold_N: Tensor
    names: list[str]

    @property
    def num_units(self) -> int:
        return len(self.names) + self.num_others


class TagExamples:
    """The sentences of a split; InputError for a tag that is not in `tags`."""

    def __init__(self, examples: Sequence[TaggedSentence], tags: Sequence[str]) -> None:
        self.examples = examples
        ids = {tag: index for index, tag in enumerate(tags)}
        for example in examples:
            for tag in example.tags:
                if tag not in ids:
                    raise InputError(f"{example.name}: the tag {tag} does not occur in the training text")
        self.gold = [torch.tensor([ids[tag] for tag in example.tags]) for example in examples]

    def sentences(self) -> list[Sequence[str]]:
        return [example.words for example in self.examples]

    def lengths(self) -> list[int]:
        return [len(words) for words in self.sentences()]

    def counts(self) -> Counter[str]:
        return Counter(word for words in self.sentences() for word in words)

    def batch(self, indices: Sequence[int]) -> TagBatch:
        return TagBatch(
            WindowBatch(windows=[[self.examples[index].words] for index in indices]),
            torch.cat([self.gold[index] for index in indices]),
            [self.examples[index].name for index in indices],
        )


def accuracy(model: Tagger, examples: TagExamples, *, batch_size: int) -> float:
    """The percentage of the words whose best tag is right."""
    num_right = 0
    for indices in evaluation_order(examples.lengths(), batch_size):
        gold_N = torch.cat([examples.gold[index] for index in indices])
        best_N = model.predict([examples.examples[index].words for index in indices])
        num_right += int((best_N == gold_N).sum())
    return 100 * num_right / sum(examples.lengths())


class TaggingTraining(SupervisedTraining):
    """The training of a tagger (see `tasks.task.Training`)."""

    model: Tagger

    def __init__(
        self,
        *,
        setup: Setup,
        encoder: EncoderParts,
        examples: Mapping[Split, TagExamples],
        reports: TagReports,
    ) -> None:
        self.setup, self.encoder, self.examples, self.reports = setup, encoder, examples, reports
        self.model = reports.model
        self.units_per_epoch = len(examples["train"].examples)
        self.units_per_batch = min(setup.batch_size, self.units_per_epoch)

    def batches(self) -> ExampleBatches[TagBatch]:
        train = self.examples["train"]
        return ExampleBatches(
            lengths=train.lengths(),
            batch_size=self.setup.batch_size,
            seed=self.setup.seed,
            make=train.batch,
            processes=self.setup.processes,
            weigh=lambda indices: sum(train.lengths()[index] for index in indices),
        )

    def loss(self, batch: TagBatch) -> Tensor:
        logits_NV = self.model(batch.sentences.to(self.setup.device))
        gold_N = batch.gold_N.to(self.setup.device)
        return F.cross_entropy(logits_NV, gold_N) + self.model.representation.penalty()

    def describe(self, batch: TagBatch) -> str:
        return f"the batch of the sentences {', '.join(batch.names[:3])}"

    def evaluate(self) -> dict[str, float]:
        dev = self.examples["dev"]
        return {"dev/accuracy": accuracy(self.model, dev, batch_size=self.setup.batch_size)}


class TagReports(SupervisedReports):
    """The reports of a tagger in training (see `tasks.task.Reports`)."""

    model: Tagger
    examples: Mapping[Split, TagExamples]

    def __init__(
        self,
        *,
        setup: Setup,
        source: TaggedLines,
        encoder: EncoderParts,
        model: Tagger,
        examples: Mapping[Split, TagExamples],
        tags: Sequence[str],
    ) -> None:
        self.setup, self.source, self.encoder, self.model = setup, source, encoder, model
        self.examples, self.tags = examples, list(tags)

    def facts(self) -> dict[str, float | str]:
        sizes = {f"{split} sentences": len(found.examples) for split, found in self.examples.items()}
        return {"tags": len(self.tags), **sizes, **self.encoder.facts(self.setup), **self.contamination()}

    def activation_bytes(self, units_per_batch: int) -> int:
        words = units_per_batch * max(self.examples["train"].lengths())
        return 4 * words * (6 * self.model.representation.input_size + len(self.tags))

    def conclude(self) -> dict[str, float]:
        return {
            "test/accuracy": accuracy(self.model, self.examples["test"], batch_size=self.setup.batch_size)
        }

    def table(self, figures: Mapping[str, float]) -> Table:
        return score_table(figures)

    def tables(self) -> dict[str, Table]:
        return {}

    def write_reports(self, path: Path) -> None:
        with atomic_write(path / "predictions" / "test.txt") as aside:
            aside.write_text("".join(self._tagged_lines()), encoding="utf-8")

    def saved_facts(self) -> dict[str, Any]:
        return {"tags": self.tags}

    def _tagged_lines(self) -> list[str]:
        lines = []
        for words in self.examples["test"].sentences():
            found = zip(words, self.model.predict([words]).tolist(), strict=True)
            lines.append(" ".join(f"{word}/{self.tags[index]}" for word, index in found) + "\n")
        return lines


def score_table(figures: Mapping[str, float]) -> Table:
    return ["percent", "accuracy"], [["test", figures["test/accuracy"]]]
