"""Two kills of a run and of a preparation: the campaign's own parts work."""

from __future__ import annotations

import random
import time
import warnings
from pathlib import Path

import pytest
from campaigns.kill import SCENARIOS, run_child, run_killed


@pytest.mark.parametrize("name", ["prepare", "stream"])
def test_what_was_killed_ends_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside torch's threads
        started = time.monotonic()
        assert run_child(lambda: scenario.command(tmp_path / "whole"), deadline=None) == 0
        seconds = time.monotonic() - started
        generator = random.Random(1)
        kills = run_killed(scenario, tmp_path / "killed", most=2, seconds=seconds / 2, generator=generator)
    assert kills > 0
    assert scenario.is_same(scenario.result(tmp_path / "killed"), scenario.result(tmp_path / "whole"))
