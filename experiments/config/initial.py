"""What a run takes from `init_from`: the encoder of a continued pretraining, with its sizes, and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser

from elmo.errors import InputError
from elmo.json_file import read_json
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


def figures_of_initial(init_from: str | None) -> dict[str, float]:
    """What the run, or the checkpoint, that `init_from` names has found out about its biLM.

    `bilm/perplexity` is that on the dev split of its own text, and `bilm/steps` the steps of its training;
    official files have neither.
    """
    if init_from is None:
        return {}
    places = [Path(init_from) / "metrics.json", Path(init_from).parent / "metrics.json"]
    path = next((path for path in places if path.is_file()), None)
    figures = {} if path is None else read_json(path)
    found = {"bilm/perplexity": figures.get("dev/perplexity"), "bilm/steps": figures.get("train/steps")}
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def _named_keys(overrides: Sequence[str], encoder: dict[str, object]) -> Iterator[str]:
    """The keys of the encoder that overrides set, all of them where its option is chosen."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group, _, key = override.key_or_group.partition(".")
        if group == "encoder":
            yield from [key.partition(".")[0]] if key else encoder
