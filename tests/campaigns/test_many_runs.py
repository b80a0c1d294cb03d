"""A small comparison by the command itself, in time: the campaign's own parts work."""

from __future__ import annotations

from pathlib import Path

from campaigns.many_runs import seconds_of_comparison, write_runs


def test_a_comparison_of_sixteen_runs_has_all_its_pairs(tmp_path: Path) -> None:
    write_runs(tmp_path, 16)
    seconds, of_processor, printed = seconds_of_comparison(tmp_path)
    assert 0 < of_processor < 120 and seconds > 0 and "Holm's correction over 28 pairs" in printed
    assert printed.startswith("test/accuracy, higher is better")
