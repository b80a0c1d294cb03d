"""The command's work: a study from its config, its trials, and what it leaves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from elmo.errors import InputError
from experiments.config.resume import RUNS
from experiments.config.save import plain_config
from experiments.logging.evaluations import number
from experiments.sweep.launchers.launcher import Launcher
from experiments.sweep.launchers.local import LocalLauncher
from experiments.sweep.overrides import key_of, value_text
from experiments.sweep.record import RECORD_FILE, read_sweep
from experiments.training.stop import Stop
from experiments.tune.plan import Plan, read_plan
from experiments.tune.plots import draw_study, importances
from experiments.tune.report import BEST_FILE, print_trials, write_best, write_record
from experiments.tune.schema import TuneConfig
from experiments.tune.search import Search
from experiments.tune.study import Study
from experiments.tune.trial import run_trial


def tune(config: TuneConfig, given: Sequence[str], *, options: Sequence[str]) -> int:
    """Run the trials of a study up to their number; returns the exit code: 1 if none is complete.

    Args:
        config: of the search.
        given: overrides of `experiments.train`, see `read_plan`.
        options: further arguments of each trial, such as `--config-dir=...`.

    Raises:
        InputError: a fault of the config, the study or the storage, or the study is not the same any more.
        KeyboardInterrupt: by a signal, after the trials under way have saved a checkpoint.
    """
    plan, stop = read_plan(config, given), Stop()
    name = config.name or HydraConfig.get().runtime.choices.get("search")
    if name is None:
        raise InputError("name: missing; a study without a file needs one, to go on by it: name=...")
    path = RUNS / str(name)
    study = _open_study(config, plan, path)
    launcher = LocalLauncher(jobs=config.workers)
    common = [*plan.base, *_settings(plan, str(name), launcher)]

    def record() -> None:
        write_record(
            path,
            study.trials(),
            name=str(name),
            question=config.question,
            file=plain_config(config),
            overrides=common,
        )

    search = Search(
        study,
        launcher=launcher,
        run=run_trial,
        path=path,
        overrides=common,
        options=options,
        stop=stop,
        metric=plan.metric,
        changed=record,
    )
    print(f"study {name}: {_state(study)}, {plan.metric} {'down' if plan.is_minimized else 'up'}, in {path}")
    try:
        with stop.on_signals():
            search.run()
    finally:
        launcher.close()
    record()
    _report(path, study, plan)
    if stop.reason is not None:
        print(
            f"stopped by {stop.reason}; the same command goes on up to {config.trials} trials",
            file=sys.stderr,
        )
        raise KeyboardInterrupt
    return 0 if study.best() is not None else 1


def _open_study(config: TuneConfig, plan: Plan, path: Path) -> Study:
    if (path / "config.yaml").is_file() or (
        (path / RECORD_FILE).is_file() and read_sweep(path).kind != "study"
    ):
        raise InputError(f"{path}: holds a run or a sweep; give the study another name=...")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); change the directory") from error
    question = {
        **{f"space.{key}": entry for key, entry in plan.entries.items()},
        **{f"base.{key_of(text)}": text.partition("=")[2] for text in plan.base},
        "trainer.metric": plan.metric,
        "trainer.metric_goal": "minimize" if plan.is_minimized else "maximize",
    }
    return Study(
        url=config.storage or f"sqlite:///{path / 'study.db'}",
        name=path.name,
        is_minimized=plan.is_minimized,
        question=question,
        space=plan.space,
        sampler=config.sampler,
        pruner=config.pruner,
        num_trials=config.trials,
    )


def _settings(plan: Plan, name: str, launcher: Launcher) -> list[str]:
    """What the trials get beside the base, unless that or the space has it."""
    threads = launcher.num_threads()
    settings: dict[str, Any] = {"logger.group": name}
    if threads is not None:
        settings["trainer.num_threads"] = threads  # so that a trial repeats bit for bit
    given = {key_of(text) for text in plan.base} | {parameter.key for parameter in plan.space.parameters}
    return [f"{key}={value_text(value)}" for key, value in settings.items() if key not in given]


def _state(study: Study) -> str:
    done = [trial for trial in study.trials() if trial.state != "running"]
    return f"{study.num_trials} trials" if not done else f"{len(done)} of {study.num_trials} trials are done"


def _report(path: Path, study: Study, plan: Plan) -> None:
    """Print the table and write the pictures and the best trial's experiment."""
    best = study.best()
    print_trials(study.trials(), metric=plan.metric, is_minimized=plan.is_minimized)
    if best is None:
        return
    told = f"{best.name} of the study {path.name}: {plan.metric} {number(best.value or 0.0)}"
    write_best(path, best, overrides=plan.base, groups=plan.groups, told=told)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in importances(study).items())
    if shares:
        print(f"importance: {shares}")
    draw_study(path / "plots", study, metric=plan.metric)
    print(f"best: {told}; its values are in {path / BEST_FILE}:")
    print(f"  python -m experiments.train --config-dir={path} experiment={BEST_FILE.stem}")
    print(path)
