"""Repeats a run as its record tells: with the config of each of its starts, and its number of threads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from elmo.errors import InputError
from experiments.config.save import OF_ONE_START, composable
from experiments.io.run_record import RunRecord, flatten
from experiments.records.input_files import changed_inputs

if TYPE_CHECKING:
    from experiments.training.trainer import Trainer

_SECTIONS = ("trainer", "schedule")  # that another start may have had other values of
# Values of these sections that decide no figure and no event.
_WITHOUT_EFFECT = ("save_every", "save_every_minutes", "keep_checkpoints", "check_memory", "num_threads")
_QUIET = {"wandb": "disabled", "tensorboard": False, "curves": False}


@dataclass(frozen=True)
class Stage:
    """What one start of a run did, or several with the same values.

    Attributes:
        sections: the values of `trainer` and `schedule`.
        until: the step after which the next stage goes on; None: this is the last.
    """

    sections: dict[str, dict[str, Any]]
    until: int | None


@dataclass(frozen=True)
class Plan:
    """How a run is repeated.

    Attributes:
        path: of the run.
        values: of its config, without those of one start.
        choices: the chosen options of the groups.
        stages: in their order.
        fingerprints: of the data by split.
        notices: lines for the user.
    """

    path: Path
    values: dict[str, Any]
    choices: dict[str, Any]
    stages: list[Stage]
    fingerprints: dict[str, str]
    notices: list[str]


def plan_repetition(record: RunRecord, *, cache_dir: str | None) -> Plan:
    """The plan of a run's repetition.

    Args:
        record: of the run.
        cache_dir: of prepared data; None: the run's own.

    Raises:
        InputError: the run has not ended, its record is not complete, or a file of its data is another one.
    """
    _refuse_incomplete(record)
    last = record.starts[-1]
    values = {key: value for key, value in record.config.items() if key not in OF_ONE_START}
    values["logger"] = {**values["logger"], **_QUIET}
    values["cache_dir"] = cache_dir or values["cache_dir"]
    faults = list(changed_inputs(last.get("files") or {}, values, cache_path=Path(values["cache_dir"])))
    if faults:
        raise InputError("\n".join(f"run={record.path}: {fault}" for fault in faults))
    notices = list(_thread_notices(record))
    stages = _stages(record, device=last.get("device"))
    if any(stage.sections["trainer"]["max_minutes"] is not None for stage in stages):
        notices.append(_notice_of_minutes(record, values))
        stages = [_by_steps(stage, int(record.figures["train/steps"] or 0)) for stage in stages]
    choices = dict(record.choices or {})
    return Plan(record.path, values, choices, stages, record.fingerprints, notices)


def repeat(plan: Plan, output: Path, *, plugins: Sequence[str], progress: str) -> None:
    """Train as the plan says, in a new directory.

    Args:
        plan: of the repetition.
        output: the new run's directory.
        plugins: packages whose modules register components.
        progress: of the displays.

    Raises:
        InputError: the data is not what the run read, or this version cannot run the config.
    """
    from experiments.config.single_job import run_job
    from experiments.train import train
    from experiments.training.trainer import PAUSE

    common = [f"plugins=[{','.join(plugins)}]", f"logger.progress={progress}"]
    with tempfile.TemporaryDirectory() as place:
        values = {**plan.values, **plan.stages[0].sections}
        text = composable(OmegaConf.to_yaml(OmegaConf.create(values)), plan.choices)
        Path(place, "config.yaml").write_text(text, encoding="utf-8")
        arguments = ["--config-path", place, "--config-name", "config", f"output_dir={output}"]
        if values.get("init_from") is not None and "dropout" in values["encoder"]:
            # a continued pretraining takes the encoder of init_from, but for what the command names
            arguments.append(f"encoder.dropout={values['encoder']['dropout']}")
        before: Stage | None = None
        for stage in plan.stages:
            if before is not None:
                arguments = [f"resume={output}", *_overrides(before, stage)]
            started: list[Trainer] = []
            on_start = partial(_check_start, plan=plan, stage=stage, started=started)
            try:
                run_job(
                    partial(train, on_start=on_start),
                    config_name="train",
                    arguments=[*arguments, *common],
                )
            except KeyboardInterrupt:
                if not started or started[0].stop.reason != PAUSE:
                    raise
            before = stage


def _refuse_incomplete(record: RunRecord) -> None:
    if record.state == "failed":
        reason = (record.failure or {}).get("reason", "no reason is known")
        raise InputError(f"run={record.path}: the run failed ({reason}); only one that has ended is repeated")
    if record.state == "unfinished":
        raise InputError(f"run={record.path}: the run has no final figures yet; resume={record.path} ends it")
    starts = record.starts
    if not starts or record.choices is None or not all(isinstance(s.get("config"), dict) for s in starts):
        raise InputError(
            f"run={record.path}: its record is missing, or of an earlier version (environment.json with every"
            f" start); `experiments.train --config-path {record.path} --config-name config` runs its config"
        )
    for key in (*_SECTIONS, "logger"):
        if not isinstance(record.config.get(key), dict):
            raise InputError(f"run={record.path}: config.yaml has no section {key}; it is of another version")


def _stages(record: RunRecord, *, device: str | None) -> list[Stage]:
    """A stage for each start; of starts with the same values one, as resuming changes nothing."""
    stages: list[Stage] = []
    for start in record.starts:
        sections = {key: dict(start["config"][key]) for key in _SECTIONS}
        sections["trainer"]["num_threads"] = sections["trainer"]["num_threads"] or start["threads"]
        sections["trainer"]["device"] = device or sections["trainer"]["device"]
        if stages and _effective(stages[-1].sections) == _effective(sections):
            continue
        if stages:
            stages[-1] = replace(stages[-1], until=start["step"])
        stages.append(Stage(sections, until=None))
    return stages


def _effective(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        key: value for key, value in flatten(sections).items() if key.partition(".")[2] not in _WITHOUT_EFFECT
    }


def _by_steps(stage: Stage, num_steps: int) -> Stage:
    """The stage without a limit of time, which ends after as many steps as the run."""
    trainer = stage.sections["trainer"]
    steps = num_steps if stage.until is None else trainer["max_steps"]
    limits = {"max_minutes": None, "max_steps": steps or num_steps}
    return replace(stage, sections={**stage.sections, "trainer": {**trainer, **limits}})


def _notice_of_minutes(record: RunRecord, values: Mapping[str, Any]) -> str:
    steps = f"trainer.max_steps={record.figures['train/steps']}"
    if values["schedule"]["type"] == "constant":
        return f"trainer.max_minutes limited the run; it is repeated with {steps}, where it ended"
    return (
        f"trainer.max_minutes limited the run, and its learning rates followed the clock, as the schedule is"
        f" {values['schedule']['type']}; it is repeated with {steps}, and the figures will differ"
    )


def _thread_notices(record: RunRecord) -> Iterator[str]:
    numbers = {event["num_threads"] for event in record.events() if "num_threads" in event}
    if len(numbers) > 1:
        yield (
            f"the run had {min(numbers)} to {max(numbers)} threads, as trainer.num_threads was not given; it"
            " is repeated with those of its start, and the last digits may differ"
        )


def _overrides(before: Stage, after: Stage) -> Iterator[str]:
    """The values of a stage that differ from those of the stage before, as overrides."""
    old, new = flatten(before.sections), flatten(after.sections)
    for key, value in new.items():
        if old.get(key) != value:
            yield f"{key}={_as_override(value)}"


def _as_override(value: str | float | bool | None) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_start(trainer: Trainer, *, plan: Plan, stage: Stage, started: list[Trainer]) -> None:
    """Refuse data that the run did not read; and have the stage end where the run's did."""
    started.append(trainer)
    own = trainer.training.reports.fingerprints()
    for split, fingerprint in plan.fingerprints.items():
        if own.get(split) != fingerprint:
            raise InputError(
                f"run={plan.path}: the {split} split of the data is not the one that the run read (its"
                " fingerprint differs): other data, another tokenizer, or another version of a package"
            )
    trainer.pause_step = stage.until
