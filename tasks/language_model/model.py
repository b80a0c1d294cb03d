"""The bidirectional language model of Peters et al. (2018, section 3.1), its batches and its training.

Shape legend: U distinct types of a batch, C characters, D = 2 directions, N packed tokens, P vector size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.bilm import BiLm, State, WordLayer, build_bilm
from elmo.bilm.softmaxes.softmax import Plan, Softmax
from elmo.errors import InputError, faults_of
from elmo.io.meta_device import meta_device
from elmo.io.model_directory import CONFIG_FILE, SavedModel, load_weights
from elmo.registry import REGISTRY, ComponentNode
from elmo.text.characters import BEGIN_TYPE, END_TYPE, TypeTable
from elmo.text.vocabulary import Vocabulary
from elmo.values import read_record
from tasks.language_model.corpus import Corpus, distinct_ids
from tasks.language_model.order import Pools
from tasks.language_model.padding import padded
from tasks.language_model.prefetch import prefetched
from tasks.language_model.training_batches import TrainingBatches
from tasks.processes import Processes
from tasks.sources.shared.split import Split
from tasks.task import Batches, Reports, Setup, told

Ids = tuple[np.ndarray, np.ndarray]  # distinct type ids, and for each token its place among them


@dataclass(frozen=True)
class Batch:
    """Packed sequences (see `elmo.bilm.packing`); direction 0 reads forward, direction 1 backward.

    With several processes, these are the rows of this one.
    """

    types_U: Tensor  # the word layer's input for each distinct type
    inputs_DN: Tensor  # int64, rows of types_U
    targets_DN: Tensor  # int64, vocabulary ids of the words to predict
    batch_sizes: list[int]
    carried: bool  # whether the rows continue those of the previous batch
    first_types: np.ndarray  # type ids of the first row's first tokens, to find the batch in the data
    plan: Plan = field(default_factory=dict)  # of the softmax; a batch of an evaluation needs none
    share: float = 1.0  # of the tokens of all processes that are here; see `tasks.task.TrainingBatch`
    num_others: int = 0  # tokens of other processes
    all_targets_DM: np.ndarray | None = None  # those of all processes; None: there is one
    join: Callable[[Tensor], Tensor] | None = None  # see `BiLm.run_packed`

    @property
    def num_tokens(self) -> int:
        """Number of tokens that are read, and of tokens that are predicted, in each direction."""
        return self.inputs_DN.shape[1]

    @property
    def num_units(self) -> int:
        """The trainer counts tokens, of all processes."""
        return self.num_tokens + self.num_others

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return self.mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with what a function makes of each of its tensors."""
        return replace(
            self,
            types_U=function(self.types_U),
            inputs_DN=function(self.inputs_DN),
            targets_DN=function(self.targets_DN),
            plan={name: function(tensor) for name, tensor in self.plan.items()},
        )


