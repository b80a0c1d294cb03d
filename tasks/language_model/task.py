"""Pretraining: the bidirectional language model of Peters et al. (2018, section 3.1) and its perplexity.

Shape legend: D = 2 directions, N packed tokens, P vector size.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.lstm import State
from elmo.errors import InputError
from elmo.io.model_directory import SavedModel, load_weights, read_model, save_model
from elmo.registry import REGISTRY
from elmo.text.characters import BEGIN_SENTENCE, BEGIN_WORD, END_SENTENCE, END_WORD, PAD
from elmo.text.vocabulary import Vocabulary
from tasks.language_model.baselines import baseline_perplexities
from tasks.language_model.batching.batch import Batch, BatchBuilder
from tasks.language_model.batching.order import CHUNK_SENTENCES, ShuffledWindows
from tasks.language_model.corpus import Corpus, prepare_corpus
from tasks.sources.text.source import SPLITS, Split
from tasks.task import Batches, Predictor, Setup

MODEL_GROUPS = ("task", "tokenizer", "encoder", "softmax", "batching")  # what a trained model is rebuilt from
STAND_IN_TYPES = 10_000_000  # for checks before the vocabulary is known: any size will do


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
    encoder = REGISTRY.build(nodes["encoder"])
    if not isinstance(encoder, CharCnnLstm):
        raise InputError(
            f"encoder.type: {nodes['encoder']['type']} is no language model; encoder=elmo_tiny is one"
        )
    softmax = REGISTRY.build(nodes["softmax"], input_size=encoder.projection_size, num_types=num_types)
    return LanguageModel(encoder=encoder, softmax=softmax)


@REGISTRY.register("task", "language_model")
class LanguageModelTask:
    """Predict each word from those before it, and from those behind it.

    Args:
        loss_scale: the loss is multiplied by it before it is differentiated. It matters to optimizers such as
            Adagrad, whose accumulator does not start at zero; the original training used the number of
            steps, 20.
    """

    def __init__(self, *, loss_scale: float) -> None:
        if not loss_scale > 0:
            raise InputError(f"task.loss_scale: expected more than 0, got {loss_scale}")
        self.loss_scale = loss_scale

    def check(self, setup: Setup) -> None:
        """Find faults of the components' values without reading the corpus."""
        with torch.device("meta"):
            build_model(setup.nodes, num_types=STAND_IN_TYPES)
        REGISTRY.build(setup.nodes["batching"], batch_size=setup.batch_size)
        REGISTRY.build(setup.nodes["tokenizer"])
        REGISTRY.build(setup.nodes["data"]).check()
        if setup.vocabulary["path"] is not None:
            Vocabulary.from_file(Path(setup.vocabulary["path"]))

    def start(self, setup: Setup) -> LanguageModelTraining:
        """Prepare the corpora and the vocabulary, and build a fresh model."""
        initial = None if setup.initial is None else read_model(Path(setup.initial))
        corpora = prepare_corpora(setup, SPLITS)
        vocabulary = _make_vocabulary(setup.vocabulary, corpora["train"])
        model = build_model(setup.nodes, num_types=len(vocabulary))
        return LanguageModelTraining(
            setup=setup,
            model=model,
            vocabulary=vocabulary,
            corpora=corpora,
            loss_scale=self.loss_scale,
            initial=initial,
        )

    def evaluate(
        self, saved: SavedModel, setup: Setup, *, with_baselines: bool, name: str
    ) -> dict[str, float]:
        """The held-out perplexities of a trained model, `setup.nodes` naming the data.

        Args:
            saved: what the model directory `name` holds.
            setup: `data` from where one likes, all other nodes the model's own.
            with_baselines: whether the data's training text is there, to make the baselines from.
        """
        model, vocabulary = load_language_model(saved, name=name)
        model.to(setup.device)
        corpora = prepare_corpora(setup, SPLITS if with_baselines else ("heldout",))
        batching = REGISTRY.build(setup.nodes["batching"], batch_size=setup.batch_size)
        builder = make_builder(corpora["heldout"], vocabulary, model)
        batches = batching.evaluation_batches(corpora["heldout"], builder)
        figures = perplexities(model, batches, device=setup.device)
        return figures | (baseline_figures(corpora, vocabulary) if with_baselines else {})

    def predictor(self, saved: SavedModel, setup: Setup, *, name: str) -> Predictor:
        """None: it gives words probabilities."""
        raise InputError(f"{name}: a language model answers nothing; experiments.score scores text with it")

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Held-out perplexities beside the baselines'."""
        return perplexity_table(figures)


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
    ) -> None:
        self.setup = setup
        self.model = model.to(setup.device)
        self.vocabulary = vocabulary
        self.train, self.heldout = corpora["train"], corpora["heldout"]
        self.batching = REGISTRY.build(setup.nodes["batching"], batch_size=setup.batch_size)
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
        """Held-out perplexities: full softmax, every word and end of sentence counted once per direction."""
        if self.batching.carries_state and self._state is not None:
            self.model.set_start_state(self._state)
        return perplexities(self.model, self._evaluation_batches(), device=self.setup.device)

    def conclude(self) -> dict[str, float]:
        """Perplexities of a unigram and an interpolated bigram model, on the same held-out predictions."""
        return baseline_figures(self._corpora(), self.vocabulary)

    def facts(self) -> dict[str, float | str]:
        """Counts of the corpora and of the vocabulary, and what it covers."""
        facts: dict[str, float | str] = {}
        for split, corpus in self._corpora().items():
            facts[f"{split} tokens"] = corpus.num_tokens
            facts[f"{split} sentences"] = corpus.num_sentences
            facts[f"{split} types"] = corpus.num_types - 2
            covered = self.vocabulary.coverage(self.vocabulary.ids_of(corpus.types), corpus.counts_V)
            facts[f"{split} coverage"] = f"{covered:.2%}"
            if corpus.num_literal_markers:
                facts[f"{split} literal markers"] = (
                    f"{corpus.num_literal_markers} words are spelled <S>, </S> or <UNK>: read as words, "
                    "predicted as <UNK>"
                )
        return {**facts, "vocabulary": len(self.vocabulary)}

    def table(self, figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
        """Held-out perplexities beside the baselines'."""
        return perplexity_table(figures)

    def activation_bytes(self) -> int:
        """An estimate: gates and their gradients, cells, outputs; half as many distinct types as tokens."""
        encoder, tokens = self.model.encoder, self.units_per_batch
        per_layer = 12 * encoder.cell_size + 5 * encoder.projection_size
        filters = sum(number for _, number in encoder.char_cnn.filters)
        characters = 24 * (encoder.widest_filter * encoder.char_cnn.embedding.shape[1] + 2 * filters)
        return (
            4 * (2 * tokens * per_layer * len(encoder.bilstm.layers) + tokens * characters // 2) + 3 * 2**24
        )

    def constants(self) -> set[str]:
        """Everything learns."""
        return set()

    def rate_factors(self) -> dict[str, float]:
        """All parameters learn alike, but for the optimizer's own groups."""
        return {}

    def write_reports(self, path: Path) -> None:
        """A language model has its figures alone."""

    def tables(self) -> dict[str, tuple[list[str], list[list[Any]]]]:
        """None beside the figures."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The LSTM state that the next batch starts from."""
        return {"lstm": None if self._state is None else [list(pair) for pair in self._state]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the LSTM state of a checkpoint."""
        device = self.setup.device
        saved = state["lstm"]
        self._state = None if saved is None else [(h.to(device), c.to(device)) for h, c in saved]

    def fingerprints(self) -> dict[str, str]:
        """Of the prepared corpora, by split."""
        return {split: corpus.fingerprint for split, corpus in self._corpora().items()}

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        nodes = {group: self.setup.nodes[group] for group in MODEL_GROUPS}
        config = {"batch_size": self.setup.batch_size, **nodes}
        save_model(path, config=config, model=self.model, vocabulary=self.vocabulary)

    def _corpora(self) -> dict[str, Corpus]:
        return {"train": self.train, "heldout": self.heldout}

    def _builder(self, corpus: Corpus) -> BatchBuilder:
        return make_builder(corpus, self.vocabulary, self.model)

    def _evaluation_batches(self) -> Iterator[Batch]:
        return self.batching.evaluation_batches(self.heldout, self._builder(self.heldout))


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


def prepare_corpora(setup: Setup, splits: Collection[Split]) -> dict[str, Corpus]:
    """Open the corpora of a source's splits, prepared where that has not been done."""
    source = REGISTRY.build(setup.nodes["data"])
    source.check(splits)
    tokenizer = REGISTRY.build(setup.nodes["tokenizer"])
    return {
        split: prepare_corpus(
            source, tokenizer, cache_path=setup.cache_path, split=split, progress=setup.report
        )
        for split in splits
    }


def make_builder(corpus: Corpus, vocabulary: Vocabulary, model: LanguageModel) -> BatchBuilder:
    """The builder of a corpus's batches for a model."""
    return BatchBuilder(
        types=corpus.types,
        target_ids=vocabulary.ids_of(corpus.types),
        widest_filter=model.encoder.widest_filter,
    )


def perplexities(model: LanguageModel, batches: Iterator[Batch], *, device: torch.device) -> dict[str, float]:
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
        total_D += logs_DN.double().sum(dim=1).cpu()
        num_tokens += batch.num_tokens
    model.train(was_training)
    forward, backward = (-total_D / num_tokens).tolist()
    return {
        "heldout/perplexity": _exp((forward + backward) / 2),
        "heldout/forward_perplexity": _exp(forward),
        "heldout/backward_perplexity": _exp(backward),
        "heldout/predictions": num_tokens,
    }


def baseline_figures(corpora: Mapping[str, Corpus], vocabulary: Vocabulary) -> dict[str, float]:
    """Perplexities of a unigram and an interpolated bigram model, of at most the first 100 million words."""
    blocks = {split: _id_blocks(corpus, vocabulary) for split, corpus in corpora.items()}
    found = baseline_perplexities(blocks["train"], blocks["heldout"], vocabulary_size=len(vocabulary))
    return {
        "heldout/unigram_perplexity": found.unigram_perplexity,
        "heldout/bigram_perplexity": found.bigram_perplexity,
        "baseline/train_tokens": found.num_train_tokens,
    }


def perplexity_table(figures: Mapping[str, float]) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows that show perplexities; baselines read forward only."""
    rows: list[list[Any]] = [
        ["biLM", *(figures[f"heldout/{kind}perplexity"] for kind in ("forward_", "backward_", ""))]
    ]
    names = {"bigram": "interpolated Kneser-Ney bigram", "unigram": "unigram"}
    rows += [
        [name, figures[f"heldout/{kind}_perplexity"], None, None]
        for kind, name in names.items()
        if f"heldout/{kind}_perplexity" in figures
    ]
    return ["held-out perplexity", "forward", "backward", "mean"], rows


def _make_vocabulary(options: Mapping[str, Any], corpus: Corpus) -> Vocabulary:
    if options["path"] is not None:
        return Vocabulary.from_file(Path(options["path"]))
    return Vocabulary.from_counts(
        corpus.types, corpus.counts_V, min_count=options["min_count"], max_size=options["max_size"]
    )


def _id_blocks(corpus: Corpus, vocabulary: Vocabulary) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A corpus as vocabulary ids, some thousand sentences at a time."""
    ids_V = vocabulary.ids_of(corpus.types)
    for start in range(0, corpus.num_sentences, 64 * CHUNK_SENTENCES):
        types, offsets = corpus.read_sentences(start, min(start + 64 * CHUNK_SENTENCES, corpus.num_sentences))
        yield ids_V[types], offsets


def _spell(characters: list[int]) -> str:
    """The word of a row of characters; a marker as such."""
    word = characters[characters.index(BEGIN_WORD) + 1 : characters.index(END_WORD)]
    markers = {BEGIN_SENTENCE: "<S>", END_SENTENCE: "</S>"}
    return markers.get(word[0] if word else PAD) or bytes(word).decode("utf-8", "replace")


def _exp(nats: float) -> float:
    """A perplexity; a loss too large for a float64 gives the largest rather than an error."""
    return math.exp(min(nats, 700.0))
