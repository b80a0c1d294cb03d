"""Write a checked config as plain values: for JSON, and as the yaml files of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from elmo.files import atomic_write


def plain_config(config: Any) -> dict[str, Any]:
    """A checked config as nested dicts and lists of what JSON knows."""
    values: Any = OmegaConf.to_container(OmegaConf.create(dataclasses.asdict(config)), enum_to_str=True)
    return dict(values)


def save_resolved(config: Any, path: Path) -> None:
    """Writes a checked config (a schema's dataclass) as yaml, with the keys and values of a command line."""
    _write(path, dataclasses.asdict(config))


def save_overrides(overrides: list[str], path: Path) -> None:
    """Writes the user's overrides as a yaml list, in the order they were given."""
    _write(path, overrides)


def _write(path: Path, values: Any) -> None:
    with atomic_write(path) as aside:
        aside.write_text(OmegaConf.to_yaml(OmegaConf.create(values)), encoding="utf-8")
