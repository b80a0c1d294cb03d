"""Reads a command's arguments: Hydra's own options, which may stand anywhere, and the overrides."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from hydra._internal.utils import get_args_parser  # Hydra has no public way to know its own options

from elmo.errors import InputError
from elmo.registry import suggest


class Arguments(NamedTuple):
    """The arguments of a command.

    Attributes:
        overrides: `key=value` and the like, in their order.
        parsed: the values of Hydra's options.
    """

    overrides: list[str]
    parsed: Namespace

    @property
    def is_multirun(self) -> bool:
        return self.parsed.multirun or "hydra.mode=MULTIRUN" in self.overrides

    @property
    def only_explains(self) -> bool:
        """Whether the command is asked for help or the like, and runs no job."""
        parsed = self.parsed
        return bool(parsed.help or parsed.hydra_help or parsed.shell_completion or parsed.info is not None)

    def without_root(self) -> Arguments:
        """The same without the options `--config-path` and `--config-name`."""
        return self._replace(
            parsed=Namespace(**{**vars(self.parsed), "config_path": None, "config_name": None})
        )

    @property
    def options(self) -> list[str]:
        """Hydra's own options, with their values."""
        options = []
        for action in get_args_parser()._actions:
            value = getattr(self.parsed, action.dest, None)
            if isinstance(value, str):
                options.append(f"{action.option_strings[0]}={value}")
            elif value is True:
                options.append(action.option_strings[0])
        return options

    def options_for_one_job(self) -> list[str]:
        """Hydra's own options, without that for several jobs."""
        parsed = Namespace(**{**vars(self.parsed), "multirun": False})
        return self._replace(parsed=parsed).options

    def in_order(self) -> list[str]:
        """All arguments, in an order in which Hydra can read them: it takes no override behind an option."""
        return [*self.overrides, *self.options]


def asks_for_sweep(arguments: Sequence[str]) -> bool:
    """Whether jobs of several values are asked for, neither by Hydra's own means nor to go on with runs."""
    try:
        given = read_arguments(arguments)
    except InputError:
        return False  # the command says why
    others = ("hydra.", "hydra/", "resume=", "dry_run=")
    is_hydras = any(text.lstrip("+~").startswith(others) for text in given.overrides)
    return given.is_multirun and not given.only_explains and not is_hydras


def read_arguments(arguments: Sequence[str]) -> Arguments:
    """The arguments, sorted out.

    Raises:
        InputError: a line for each unknown option, or one about options that do not go together.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; see --hydra-help")

    parser.error = refuse  # type: ignore[method-assign]
    parsed, unknown = parser.parse_known_intermixed_args(list(arguments))
    if unknown:
        names = [option for option in parser._option_string_actions if option.startswith("--")]
        raise InputError("\n".join(_unknown_option(option, names) for option in unknown))
    _check_options(parsed)
    if parsed.config_path is not None and Path(parsed.config_path).is_dir():
        parsed.config_path = str(
            Path(parsed.config_path).absolute()
        )  # Hydra's are relative to a file of code
    return Arguments([_quoted_path(text) for text in parsed.overrides], parsed)


def _quoted_path(text: str) -> str:
    """The override, with quotation marks around a path that Hydra cannot read: that of a sweep's job."""
    key, _, value = text.partition("=")
    is_safe = "'" not in value and "\\" not in value
    return f"{key}='{value}'" if "=" in value and is_safe and Path(value).exists() else text


def _unknown_option(option: str, names: Sequence[str]) -> str:
    if "=" in option:
        return f"{option}: unknown option; values are given without dashes: {option.lstrip('-')}"
    return f"{option}: unknown option{suggest(option, names)}"


def _check_options(parsed: Namespace) -> None:
    modes = [parsed.run, parsed.multirun, parsed.cfg, parsed.shell_completion, parsed.info is not None]
    if sum(map(bool, modes)) > 1:
        raise InputError("--run, --multirun, --cfg, --info, --shell-completion: give only one of them")
    if parsed.resolve and parsed.cfg is None and not parsed.help:
        raise InputError("--resolve: belongs to --cfg job; add that, or leave it out")
    if parsed.experimental_rerun is not None:
        raise InputError("--experimental-rerun: reads a pickle, which may run any code; it is not supported")
    if parsed.config_dir is not None and not Path(parsed.config_dir).is_dir():
        raise InputError(f"--config-dir: no directory {parsed.config_dir}")
