"""The best values of a training's keys: `python -m experiments.tune search=NAME [overrides of a run]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec

from elmo.errors import InputError
from experiments.config.arguments import read_arguments
from experiments.config.command import refuse, run_command
from experiments.config.root import with_plugins_of_run
from experiments.sweep.overrides import key_of
from experiments.tune.schema import TuneConfig

# Keys of the search itself, and not of its trials, whose keys are in `base` and `space` of the file.
OWN_KEYS = ("search", *(field.name for field in fields(TuneConfig)))
_EXTRA = ("optuna", "cmaes", "plotly")


def run_search(arguments: Sequence[str]) -> int:
    """Runs the search of a command line; the exit code.

    It is 0 if a trial is complete, 1 if none is, 2 if the input is at fault, 130 if it was interrupted.

    Args:
        arguments: keys of the search, and overrides of `experiments.train` for its trials.
    """
    try:
        given = with_plugins_of_run(read_arguments(arguments))
        if given.is_multirun:
            raise InputError("--multirun: a search runs many trials anyway; leave it out")
    except InputError as error:
        return refuse(str(error))
    if given.only_explains:
        return run_command(lambda config, overrides: None, config_name="tune", arguments=arguments)
    own = [text for text in given.overrides if _is_own(text)]
    others = [text for text in given.overrides if not _is_own(text)]

    def main(config: TuneConfig, overrides: list[str]) -> int:
        missing = [name for name in _EXTRA if find_spec(name) is None]
        if missing:
            raise InputError(f"not installed: {', '.join(missing)}; run: pip install -e '.[tune]'")
        from experiments.tune.tune import tune  # late: importing torch and Optuna takes seconds

        return tune(config, others, options=given.options)

    return run_command(main, config_name="tune", arguments=[*own, *given.options])


def _is_own(text: str) -> bool:
    key = key_of(text)
    return key.partition(".")[0] in OWN_KEYS or key.startswith("hydra")


def command() -> int:
    """`elmo-tune`, which is `python -m experiments.tune`: the exit code."""
    return run_search(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(command())
