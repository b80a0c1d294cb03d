"""The searches of conf/ are sound: each value of their spaces makes a config that can start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.config.command import CONF_PATH, run_command
from experiments.tune.plan import Plan, read_plan


@pytest.mark.parametrize("path", sorted((CONF_PATH / "search").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_search_of_conf_is_sound(path: Path) -> None:
    found: list[Plan] = []

    def main(config: Any, overrides: list[str]) -> None:
        assert config.question is not None
        found.append(read_plan(config, []))

    assert run_command(main, config_name="tune", arguments=[f"search={path.stem}"]) == 0
    assert found[0].metric.startswith("dev/")
    assert len(found[0].space.parameters) > 2
