"""Repeat a run from its record alone and compare the figures: `python -m experiments.rerun run=DIR`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from elmo.errors import InputError
from experiments.config.command import INCOMPLETE, run_command
from experiments.records.schema import RerunConfig


def main(config: RerunConfig, overrides: list[str]) -> int:
    """Repeat the run and print whether its figures came again; the exit code is 1 if they did not."""
    from experiments.config.resume import RUNS
    from experiments.io.run_directory import claim_directory
    from experiments.io.run_record import read_run
    from experiments.records.repetition import plan_repetition, repeat

    path = Path(config.run)
    plan = plan_repetition(read_run(path), cache_dir=config.cache_dir)
    for notice in plan.notices:
        print(notice)
    output = Path(config.output_dir or claim_directory(RUNS / f"{path.resolve().name}-rerun"))
    if (output / "config.yaml").exists():
        raise InputError(f"output_dir={output}: holds another run; give another output_dir")
    try:
        repeat(plan, output, plugins=config.plugins, progress=config.progress.value)
    except InputError:
        if config.output_dir is None and not (output / "config.yaml").exists():
            shutil.rmtree(output)  # nothing was begun in it
        raise
    return _compare(path, output)


def _compare(path: Path, output: Path) -> int:
    """Print what differs between a run and its repetition, figures first; 1 if a figure does."""
    from experiments.diff import print_differences
    from experiments.io.run_record import read_run
    from experiments.records.differences import (
        environment_differences,
        figure_differences,
        first_event_that_differs,
        is_repeatable,
    )

    run, again = read_run(path), read_run(output)
    figures, event = figure_differences(run, again), first_event_that_differs(run, again)
    around = environment_differences(run.starts[-1], again.starts[-1])
    print()
    if not figures and event is None:
        num_figures, num_events = sum(map(is_repeatable, run.figures)), len(run.events())
        print(
            f"equal: all {num_figures} figures and {num_events} events of {path} came again, bit for bit, in"
            f" {output}"
        )
        if around:
            print(f"although this differs: {', '.join(difference.what for difference in around)}")
        return 0
    if event is not None:
        what, first, second = event.difference
        print(
            f"differs: {event.num_events} of {len(run.events())} events, first {what} at step {event.step}:"
            f" {first} in {path}, {second} in {output}"
        )
    print_differences("figure", figures, (str(path), str(output)))
    print_differences("what else differs", around, (str(path), str(output)))
    if not around:
        print("nothing else that is recorded differs: the code, the packages, the machine, the data")
    return INCOMPLETE


def command() -> int:
    """`elmo-rerun`, which is `python -m experiments.rerun`: the exit code."""
    return run_command(main, config_name="rerun")


if __name__ == "__main__":
    sys.exit(command())