class BatchBuilder:
    """Turns type ids into the tensors of a batch.

    Args:
        types: the corpus's table of types.
        target_ids: (V,) vocabulary id of each type.
        words: the word layer that reads the types.
        processes: that share each batch.

    Attributes:
        deals_types: whether each process reads its part of the distinct types of the whole batch, instead of
            all that its rows have; then all have to compute the batch together.
    """

    def __init__(
        self,
        *,
        types: TypeTable,
        target_ids: np.ndarray,
        words: WordLayer,
        processes: Processes | None = None,
    ) -> None:
        self.types, self.target_ids, self.words = types, target_ids, words
        self.processes, self.deals_types = processes or Processes(), False

    def build(
        self, inputs_DN: np.ndarray, targets_DN: np.ndarray, batch_sizes: list[int], *, carried: bool
    ) -> Batch:
        """A batch from packed type ids of inputs and targets; it contains each distinct type once.

        With several processes, it is of this one's rows. A process without a row takes the first one, with a
        share of 0, so that all compute the same things.
        """
        targets_DM = self.target_ids[targets_DN].astype(np.int64)
        if self.processes.size == 1:
            return self._build(inputs_DN, targets_DM, batch_sizes, distinct_ids(inputs_DN), carried)
        row_N = np.concatenate([np.arange(size) for size in batch_sizes])
        own = np.flatnonzero(row_N % self.processes.size == self.processes.rank)
        read = own if len(own) else np.flatnonzero(row_N == 0)
        sizes = np.bincount(np.repeat(np.arange(len(batch_sizes)), batch_sizes)[read]).tolist()
        distinct, local_DN = distinct_ids(inputs_DN if self.deals_types else inputs_DN[:, read])
        ids = (distinct, local_DN[:, read] if self.deals_types else local_DN)
        batch = self._build(inputs_DN[:, read], targets_DM[:, read], sizes, ids, carried)
        share, num_others = len(own) / len(row_N), len(row_N) - len(read)
        return replace(batch, share=share, num_others=num_others, all_targets_DM=targets_DM)

    def _build(
        self, inputs_DN: np.ndarray, targets_DN: np.ndarray, sizes: list[int], ids: Ids, carried: bool
    ) -> Batch:
        (distinct, local_DN), number = ids, len(ids[0])
        is_dealt = self.deals_types and 1 < self.processes.size <= number
        own = distinct[self.processes.rows(number)] if is_dealt else distinct
        return Batch(
            types_U=self.words.read(self.types, own),
            join=partial(self.processes.joined_vectors, number=number) if is_dealt else None,
            inputs_DN=torch.from_numpy(local_DN),
            targets_DN=torch.from_numpy(targets_DN),
            batch_sizes=sizes,
            carried=carried,
            first_types=inputs_DN[0, np.cumsum([0, *sizes[:11]])[: len(sizes)]],
        )


@dataclass(frozen=True, kw_only=True)
class SavedConfig:
    """The nodes in the config.json of a language model that its use needs."""

    encoder: ComponentNode
    softmax: ComponentNode
    tokenizer: ComponentNode
    batching: ComponentNode


class LanguageModel(nn.Module):
    """A biLM and the softmax over the next and the previous word, shared by the two directions.

    Sentences start from the biLM's own start state. A model whose training carries the state has not seen the
    zero state since its first step, and may not work from there: its start state is therefore the mean of the
    states that its rows carried.
    """

    def __init__(self, *, encoder: BiLm, softmax: Softmax) -> None:
        super().__init__()
        self.encoder = encoder
        self.softmax = softmax

    def forward(self, batch: Batch, state: State | None) -> tuple[Tensor, State]:
        """The mean loss of all predictions of both directions, and the state after the batch.

        Args:
            batch: on the model's device, with its plan.
            state: the initial state of the rows; None: the biLM's start state.
        """
        layers, state = self.encoder.run_packed(
            batch.types_U, batch.inputs_DN, batch.batch_sizes, state, join=batch.join
        )
        return self.softmax(layers[-1], batch.plan), state

    @torch.no_grad()
    def log_probabilities(self, batch: Batch, state: State | None) -> tuple[Tensor, State]:
        """(D, N) exact log-probabilities of the targets in nats, and the state after the batch."""
        layers, state = self.encoder.run_packed(batch.types_U, batch.inputs_DN, batch.batch_sizes, state)
        return self.softmax.log_probabilities(layers[-1], batch.targets_DN), state


def build_model(nodes: Mapping[str, Any], *, num_types: int) -> LanguageModel:
    """A newly initialised model from its component nodes; InputError if their values disagree."""
    encoder = build_bilm(nodes["encoder"])
    softmax = REGISTRY.build(
        "softmax", nodes["softmax"], input_size=encoder.projection_size, num_types=num_types
    )
    return LanguageModel(encoder=encoder, softmax=softmax)


def load_language_model(saved: SavedModel, *, name: str) -> tuple[LanguageModel, Vocabulary]:
    """The model of a model directory, in evaluation mode, and its softmax's vocabulary.

    Raises:
        InputError: the model is of another task, a file is missing, or weights and config disagree.
    """
    task = saved.config["task"]["type"]
    if task != "language_model":
        raise InputError(f"{name}: a model of task {task}, expected a language_model")
    if saved.vocabulary is None:
        raise InputError(f"{name}: no vocabulary.txt in the model's directory; copy the directory whole")
    read_record(SavedConfig, saved.config, name=f"{name}: {CONFIG_FILE}", is_open=True)
    with faults_of(name), meta_device():
        model = build_model(saved.config, num_types=len(saved.vocabulary))
    load_weights(model, saved.weights, name=name)
    return model.eval(), saved.vocabulary


