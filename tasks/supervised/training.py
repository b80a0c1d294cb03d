"""What tasks with gold answers have in common: their encoder, fresh, taken over or read back; its saving."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.io.model_directory import BILM, ENCODER, SavedModel, save_model
from elmo.registry import REGISTRY
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.parts import (
    build_parts,
    check_parts,
    for_each_part,
    initialize_parts,
    restore_words,
    saved_node,
    word_lists,
)
from tasks.encoders.token_encoder import TokenEncoder
from tasks.sources.shared.split import SPLITS, Split
from tasks.supervised.feature_store import FeatureCache, FeatureStore
from tasks.supervised.fine_tuning import FineTuning
from tasks.supervised.representation import Window
from tasks.task import Setup

MODEL_GROUPS = ("task", "tokenizer", "mix", "head")  # what a model is rebuilt from, with its encoder
PREFIX = "representation.parts."  # before a part's name in the names of the parameters of every model here
FROZEN = {"trainable": False, "learning_rate_factor": 1.0, "layer_factor": 1.0, "unfreeze_every": None}


class EncoderParts:
    """The parts of a task's encoder, and what of them learns.

    Args:
        node: the config node that the parts were built from.
        parts: by name, with the words that they know.
        fine_tuning: arguments of `FineTuning`.

    Attributes:
        fine_tuning: of the contextual parts.
        frozen: names of the parts of which nothing ever learns.
    """

    def __init__(
        self, *, node: Mapping[str, Any], parts: Mapping[str, TokenEncoder], fine_tuning: Mapping[str, Any]
    ) -> None:
        self.node, self.parts = node, parts
        self.fine_tuning = FineTuning(parts=parts, **fine_tuning)
        self.frozen = [
            name for name, part in parts.items() if not any(p.requires_grad for p in part.parameters())
        ]

    @classmethod
    def start(cls, setup: Setup, counts: Mapping[str, int]) -> EncoderParts:
        """Those of a new model, for a training text with these counts of words.

        Raises:
            InputError: a part lacks what it is to start from, or `setup.initial` fits none.
        """
        parts = unlearned_parts(setup)
        for_each_part(parts, lambda part: part.learn_words(counts))
        return cls(node=setup.nodes["encoder"], parts=parts, fine_tuning=setup.fine_tuning)

    @classmethod
    def restore(cls, saved: SavedModel) -> EncoderParts:
        """Those of a saved model, frozen; their weights are still to be loaded with those of the model."""
        node = saved.config["encoder"]
        parts = build_parts(node)
        restore_words(parts, saved.words)
        return cls(node=node, parts=parts, fine_tuning=FROZEN)

    def facts(self, setup: Setup) -> dict[str, float | str]:
        """What a user may not have meant."""
        if setup.initial is None and any(self.parts[name].is_contextual for name in self.frozen):
            return {"encoder": "a frozen biLM with random weights; init_from=RUN gives it others"}
        return {}

    def saved_config(self) -> dict[str, Any]:
        """What a model directory's config says of the encoder, its biLM and all: no other file is needed."""
        node = saved_node(self.parts, self.node)
        nodes = node["parts"] if node["type"] == "concat" else dict.fromkeys(self.parts, node)
        config = {ENCODER: node}
        for name, part in self.parts.items():
            if isinstance(part, ElmoEncoder):
                config[BILM] = {"node": nodes[name], "weights": f"{PREFIX}{name}.bilm."}
        return config

    def word_lists(self) -> dict[str, list[str]]:
        """The lists of words for a model directory."""
        return word_lists(self.parts)

    def rate_factors(self) -> dict[str, float]:
        """Factors on learning rates, by the names of parameters in the task's model."""
        return self.fine_tuning.rate_factors(PREFIX)

    def constants(self, model: nn.Module) -> set[str]:
        """The names in the state of the task's model that belong to parts of which nothing ever learns."""
        prefixes = tuple(f"{PREFIX}{name}." for name in self.frozen)
        return {name for name in model.state_dict() if name.startswith(prefixes)}

    def open_stores(self, cache: FeatureCache | None, texts: Sequence[Window]) -> dict[str, FeatureStore]:
        """The stored vectors of some texts, of each frozen contextual part that the cache has room for.

        Args:
            cache: None: nothing is stored.
            texts: the sentences of each.
        """
        if cache is None:
            return {}
        contextual = [name for name in self.frozen if self.parts[name].is_contextual]
        stores = {name: cache.store(self.parts[name], texts) for name in contextual}
        return {name: store for name, store in stores.items() if store is not None}


