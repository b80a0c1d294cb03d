"""The bidirectional language model of Peters et al. (2018, section 3.1), its batches and its training.

Shape legend: U distinct types of a batch, C characters, D = 2 directions, N packed tokens, P vector size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.lstm import State
from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, load_weights
from elmo.registry import REGISTRY
from elmo.text.characters import BEGIN_SENTENCE, BEGIN_WORD, END_SENTENCE, END_WORD, PAD, TypeTable
from elmo.text.vocabulary import Vocabulary
from tasks.language_model.corpus import Corpus, ShuffledWindows
from tasks.sources.shared.split import Split
from tasks.task import Batches, Reports, Setup


@dataclass(frozen=True)
class Batch:
    """Packed sequences (see `elmo.bilm.lstm`); direction 0 reads forward, direction 1 backward."""

    characters_UC: Tensor  # int64
    inputs_DN: Tensor  # int64, rows of characters_UC
    targets_DN: Tensor  # int64, vocabulary ids of the words to predict
    batch_sizes: list[int]
    carried: bool  # whether the rows go on where those of the batch before ended

    @property
    def num_tokens(self) -> int:
        """Tokens that are read, and predicted, in each direction."""
        return self.inputs_DN.shape[1]

    @property
    def num_units(self) -> int:
        """What the trainer counts: tokens."""
        return self.num_tokens

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return replace(
            self,
            characters_UC=self.characters_UC.to(device, non_blocking=True),
            inputs_DN=self.inputs_DN.to(device, non_blocking=True),
            targets_DN=self.targets_DN.to(device, non_blocking=True),
        )


class BatchBuilder:
    """Turns type ids into the tensors of a batch.

    Args:
        types: the corpus's table of types.
        target_ids: (V,) vocabulary id of each type.
        widest_filter: characters that the encoder's widest convolution spans.
    """

    def __init__(self, *, types: TypeTable, target_ids: np.ndarray, widest_filter: int) -> None:
        self.types = types
        self.target_ids = target_ids
        self.widest_filter = widest_filter

    def build(
        self, inputs_DN: np.ndarray, targets_DN: np.ndarray, batch_sizes: list[int], *, carried: bool
    ) -> Batch:
        """A batch of packed type ids of inputs and targets; distinct types get their characters once."""
        distinct, local = np.unique(inputs_DN, return_inverse=True)
        return Batch(
            characters_UC=torch.from_numpy(self.types.characters(distinct, widest_filter=self.widest_filter)),
            inputs_DN=torch.from_numpy(local.reshape(inputs_DN.shape)),
            targets_DN=torch.from_numpy(self.target_ids[targets_DN].astype(np.int64)),
            batch_sizes=batch_sizes,
            carried=carried,
        )


class Softmax(Protocol):
    """A module over the top layer's vectors (D, N, P) and the targets (D, N)."""

    def __call__(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """The mean training loss of all tokens of both directions, in nats."""
        ...

    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) exact log-probabilities of the targets."""
        ...


class LanguageModel(nn.Module):
    """An encoder and the softmax over the words before and after, shared by the two directions.

    It keeps the LSTM state that scoring starts from: zeros, or for a model whose state was carried and never
    reset in training, the mean over its rows. Such a model has not seen the state of zeros since its first
    step, and may never find back from there to the states that it was trained in.
    """

    def __init__(self, *, encoder: CharCnnLstm, softmax: Softmax) -> None:
        super().__init__()
        self.encoder = encoder
        self.softmax = softmax
        zeros = encoder.bilstm.zero_state(1)
        self.register_buffer("start_hidden", torch.stack([h for h, _ in zeros]).detach())
        self.register_buffer("start_cells", torch.stack([c for _, c in zeros]).detach())

    def start_state(self, num_rows: int) -> list[State]:
        """The state that scoring starts from, the same for all rows."""
        pairs = zip(self.get_buffer("start_hidden"), self.get_buffer("start_cells"), strict=True)
        return [(h.expand(-1, num_rows, -1), c.expand(-1, num_rows, -1)) for h, c in pairs]

    def set_start_state(self, state: list[State]) -> None:
        """Let scoring start from the mean of some rows' states."""
        for index, (h, c) in enumerate(state):
            self.get_buffer("start_hidden")[index] = h.mean(dim=1, keepdim=True)
            self.get_buffer("start_cells")[index] = c.mean(dim=1, keepdim=True)

    def forward(self, batch: Batch, state: list[State] | None) -> tuple[Tensor, list[State]]:
        """The mean loss of all predictions of both directions, and the LSTM state behind the batch."""
        vectors_DNP, state = self._top_layer(batch, state)
        return self.softmax(vectors_DNP, batch.targets_DN), state

    @torch.no_grad()
    def log_probabilities(self, batch: Batch, state: list[State] | None) -> tuple[Tensor, list[State]]:
        """(D, N) exact log-probabilities of the targets in nats, and the LSTM state behind the batch."""
        vectors_DNP, state = self._top_layer(batch, state)
        return self.softmax.log_probabilities(vectors_DNP, batch.targets_DN), state

    def _top_layer(self, batch: Batch, state: list[State] | None) -> tuple[Tensor, list[State]]:
        layers, state = self.encoder.run_packed(
            batch.characters_UC, batch.inputs_DN, batch.batch_sizes, state
        )
        return layers[-1], state


