"""A sweep from its command line to its table: its jobs are found, all checked, run and summed up."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.config.arguments import Arguments, read_arguments
from experiments.config.command import INCOMPLETE, refuse, run_command
from experiments.config.resume import RUNS
from experiments.config.root import with_plugins_of_run
from experiments.config.save import plain_config
from experiments.io.run_directory import hold_directory
from experiments.sweep.checks import check_jobs
from experiments.sweep.data_files import read_data_files
from experiments.sweep.engine import Engine, Job
from experiments.sweep.grid import jobs_of, needs, read_plan
from experiments.sweep.launchers.launcher import Launcher, Run
from experiments.sweep.overrides import key_of
from experiments.sweep.record import RECORD_FILE, JobRecord, SweepRecord, read_sweep, write_sweep
from experiments.sweep.reuse import notice, take_equal_runs
from experiments.sweep.schema import SweepConfig
from experiments.sweep.summary import print_summary, write_summary
from experiments.sweep.view import View
from experiments.training.stop import Stop

# Keys of the sweep itself; all others are of its jobs, which have no name and no dry run of their own.
OWN_KEYS = (
    *("sweep", "question", "base", "pretraining", "grid", "data_files", "reuse"),
    *("launcher", "name", "dry_run", "progress"),
)


def run_sweep(arguments: Sequence[str], *, run: Run) -> int:
    """Runs the sweep of a command line, `experiments.sweep` or `experiments.train -m`; the exit code.

    It is 0 if all jobs have finished, 1 if some have failed, 2 if the input is at fault, 130 if the sweep was
    interrupted.

    Args:
        arguments: keys of the sweep, and overrides of `experiments.train` for its jobs.
        run: the training, in a process of its own for each job.
    """
    try:
        given = with_plugins_of_run(read_arguments(arguments))
    except InputError as error:
        return refuse(str(error))
    if given.only_explains:
        return run_command(lambda config, overrides: None, config_name="sweep", arguments=arguments)
    own = [text for text in given.overrides if _is_own(text)]
    jobs = given._replace(overrides=[text for text in given.overrides if not _is_own(text)])

    def main(config: SweepConfig, overrides: list[str]) -> int:
        return _sweep(config, jobs, run)

    single = given.without_root().options_for_one_job()
    return run_command(main, config_name="sweep", arguments=[*own, *single])


def _is_own(text: str) -> bool:
    key = key_of(text)
    return key.partition(".")[0] in OWN_KEYS or text.lstrip("+~").startswith("hydra")


def _sweep(config: SweepConfig, given: Arguments, run: Run) -> int:
    chosen = HydraConfig.get().runtime.choices.get("sweep")
    path = RUNS / (config.name or str(chosen or _stable_name(given.overrides)))
    plan = read_plan(
        base=config.base,
        grid={} if config.grid is None else config.grid,
        pretraining=config.pretraining,
        given=given.overrides,
        data_files=None if config.data_files is None else read_data_files(Path(config.data_files)),
    )
    if chosen is None and not any(plan.grids) and not given.is_multirun:
        raise InputError(
            "sweep: nothing varies; give a file, sweep=NAME, or several values, such as seed=1,2"
        )
    launcher: Launcher = REGISTRY.build("launcher", config.launcher)
    records = jobs_of(plan, path)
    jobs = [Job(record, path / record.name) for record in records]
    by_name = {job.record.name: job for job in jobs}
    for job in jobs:
        job.needs = [by_name[name] for name in needs(job.record, records, path)]
        job.read()
    check_jobs(jobs, parsed=given.parsed, launcher=launcher, group=path.name)
    _refuse_other_jobs(path, records)
    if config.dry_run:
        _print_plan(path, jobs)
        return 0
    with hold_directory(path, told=str(path), key="name"):
        taken = list(take_equal_runs(jobs, config.reuse)) if config.reuse else []
        if taken:
            print(notice(taken))
        known = [*records, *_other_jobs(path, records)]
        write_sweep(path, SweepRecord(path.name, "sweep", known, config.question, plain_config(config)))
        return _run(
            path, jobs, launcher, run, options=given.options_for_one_job(), progress=config.progress.value
        )


def _run(
    path: Path, jobs: list[Job], launcher: Launcher, run: Run, *, options: Sequence[str], progress: str
) -> int:
    stop = Stop()
    _print_begin(path, jobs)
    try:
        with View(progress, num_slots=launcher.num_slots()) as view, stop.on_signals():
            Engine(jobs, launcher=launcher, run=run, options=options, stop=stop, watcher=view).run()
        stop.obey()
    except KeyboardInterrupt:
        print(f"stopped by {stop.reason or 'SIGINT'}; the same command goes on", file=sys.stderr)
        raise
    finally:
        launcher.close()
        summary = write_summary(path, jobs)
        print()
        print_summary(jobs)
        print(summary)
    lost = sum(job.state != "finished" for job in jobs)
    if lost:
        print(
            f"{lost} of {len(jobs)} jobs have not finished: output.log in their directories says more, and"
            " the same command tries them again",
            file=sys.stderr,
        )
    return INCOMPLETE if lost else 0


def _stable_name(overrides: Sequence[str]) -> str:
    """A name that the same overrides always have, so that the same command goes on."""
    values = {key_of(text): text.partition("=")[2] for text in overrides}
    first = values.get("experiment") or values.get("task") or "language_model"
    digest = hashlib.blake2b("\n".join(overrides).encode(), digest_size=4).hexdigest()
    return f"{first.replace(',', '_')}-{digest}"


def _refuse_other_jobs(path: Path, records: Sequence[JobRecord]) -> None:
    """A directory of another sweep, of a study or of a run is not changed; a sweep may get further jobs.

    Raises:
        InputError: jobs were run with other overrides.
    """
    if not (path / RECORD_FILE).is_file():
        if (path / "config.yaml").is_file():
            raise InputError(f"{path}: holds a run; give another name=")
        return
    before = read_sweep(path)
    if before.kind != "sweep":
        raise InputError(f"{path}: holds a {before.kind}; give another name=")
    known = {job.name: job for job in before.jobs}
    others = []
    for record in records:
        old = known.get(record.name)
        if old is not None and (path / record.name / "config.yaml").is_file():
            changed = sorted({*record.overrides} ^ {*old.overrides})
            if changed:
                others.append(f"{path / record.name}: was run with other values ({', '.join(changed)})")
    if others:
        more = f", {len(others) - 1} more as well" if len(others) > 1 else ""
        raise InputError(f"{others[0]}{more}; give name=... for a new sweep, or remove the directories")


def _other_jobs(path: Path, records: Sequence[JobRecord]) -> list[JobRecord]:
    """The jobs that an earlier command has run in the sweep's directory, and this one does not name."""
    if not (path / RECORD_FILE).is_file():
        return []
    names = {record.name for record in records}
    return [job for job in read_sweep(path).jobs if job.name not in names and (path / job.name).is_dir()]


def _print_begin(path: Path, jobs: Sequence[Job]) -> None:
    finished = sum(job.state == "finished" for job in jobs)
    if not finished:
        print(f"{path}: {len(jobs)} jobs", flush=True)
        return
    print(
        f"{path}: {finished} of {len(jobs)} jobs have finished and are skipped; name=... begins a new sweep",
        flush=True,
    )


def _print_plan(path: Path, jobs: Sequence[Job]) -> None:
    from experiments.logging.progress import summary_table

    summary_table(
        [(job.record.name, job.state, " ".join(job.record.overrides)) for job in jobs],
        columns=("job", "state", "overrides"),
    )
    first = sum(job.record.role == "pretraining" for job in jobs)
    print(f"{path}: {len(jobs)} jobs" + (f", {first} of them pretraining" if first else ""))
