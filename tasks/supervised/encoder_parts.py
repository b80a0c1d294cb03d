"""The parts of a task's encoder: built new, initialised from a model, or restored; and which are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from elmo.errors import InputError, faults_of
from elmo.io.meta_device import meta_device
from elmo.io.model_directory import BILM, ENCODER, SavedModel, load_weights
from elmo.registry import REGISTRY, ComponentNode
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
from tasks.supervised.feature_store import FeatureCache, FeatureStore
from tasks.supervised.fine_tuning import FineTuning
from tasks.supervised.representation import Window
from tasks.task import Setup

PREFIX = "representation.parts."  # precedes a part's name in the parameter names of a task's model
ModelT = TypeVar("ModelT", bound=nn.Module)
FROZEN = {"trainable": False, "learning_rate_factor": 1.0, "layer_factor": 1.0, "unfreeze_every": None}


@dataclass(frozen=True, kw_only=True)
class SavedParts:
    """What the config.json of every supervised model has besides its task."""

    encoder: ComponentNode
    head: ComponentNode
    mix: ComponentNode
    tokenizer: ComponentNode


class EncoderParts:
    """The parts of a task's encoder, and which of their parameters are trained.

    Args:
        node: the config node that the parts were built from.
        parts: the encoders by name, with their words.
        fine_tuning: arguments of `FineTuning`.

    Attributes:
        fine_tuning: of the contextual parts.
        frozen: names of the parts without trained parameters.
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
        """The parts of a new model, given the word counts of its training text.

        Raises:
            InputError: a part lacks a model or file to start from, or `setup.initial` fits no part.
        """
        parts = unlearned_parts(setup)
        for_each_part(parts, lambda part: part.learn_words(counts))
        return cls(node=setup.nodes["encoder"], parts=parts, fine_tuning=setup.fine_tuning)

    @classmethod
    def restore(cls, saved: SavedModel) -> EncoderParts:
        """The frozen parts of a saved model; their weights are loaded later, with those of the model."""
        node = saved.config["encoder"]
        parts = build_parts(node)
        restore_words(parts, saved.words)
        return cls(node=node, parts=parts, fine_tuning=FROZEN)

    def facts(self, setup: Setup) -> dict[str, float | str]:
        """A warning if the encoder is a frozen biLM with random weights, which is hardly intended."""
        if setup.initial is None and any(self.parts[name].is_contextual for name in self.frozen):
            return {"encoder": "a frozen biLM with random weights; init_from=RUN loads pretrained ones"}
        return {}

    def saved_config(self) -> dict[str, Any]:
        """The encoder's entries in a model directory's config, complete: no other file is needed."""
        config = {ENCODER: saved_node(self.parts, self.node)}
        for name, part in self.parts.items():
            if isinstance(part, ElmoEncoder) and part.bilm is not None:
                config[BILM] = {"node": part.bilm.node, "weights": f"{PREFIX}{name}.bilm."}
        return config

    def word_lists(self) -> dict[str, list[str]]:
        """The word lists for a model directory."""
        return word_lists(self.parts)

    def rate_factors(self) -> dict[str, float]:
        """The factors of learning rates, by the parameters' names in the task's model."""
        return self.fine_tuning.rate_factors(PREFIX)

    def constants(self, model: nn.Module) -> set[str]:
        """The names of all tensors in the state of the task's model that no training of it changes."""
        frozen = tuple(f"{PREFIX}{name}." for name in self.frozen)
        fixed = {f"{PREFIX}{name}.{own}" for name, part in self.parts.items() for own in part.constants()}
        return {name for name in model.state_dict() if name.startswith(frozen) or name in fixed}

    def open_stores(
        self,
        cache: FeatureCache | None,
        texts: Sequence[Window],
        *,
        whole: Callable[[], Sequence[Window]] | None = None,
    ) -> dict[str, FeatureStore]:
        """The stored vectors of some texts, for each frozen contextual part that the cache has room for.

        Args:
            cache: None: nothing is stored.
            texts: the sentences of each text.
            whole: gives all texts that these are chosen from. Their vectors are stored, so that they are
                computed once for every choice; None: these are all.
        """
        contextual = [name for name in self.frozen if self.parts[name].is_contextual]
        if cache is None or not contextual:
            return {}
        every = texts if whole is None else whole()
        stores = {name: cache.store(self.parts[name], every) for name in contextual}
        found = {name: store for name, store in stores.items() if store is not None}
        return {name: store.of(texts, every) for name, store in found.items()} if whole else found


def restore_model(
    saved: SavedModel,
    build: Callable[[Mapping[str, TokenEncoder]], ModelT],
    *,
    device: torch.device,
    name: str,
) -> ModelT:
    """A trained model with its weights, in evaluation mode; InputError: they and its config disagree.

    Args:
        saved: the content of the model directory `name`, whose config has `SavedParts`.
        build: makes the model from the parts of its encoder, on the meta device.
    """
    with faults_of(name), meta_device():
        model = build(EncoderParts.restore(saved).parts)
    load_weights(model, saved.weights, name=name)
    return model.to(device).eval()


def check_components(setup: Setup) -> dict[str, TokenEncoder]:
    """Check that tokenizer, head and mix are configured; returns the parts of a new model's encoder.

    Raises:
        InputError: a component is missing, or as `unlearned_parts`.
    """
    for group in ("head", "mix"):
        if group not in setup.nodes:
            raise InputError(f"{group}: missing; {group}=... names one")
    REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
    return unlearned_parts(setup)


def unlearned_parts(setup: Setup) -> dict[str, TokenEncoder]:
    """The parts of a new model before `learn_words`: until then, the size of pretrained vectors may be
    unknown.

    Raises:
        InputError: a part lacks a model or file to start from, or `setup.initial` fits no part.
    """
    parts = build_parts(setup.nodes["encoder"])
    if setup.initial is not None:
        initialize_parts(parts, setup.initial)
    check_parts(parts)
    if setup.fine_tuning["trainable"] and any(part.carries_state for part in parts.values()):
        raise InputError(
            "encoder.state: carried reads a text's sentences one after another, without gradients; leave out"
            " fine_tuning.trainable=true, or use auto"
        )
    return parts


def make_cache(setup: Setup, notice: Callable[[str], None]) -> FeatureCache | None:
    """The configured cache of vectors; None if `features.cached` is false."""
    if not setup.features["cached"]:
        return None
    return FeatureCache(
        path=setup.cache_path / "features",
        max_gigabytes=setup.features["max_gigabytes"],
        dtype=setup.features["dtype"],
        report=setup.report,
        notice=notice,
    )