class Examples(Protocol):
    """What a source of examples tells of itself."""

    def check_examples(self) -> None: ...

    def describe_examples(self, split: Split) -> dict[str, Any]: ...


class SupervisedTraining(ABC):
    """What the trainings of all tasks with gold answers have in common (see `tasks.task.Training`).

    Attributes:
        source: of the examples.
        encoder: the parts of the model's encoder.
        model: with its representation as `representation`.
    """

    unit = "examples"
    gradient_scale = 1.0
    loss_name = "train/loss"
    setup: Setup
    source: Examples
    encoder: EncoderParts
    model: nn.Module

    @abstractmethod
    def _saved_facts(self) -> dict[str, Any]:
        """What a saved model's config has beside its components."""

    @property
    def reports(self) -> Any:
        """For now the training tells of itself."""
        return self

    def constants(self) -> set[str]:
        """What belongs to frozen encoders."""
        return self.encoder.constants(self.model)

    def rate_factors(self) -> dict[str, float]:
        """Those of fine-tuning."""
        return self.encoder.rate_factors()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: each batch is by itself."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  # the counterpart of nothing
        """Nothing was carried."""

    def fingerprints(self) -> dict[str, str]:
        """Of each split's examples and words."""
        tokenizer = REGISTRY.build("tokenizer", self.setup.nodes["tokenizer"]).fingerprint()
        return {split: fingerprint_of(self.source.describe_examples(split), tokenizer) for split in SPLITS}

    def save_model(self, path: Path) -> None:
        """Write the self-contained model directory."""
        config = {
            **{group: self.setup.nodes[group] for group in MODEL_GROUPS},
            **self.encoder.saved_config(),
            "batch_size": self.setup.batch_size,
            **self._saved_facts(),
        }
        save_model(path, config=config, model=self.model, words=self.encoder.word_lists())


def check_components(setup: Setup, source: Examples) -> dict[str, TokenEncoder]:
    """The parts of a new model's encoder, once every other component was found to be there.

    Raises:
        InputError: what is missing, or what `unlearned_parts` says.
    """
    for group in ("head", "mix"):
        if group not in setup.nodes:
            raise InputError(f"{group}: missing; {group}=... names one")
    REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
    source.check_examples()
    return unlearned_parts(setup)


def unlearned_parts(setup: Setup) -> dict[str, TokenEncoder]:
    """The parts of a new model before they learn words: pretrained vectors have their size only then.

    Raises:
        InputError: a part lacks what it is to start from, or `setup.initial` fits none.
    """
    parts = build_parts(setup.nodes["encoder"])
    if setup.initial is not None:
        initialize_parts(parts, setup.initial)
    check_parts(parts)
    return parts


def make_cache(setup: Setup, notice: Callable[[str], None]) -> FeatureCache | None:
    """The cache of vectors as a run wants it; None where it wants none."""
    if not setup.features["cached"]:
        return None
    return FeatureCache(
        path=setup.cache_path / "features",
        max_gigabytes=setup.features["max_gigabytes"],
        dtype=setup.features["dtype"],
        report=setup.report,
        notice=notice,
    )


def fingerprint_of(*facts: Any) -> str:
    """A short name that differs whenever the facts do, which are plain values for JSON."""
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def gradient_saliency(vectors: Sequence[Tensor], score: Tensor) -> Tensor:
    """(B, T) gradient times input, added up over each vector: what it adds to a score, to first order.

    Args:
        vectors: (B, T, P) each, that `score` depends on and that require a gradient.
        score: a scalar.
    """
    gradients = torch.autograd.grad(score, list(vectors))
    products = [(g * v).sum(dim=-1) for g, v in zip(gradients, vectors, strict=True)]
    return torch.stack(products).sum(dim=0).detach()
