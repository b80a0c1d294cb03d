"""The parts of a task's encoder: new, initialised from a model or restored; what of them learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from elmo.errors import InputError
from elmo.io.model_directory import BILM, ENCODER, SavedModel
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
from tasks.supervised.feature_store import FeatureCache, FeatureStore
from tasks.supervised.fine_tuning import FineTuning
from tasks.supervised.representation import Window
from tasks.task import Setup

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


def check_components(setup: Setup) -> dict[str, TokenEncoder]:
    """The parts of a new model's encoder, once the tokenizer, head and mix were found to be there.

    Raises:
        InputError: what is missing, or what `unlearned_parts` says.
    """
    for group in ("head", "mix"):
        if group not in setup.nodes:
            raise InputError(f"{group}: missing; {group}=... names one")
    REGISTRY.build("tokenizer", setup.nodes["tokenizer"])
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