def build_model(nodes: Mapping[str, Any], *, num_types: int) -> LanguageModel:
    """A freshly initialised model from its component nodes. Raises InputError for values that disagree."""
    encoder = REGISTRY.build("encoder", nodes["encoder"])
    if not isinstance(encoder, CharCnnLstm):
        raise InputError(
            f"encoder.type: {nodes['encoder']['type']} is no language model; encoder=elmo_tiny is one"
        )
    softmax = REGISTRY.build(
        "softmax", nodes["softmax"], input_size=encoder.projection_size, num_types=num_types
    )
    return LanguageModel(encoder=encoder, softmax=softmax)


def load_language_model(saved: SavedModel, *, name: str) -> tuple[LanguageModel, Vocabulary]:
    """The model of a model directory, ready to score, and the words that it predicts.

    Raises:
        InputError: a model of another task, a file that is missing, weights and config that disagree.
    """
    task = saved.config["task"]["type"]
    if task != "language_model":
        raise InputError(f"{name}: a model of task {task}, expected a language_model")
    if saved.vocabulary is None:
        raise InputError(f"{name}: no vocabulary.txt in the model's directory; copy the directory whole")
    model = build_model(saved.config, num_types=len(saved.vocabulary))
    load_weights(model, saved.weights, name=name)
    return model.eval(), saved.vocabulary