class LanguageModelTraining:
    """The training of a biLM (see `tasks.task.Training`), with the state carried from batch to batch."""

    unit = "tokens"

    def __init__(
        self,
        *,
        setup: Setup,
        model: LanguageModel,
        vocabulary: Vocabulary,
        corpora: Mapping[str, Corpus],
        loss_scale: float,
        frozen_steps: int,
        reports: Reports,
    ) -> None:
        self.setup, self.reports = setup, reports
        self.model = model.to(setup.device)
        self.vocabulary = vocabulary
        self.train, self.dev = corpora["train"], corpora["dev"]
        self.batching = REGISTRY.build("batching", setup.nodes["batching"], batch_size=setup.batch_size)
        self.gradient_scale = loss_scale
        self.loss_name = model.softmax.loss_name
        self.units_per_epoch = self.train.num_tokens + self.train.num_sentences
        self.units_per_batch = self.batching.tokens_per_batch
        self.has_fixed_shapes = self.batching.carries_state and model.softmax.can_be_static
        self.carried: State = []  # no state before the first batch
        self._frozen_batches = frozen_steps * setup.accumulate_batches
        self.num_batches = 0
        if self.units_per_epoch < self.units_per_batch:
            raise InputError(
                f"data: the training text has {self.units_per_epoch} predictions, fewer than one batch"
                f" of {self.units_per_batch}; add text, or lower trainer.batch_size or batching.num_steps"
            )

    def batches(self) -> Batches:
        """An endless iterator over training batches, shuffled in every epoch."""
        setup, pools = self.setup, Pools(corpus=self.train, seed=self.setup.seed)
        batches = self.batching.training_batches(pools, self._builder(self.train))
        planned = TrainingBatches(batches=batches, softmax=self.model.softmax, seed=setup.seed)
        self.model.softmax.is_static = self.has_fixed_shapes and setup.device.type != "cpu"
        return prefetched(planned, device=setup.device, prepare=padded if self.has_fixed_shapes else None)

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch in nats; keeps the state for the next call."""
        if self._frozen_batches:  # without a gradient, the optimizer leaves a weight as it is
            self.model.encoder.requires_grad_(self.num_batches >= self._frozen_batches)
        self.num_batches += 1
        before = self.carried if batch.carried else None
        loss, self.carried = self.model(batch.to(self.setup.device), before)
        if self.batching.carries_state:  # at every step, so that every checkpoint has it
            self.model.encoder.set_start_state(self.carried)
            if self.setup.processes.size > 1:
                torch._foreach_mul_(self.partial_sums(), batch.share)
        return loss

    def shape_of(self, batch: Batch) -> Hashable | None:
        """The shapes of a batch's tensors; None: it carries no state, or the encoder is frozen as yet."""
        if self.num_batches <= self._frozen_batches or not batch.carried:
            return None
        return (batch.types_U.shape, *batch.batch_sizes, *(part.shape for part in batch.plan.values()))

    def describe(self, batch: Batch) -> str:
        """The first words of a batch's first row."""
        markers, types = {BEGIN_TYPE: "<S>", END_TYPE: "</S>"}, self.train.types
        words = [markers.get(index) or types.word(index) for index in batch.first_types.tolist()]
        return f"the batch that begins with: {' '.join(words)}"

    def evaluate(self) -> dict[str, float]:
        """Perplexities on the dev split with the full softmax, over all words and one marker per sentence."""
        return perplexities(
            self.model, self._evaluation_batches(), device=self.setup.device, processes=self.setup.processes
        )

    def partial_sums(self) -> list[Tensor]:
        """The start state, if it is the mean over the rows of all processes."""
        return self.model.encoder.own_start() if self.batching.carries_state else []

    def constants(self) -> set[str]:
        """None: all parameters are trained."""
        return set()

    def rate_factors(self) -> dict[str, float]:
        """None: all parameters have the same learning rate."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The initial state of the next batch, of the rows of all processes, and how many there were."""
        rows, state = self.setup.batch_size, None
        if self.carried and self.batching.carries_state:
            state = [self.setup.processes.joined_rows(part, rows, dim=1) for part in self.carried]
        return {"state": state, "num_batches": self.num_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        saved, num_batches = state.get("state"), state.get("num_batches", 0)  # older runs froze nothing
        if saved is not None and not self._fits(saved):
            raise InputError("task.state: not the state of this model; the checkpoint is damaged")
        if not isinstance(num_batches, int) or num_batches < 0:
            raise InputError("task.num_batches: not a number of batches; the checkpoint is damaged")
        own, self.num_batches = self.setup.processes.rows(self.setup.batch_size), num_batches
        parts = saved if saved is not None and self.batching.carries_state else []
        self.carried = [part[:, own].contiguous().to(self.setup.device) for part in parts]

    def _fits(self, state: Any) -> bool:
        """Whether a saved state has the parts of the encoder's, and as many rows as the batches."""
        own = self.model.encoder.start_state(1)
        if not isinstance(state, list) or len(state) != len(own):
            return False
        for part, start in zip(state, own, strict=True):
            if not isinstance(part, Tensor) or part.dim() != start.dim() or part.dtype != start.dtype:
                return False
            if part[:, :1].shape != start.shape or not bool(part.isfinite().all()):
                return False
            if self.batching.carries_state and part.shape[1] != self.setup.batch_size:
                return False
        return True

    def _builder(self, corpus: Corpus) -> BatchBuilder:
        builder = make_builder(corpus, self.vocabulary, self.model, self.setup.processes)
        builder.deals_types = corpus is self.train
        return builder

    def _evaluation_batches(self) -> Iterator[Batch]:
        batches = self.batching.evaluation_batches(self.dev, self._builder(self.dev))
        return told_batches(batches, self.dev, self.setup, split="dev")


def score_names(split: Split) -> list[str]:
    """The names of the scores that `perplexities` returns."""
    return [
        f"{split}/{name}"
        for name in ("perplexity", "forward_perplexity", "backward_perplexity", "predictions")
    ]


def perplexities(
    model: LanguageModel,
    batches: Iterator[Batch],
    *,
    device: torch.device,
    split: Split = "dev",
    processes: Processes | None = None,
) -> dict[str, float]:
    """Token-weighted perplexities of each direction, and of the mean of their losses, with dropout off."""
    was_training = model.training
    model.eval()
    total_D, num_tokens = torch.zeros(2, dtype=torch.float64), 0
    state: State | None = None
    for batch in batches:
        before = None
        if batch.carried and state is not None:
            before = [part[:, : batch.batch_sizes[0]] for part in state]
        logs_DN, state = model.log_probabilities(batch.to(device), before)
        if not batch.share:
            continue  # a row of another process
        total_D += logs_DN.cpu().double().sum(dim=1)  # MPS has no float64
        num_tokens += batch.num_tokens
    model.train(was_training)
    counted = torch.cat([total_D, torch.tensor([num_tokens], dtype=torch.float64)])
    *totals, num_tokens = (processes or Processes()).sum(counted).tolist()
    forward, backward = (-total / num_tokens for total in totals)
    values = (_exp((forward + backward) / 2), _exp(forward), _exp(backward), int(num_tokens))
    return dict(zip(score_names(split), values, strict=True))


def told_batches(batches: Iterator[Batch], corpus: Corpus, setup: Setup, *, split: Split) -> Iterator[Batch]:
    """The batches of a corpus's evaluation, of which `setup.tell` is told."""
    total = corpus.num_tokens + corpus.num_sentences
    return told(batches, setup.tell, split=split, total=total, size=lambda batch: batch.num_units)


def _exp(nats: float) -> float:
    """exp, limited so that a huge loss gives a huge perplexity instead of an overflow error."""
    return math.exp(min(nats, 700.0))


def make_builder(
    corpus: Corpus, vocabulary: Vocabulary, model: LanguageModel, processes: Processes | None = None
) -> BatchBuilder:
    """The builder of batches of a corpus for a model."""
    target_ids = vocabulary.ids_of(corpus.types)
    words = model.encoder.words
    return BatchBuilder(types=corpus.types, target_ids=target_ids, words=words, processes=processes)
