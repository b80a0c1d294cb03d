"""The encoder of a continued pretraining: that of `init_from`, with its sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.schema import TrainConfig
from tasks.task import ContinuingTask

Config = TypeVar("Config", bound=TrainConfig)
FREE_KEYS = ("dropout",)  # of an encoder: these decide no shape


def with_initial_encoder(config: Config, overrides: Sequence[str]) -> Config:
    """The config with the encoder of `init_from`, if its task trains that encoder further.

    Args:
        config: checked.
        overrides: the user's own; only these can disagree with `init_from`, as presets give way.

    Raises:
        InputError: there is no such model, or the user has given its encoder another size.
    """
    task = REGISTRY.build("task", config.task)
    if config.init_from is None or not isinstance(task, ContinuingTask):
        return config
    own, given = task.initial_encoder(config.init_from), config.encoder
    named = [] if given["type"] == "elmo" else list(_named_keys(overrides, given))
    for key in named:
        if key not in FREE_KEYS and given.get(key) != own.get(key):
            raise InputError(
                f"encoder.{key}: {given.get(key)}, but init_from={config.init_from} has {own.get(key)}; leave"
                " the encoder out, and it has the sizes of init_from"
            )
    return dataclasses.replace(
        config, encoder={**own, **{key: given[key] for key in named if key in FREE_KEYS}}
    )


def _named_keys(overrides: Sequence[str], encoder: dict[str, object]) -> Iterator[str]:
    """The keys of the encoder that overrides set, all of them where its option is chosen."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group, _, key = override.key_or_group.partition(".")
        if group == "encoder":
            yield from [key.partition(".")[0]] if key else encoder
