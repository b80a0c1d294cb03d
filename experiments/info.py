"""What can be chosen, a line for each option: `python -m experiments.info [group=NAME [option=NAME]]`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from elmo.errors import InputError, suggest
from elmo.registry import REGISTRY
from experiments.config.check import COMPONENT_PACKAGES
from experiments.config.command import run_command
from experiments.config.schema import InfoConfig

if TYPE_CHECKING:
    from experiments.logging.progress import Cell

_SOURCE = re.compile(r"Source: (?P<source>.+?)\. Licence: (?P<licence>.+)\.")


class Option(NamedTuple):
    """An option of a group.

    Attributes:
        name: as it is chosen.
        path: of its file.
        purpose: a sentence.
        source, licence: of a data set; empty where they are not stated.
        num_parameters: of its encoder; None if it has none, or if they depend on the data.
    """

    name: str
    path: Path
    purpose: str
    source: str
    licence: str
    num_parameters: int | None


def main(config: InfoConfig, overrides: list[str]) -> None:
    """Print the options of all groups, of one group, or the file of one option."""
    REGISTRY.discover(*COMPONENT_PACKAGES)
    files = _option_files()
    if config.group is None:
        for group in files:
            _print_group(group, files[group])
    elif config.group not in files:
        raise InputError(f"group: no group {config.group!r}{suggest(config.group, files)}")
    elif config.option is None:
        _print_group(config.group, files[config.group])
    elif config.option not in files[config.group]:
        nearest = suggest(config.option, files[config.group])
        raise InputError(f"option: no option {config.option!r} of {config.group}{nearest}")
    else:
        print(files[config.group][config.option].read_text(encoding="utf-8"), end="")


def _option_files() -> dict[str, dict[str, Path]]:
    """The file of each option of each group of a training run, those of --config-dir included."""
    loader = GlobalHydra.instance().config_loader()
    sources = [entry for entry in HydraConfig.get().runtime.config_sources if entry.schema == "file"]
    files: dict[str, dict[str, Path]] = {}
    for group in loader.list_groups(""):
        options = loader.get_group_options(group)
        places = {
            option: [
                path for entry in sources if (path := Path(entry.path, group, f"{option}.yaml")).is_file()
            ]
            for option in options
        }
        if group != "hydra" and any(places.values()):
            files[group] = {option: found[0] for option, found in places.items() if found}
    return files


def _print_group(group: str, files: Mapping[str, Path]) -> None:
    from experiments.logging.progress import summary_table

    options = [read_option(group, name, path) for name, path in files.items()]
    columns: dict[str, list[Cell]] = {f"{group}=": [option.name for option in options]}
    if any(option.num_parameters for option in options):
        columns["encoder's parameters"] = [option.num_parameters for option in options]
    columns["what it is"] = [option.purpose for option in options]
    if any(option.licence for option in options):
        columns["source"] = [option.source for option in options]
        columns["licence"] = [option.licence for option in options]
    summary_table(list(zip(*columns.values(), strict=True)), columns=list(columns))
    print()


def read_option(group: str, name: str, path: Path) -> Option:
    node: Any = OmegaConf.to_container(OmegaConf.load(path)) or {}
    text = " ".join(_comment(path))
    found = _SOURCE.search(text)
    purpose = text[: found.start()] if found else text
    return Option(
        name=name,
        path=path,
        purpose=_first_sentence(purpose) or _docstring(group, node),
        source=found["source"] if found else "",
        licence=found["licence"] if found else "",
        num_parameters=_count_parameters(group, name),
    )


def _comment(path: Path) -> Iterator[str]:
    """The lines of the comment that a file begins with."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith("# @package"):
            yield line.removeprefix("#").strip()


def _docstring(group: str, node: Mapping[str, Any]) -> str:
    """The first sentence about the class that an option names; empty if it names none."""
    if node.get("type") not in REGISTRY.names(group):
        return ""
    return _first_sentence(inspect.getdoc(REGISTRY.get(group, node["type"])) or "")


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0].removesuffix(".")


def _count_parameters(group: str, name: str) -> int | None:
    """The parameters of an encoder, or of an experiment's encoder, counted on the meta device."""
    from elmo.io.meta_device import build_blank

    if group not in ("encoder", "experiment"):
        return None
    config = compose("train", overrides=[f"{group}={name}"])
    node: Any = OmegaConf.to_container(config.encoder)
    return sum(parameter.numel() for parameter in build_blank("encoder", node).parameters()) or None


def command() -> int:
    """`elmo-info`, which is `python -m experiments.info`: the exit code."""
    return run_command(main, config_name="info")


if __name__ == "__main__":
    sys.exit(command())
