"""Runs any command: composes and checks its config, runs its jobs, prints each fault in one line."""

from __future__ import annotations

import math
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import hydra
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from elmo.errors import InputError
from elmo.files import NO_SPACE
from experiments.config.arguments import Arguments, read_arguments
from experiments.config.check import check_config
from experiments.config.compose import command_line_faults, config_text, one_line, search_path
from experiments.config.resume import is_resumed
from experiments.config.root import PLACES_OF_MODELS, choose_root, with_plugins_of_run
from experiments.config.schema import SCHEMAS, TrainConfig
from experiments.config.sections import InferenceConfig
from experiments.io.run_directory import is_checkpoint
from experiments.training.processes.torchrun import leave_word_to_first, place_of_process

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel has conf/ within the package, a checkout beside it.
CONF_PATH = (_PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent) / "conf"
INCOMPLETE, BAD_INPUT, INTERRUPTED, UNREAD = 1, 2, 130, 141

Main = Callable[[Any, list[str]], int | float | None]


def run_command(
    main: Main, *, config_name: str, arguments: Sequence[str] | None = None, conf_path: Path = CONF_PATH
) -> int:
    """Runs `main(config, overrides)` for each job of the command line and returns the exit code.

    `config` is the schema's dataclass, checked, its directories filled in; `overrides` are the user's own.
    Exit codes: 0 done, or what `main` returns, such as 1 when a part of the input was left out; 2 the user's
    input is at fault (each fault is a line on stderr); 130 interrupted; 141 nobody reads the output any more.
    A float that `main` returns is the objective of the job, for a sweeper of Hydra's that searches.

    Args:
        config_name: the root in conf/, without .yaml.
        arguments: the command line; default is the process's own.
        conf_path: where the root and its groups lie.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    return while_read(lambda: _exit_code(main, config_name, given, conf_path))


def while_read(work: Callable[[], int]) -> int:
    """The exit code of `work`; 141, silently, if the reader of its output has closed the pipe.

    If there is no space for the output, it is 2, with a line on standard error.
    """
    try:
        try:
            return work()
        finally:
            print(end="", flush=True)  # what is left is refused here rather than when the interpreter ends
    except BrokenPipeError:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
        if not unread:
            raise  # another pipe of the process
        _discard(unread)
        return UNREAD
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        full = [stream for stream in (sys.stdout, sys.stderr) if _is_full(stream)]
        _discard(full)
        place = "standard output" if sys.stdout in full else error.filename or "a file"
        return refuse(f"{place}: no space left to write it; free some space or choose another place")


def _discard(streams: Sequence[TextIO]) -> None:
    """Makes streams end nowhere, so that what they still hold is not refused once more at the end."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_full(stream: TextIO | None) -> bool:
    """Whether there is no space for what a stream writes; what it still holds is written by that."""
    try:
        if stream is not None:
            stream.flush()
        if stream is sys.stdout:
            print(flush=True)  # without a buffer, it holds nothing and has to be asked
    except OSError as error:
        return error.errno in NO_SPACE
    return False


def _is_unread(stream: TextIO | None) -> bool:
    """Whether it is a pipe whose reader has gone; None stands for a stream that was closed at the start."""
    if stream is None:
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _exit_code(main: Main, config_name: str, given: list[str], conf_path: Path) -> int:
    try:
        _refuse_many_processes(config_name)
        arguments = with_plugins_of_run(read_arguments(given))
        if arguments.only_explains:
            return _run_jobs(main, config_name, arguments, conf_path)
        with search_path(conf_path, arguments.parsed.config_dir):
            root = choose_root(config_name, arguments.overrides, arguments.parsed)
            if root != config_name:
                arguments = arguments.without_root()
            parsed = arguments.parsed
            if parsed.config_path is None and parsed.config_name is None:  # not a user's own root
                faults = command_line_faults(root, arguments.overrides, is_multirun=arguments.is_multirun)
                if faults:
                    leave_word_to_first()
                    return refuse("\n".join(faults))
                if parsed.cfg == "job" and parsed.package is None:
                    print(config_text(root, arguments.overrides, resolved=parsed.resolve), end="")
                    return 0
        return _run_jobs(main, root, arguments, conf_path)
    except InputError as error:
        leave_word_to_first()
        return refuse(str(error))
    except HydraException as error:
        leave_word_to_first()
        return refuse(one_line(error, config_name))
    except KeyboardInterrupt:
        if place_of_process().rank == 0:
            print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _refuse_many_processes(config_name: str) -> None:
    """InputError if torchrun has started several processes of a command that does not share its work."""
    place = place_of_process()
    if config_name != "train" and not place.is_alone:
        raise InputError(
            f"experiments.{config_name} works in one process, not in {place.size}; start it without torchrun"
        )


