"""Reads what is searched from a file and a command line, and checks the configs of all trials first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.check import config_faults
from experiments.config.compose import COMPOSE_ERRORS, composed, job_faults
from experiments.config.save import OF_ONE_START
from experiments.sweep.overrides import key_of, merged, override_texts
from experiments.tune.schema import TuneConfig
from experiments.tune.space import Space, flat_entries, read_space

_OF_ONE_RUN = (*OF_ONE_START, "dry_run")


class Plan(NamedTuple):
    """What a search consists of.

    Attributes:
        base: overrides of all trials.
        entries: the space as it is written, by key.
        space: of the values that differ.
        metric: the score on dev that is the objective, `trainer.metric` of all trials.
        is_minimized: whether less of it is better.
        groups: the names of all groups of `experiments.train`.
    """

    base: list[str]
    entries: dict[str, Any]
    space: Space
    metric: str
    is_minimized: bool
    groups: list[str]


def read_plan(config: TuneConfig, given: Sequence[str]) -> Plan:
    """The plan of a search. Hydra must be initialized with the search path of `experiments.train`.

    Args:
        config: of the command, which holds the search file.
        given: overrides of `experiments.train`: one with several values, such as `head=pooled,cnn` or
            `seed=range(1,4)`, is a key of the space, any other is of all trials. A key of the file's space
            that gets one value has this alone.

    Raises:
        InputError: every fault of the space, or of the configs that its values make, a line each.
    """
    entries = dict(flat_entries(config.space))
    swept, plain = dict[str, str](), []
    for text in given:
        key, value = key_of(text), text.partition("=")[2]
        if key in entries or _is_swept(text):
            swept[key] = value if _is_swept(text) else f"choice({value})"
        else:
            plain.append(text)
    if not entries and not swept:
        raise InputError("search: nothing is searched; choose a file, search=NAME, or give several values")
    base = merged(override_texts(config.base), plain)
    space = read_space(entries).changed(read_space(swept))
    entries |= swept
    faults = [*_misplaced(base, space), *_sampler_faults(config.sampler, space)]
    if faults:
        raise InputError("\n".join(faults))
    metric, is_minimized = _checked_objective(base, space)
    loader = GlobalHydra.instance().config_loader()
    return Plan(base, entries, space, metric, is_minimized, list(loader.list_groups("")))


def _is_swept(text: str) -> bool:
    try:
        return OverridesParser.create().parse_override(text).is_sweep_override()
    except HydraException as error:
        raise InputError(f"{text}: cannot be read; {str(error).splitlines()[0]}") from error


def _misplaced(base: Sequence[str], space: Space) -> Iterator[str]:
    """Keys that are of a single run, or both in the base and in the space."""
    searched = {parameter.key for parameter in space.parameters}
    fixed = {key_of(text) for text in base}
    for key in sorted((fixed | searched) & set(_OF_ONE_RUN)):
        yield f"{key}: belongs to a single run; a study gives each trial its own"
    for key in sorted(fixed & searched):
        yield f"space.{key}: is in base as well; leave one of them out"


def _sampler_faults(node: Mapping[str, Any], space: Space) -> Iterator[str]:
    needed = REGISTRY.get("sampler", node["type"]).min_numbers  # type: ignore[attr-defined]
    if space.num_numbers() < needed:
        yield (
            f"sampler: {node['type']} searches numbers, at least {needed} without a condition, and the space"
            f" has {space.num_numbers()}; choose sampler=tpe"
        )


def _checked_objective(base: Sequence[str], space: Space) -> tuple[str, bool]:
    """The metric of all trials and whether less of it is better; InputError for the faults of any config."""
    objectives: dict[tuple[str, bool], None] = {}
    faults: dict[str, None] = {}
    for values in space.examples():
        overrides = merged(base, [f"{key}={text}" for key, text in values.items()])
        try:
            config = composed("train", overrides)
            found = config_faults(config)
            objectives[str(config.trainer.metric), config.trainer.metric_goal.value == "minimize"] = None
        except COMPOSE_ERRORS:
            # This takes seconds, and the configs of other values may have the same faults.
            found = [] if faults else job_faults("train", overrides)
        faults |= dict.fromkeys(found)
    if faults:
        raise InputError("\n".join(faults))
    if len(objectives) > 1:
        several = ", ".join(metric for metric, _ in objectives)
        raise InputError(
            f"trainer.metric: the trials would have several ({several}), which cannot be compared; give one,"
            " with its trainer.metric_goal"
        )
    (objective,) = objectives
    return objective