class LanguageModelTraining:
    """A biLM under way: what `tasks.task.Training` describes, with the LSTM state that is carried along."""

    unit = "tokens"

    def __init__(
        self,
        *,
        setup: Setup,
        model: LanguageModel,
        vocabulary: Vocabulary,
        corpora: Mapping[str, Corpus],
        loss_scale: float,
        initial: SavedModel | None,
        reports: Reports,
    ) -> None:
        self.setup, self.reports = setup, reports
        self.model = model.to(setup.device)
        self.vocabulary = vocabulary
        self.train, self.dev = corpora["train"], corpora["dev"]
        self.batching = REGISTRY.build("batching", setup.nodes["batching"], batch_size=setup.batch_size)
        self.gradient_scale = loss_scale
        sampled = setup.nodes["softmax"]["type"] == "sampled"
        self.loss_name = "train/sampled_loss" if sampled else "train/loss"
        self.units_per_epoch = self.train.num_tokens + self.train.num_sentences
        self.units_per_batch = self.batching.tokens_per_batch
        self._state: list[State] | None = None
        if self.units_per_epoch < self.units_per_batch:
            raise InputError(
                f"data: the training text gives {self.units_per_epoch} predictions, fewer than one batch"
                f" of {self.units_per_batch}; more text, or less trainer.batch_size or batching.num_steps"
            )
        if initial is not None:
            self._initialize(initial, name=f"init_from={setup.initial}")

    def _initialize(self, saved: SavedModel, *, name: str) -> None:
        """Take the weights of another biLM over the same vocabulary."""
        if saved.vocabulary is None or saved.vocabulary.words != self.vocabulary.words:
            raise InputError(
                f"{name}: its vocabulary is another; vocabulary.path=.../model/vocabulary.txt takes it over"
            )
        load_weights(self.model, saved.weights, name=name)
        if not self.batching.carries_state:
            self.model.set_start_state(self.model.encoder.bilstm.zero_state(1))

    def batches(self) -> Batches:
        """The training corpus, shuffled anew every epoch, without end."""
        setup = self.setup
        windows = ShuffledWindows(
            corpus=self.train, seed=setup.seed, shard=setup.shard, num_shards=setup.num_shards
        )
        return self.batching.training_batches(windows, self._builder(self.train))

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch in nats; the LSTM state goes on to the next call."""
        before = self._state if batch.carried else self.model.start_state(batch.batch_sizes[0])
        loss, self._state = self.model(batch.to(self.setup.device), before)
        return loss

    def describe(self, batch: Batch) -> str:
        """The first words of a batch's first row."""
        columns = np.cumsum([0, *batch.batch_sizes[:-1]])[:12]
        rows = batch.characters_UC[batch.inputs_DN[0, columns]].tolist()
        return f"the batch that begins with: {' '.join(_spell(row) for row in rows)}"

    def evaluate(self) -> dict[str, float]:
        """Perplexities of the dev text: full softmax, each word and end of sentence counts once each way."""
        if self.batching.carries_state and self._state is not None:
            self.model.set_start_state(self._state)
        return perplexities(self.model, self._evaluation_batches(), device=self.setup.device)

    def constants(self) -> set[str]:
        """Everything learns."""
        return set()

    def rate_factors(self) -> dict[str, float]:
        """All parameters learn alike, but for the optimizer's own groups."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The LSTM state that the next batch starts from."""
        return {"lstm": None if self._state is None else [list(pair) for pair in self._state]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the LSTM state of a checkpoint."""
        device = self.setup.device
        saved = state["lstm"]
        self._state = None if saved is None else [(h.to(device), c.to(device)) for h, c in saved]

    def _builder(self, corpus: Corpus) -> BatchBuilder:
        return make_builder(corpus, self.vocabulary, self.model)

    def _evaluation_batches(self) -> Iterator[Batch]:
        return self.batching.evaluation_batches(self.dev, self._builder(self.dev))


def perplexities(
    model: LanguageModel, batches: Iterator[Batch], *, device: torch.device, split: Split = "dev"
) -> dict[str, float]:
    """Token-weighted perplexities of each direction and of the mean of their losses, with dropout off."""
    was_training = model.training
    model.eval()
    total_D, num_tokens = torch.zeros(2, dtype=torch.float64), 0
    state: list[State] | None = None
    for batch in batches:
        rows = batch.batch_sizes[0]
        before = model.start_state(rows)
        if batch.carried and state is not None:
            before = [(h[:, :rows], c[:, :rows]) for h, c in state]
        logs_DN, state = model.log_probabilities(batch.to(device), before)
        total_D += logs_DN.cpu().double().sum(dim=1)  # MPS has no float64
        num_tokens += batch.num_tokens
    model.train(was_training)
    forward, backward = (-total_D / num_tokens).tolist()
    return {
        f"{split}/perplexity": _exp((forward + backward) / 2),
        f"{split}/forward_perplexity": _exp(forward),
        f"{split}/backward_perplexity": _exp(backward),
        f"{split}/predictions": num_tokens,
    }


def _exp(nats: float) -> float:
    """A perplexity; a loss too large for a float64 gives the largest rather than an error."""
    return math.exp(min(nats, 700.0))


def make_builder(corpus: Corpus, vocabulary: Vocabulary, model: LanguageModel) -> BatchBuilder:
    """The builder of a corpus's batches for a model."""
    return BatchBuilder(
        types=corpus.types,
        target_ids=vocabulary.ids_of(corpus.types),
        widest_filter=model.encoder.widest_filter,
    )


def _spell(characters: list[int]) -> str:
    """The word of a row of characters; a marker as such."""
    word = characters[characters.index(BEGIN_WORD) + 1 : characters.index(END_WORD)]
    markers = {BEGIN_SENTENCE: "<S>", END_SENTENCE: "</S>"}
    return markers.get(word[0] if word else PAD) or bytes(word).decode("utf-8", "replace")