def _run_jobs(main: Main, root: str, arguments: Arguments, conf_path: Path) -> int:
    exit_codes = [0]
    failures: list[OSError] = []

    def job(cfg: DictConfig) -> float | None:
        objective: float | None = None

        def run() -> int:
            nonlocal objective
            result = main(config, overrides)
            objective = result if isinstance(result, float) else None
            return result if isinstance(result, int) else 0

        try:
            overrides = list(HydraConfig.get().overrides.task)
            config = checked(_composed_again(cfg, root, overrides))
            # Within the job, as Hydra would say of what leaves it that it has failed.
            exit_codes.append(while_read(run))
            if objective is not None and math.isnan(objective) and _is_multirun():
                raise InputError("the objective is not a number")  # one that is returned ends some sweepers
        except InputError as error:
            leave_word_to_first()
            exit_codes.append(refuse(str(error), label=_job_label()))
            if _is_multirun():
                raise  # a launcher in another process learns of the failure by this alone
        except OSError as error:
            failures.append(error)
            raise
        return objective

    # Hydra prints its own rendering of an exception and exits; with this the exception arrives here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    program = sys.argv
    sys.argv = [program[0], *arguments.in_order()]
    try:
        hydra.main(config_path=str(conf_path), config_name=root, version_base="1.3")(job)()
    except InputError:
        exit_codes.append(BAD_INPUT)  # the job has said why
    except OSError as error:
        if error in failures or error.filename is None:  # of the job, or of the standard output
            raise
        raise InputError(  # Hydra's own file: the list of a sweep's jobs
            f"hydra.sweep.dir: {error.filename}: cannot be written ({error.strerror}); give another"
        ) from error
    finally:
        sys.argv = program
    return max(exit_codes)


def _composed_again(cfg: DictConfig, root: str, overrides: list[str]) -> DictConfig:
    """The config of a job; where a sweep is over runs to resume, each job has a root of its own."""
    own_root = choose_root(root, overrides) if root in SCHEMAS else root
    if own_root == root:
        return cfg
    again = compose(own_root, overrides=overrides, return_hydra_config=True)
    running: Any = HydraConfig.get()
    with read_write(running), open_dict(again):
        running.runtime.choices = again.hydra.runtime.choices
        del again["hydra"]
    return again


def checked(cfg: DictConfig) -> Any:
    """The checked config of a job, with its name; Hydra must have the job's own config.

    The model of a checkpoint that it names is made.
    """
    config = check_config(cfg)
    if isinstance(config, TrainConfig):
        _name_run(config)
    for place in (getattr(config, key, None) for key in PLACES_OF_MODELS):
        if isinstance(config, (TrainConfig, InferenceConfig)) and place and is_checkpoint(place):
            from experiments.config.checkpoint_model import model_of_checkpoint  # late: with it comes torch

            model_of_checkpoint(Path(place), config)
    return config


def _name_run(config: TrainConfig) -> None:
    """Fills in the name, and the directory of a given name; the jobs of a multirun add their number.

    A name that is made here may be another process's as well: `claim_directory` finds a directory for it.
    """
    if is_resumed(config):
        return  # it has the other run's
    choices, is_given = HydraConfig.get().runtime.choices, config.name is not None
    if not is_given:
        parts = [
            choices.get("experiment") or choices.get("task"),
            choices.get("encoder"),
            choices.get("data"),
        ]
        stamp = time.strftime("%Y%m%d-%H%M%S")
        config.name = "-".join([*(str(part) for part in parts if part), stamp])
    if _is_multirun():
        config.name = f"{config.name}-{HydraConfig.get().job.num}"
    if is_given and config.output_dir is None:
        config.output_dir = str(Path("runs") / str(config.name))


def _is_multirun() -> bool:
    return HydraConfig.get().mode is RunMode.MULTIRUN


def _job_label() -> str:
    if not _is_multirun():
        return ""
    return f"job {HydraConfig.get().job.num} ({' '.join(HydraConfig.get().overrides.task)}): "


def refuse(faults: str, *, label: str = "") -> int:
    """Print faults on standard error, each line behind `label`; the exit code of bad input."""
    for line in faults.splitlines():
        print(f"{label}{line}", file=sys.stderr)
    return BAD_INPUT
