"""The names of what mixes of layers have learned, among a run's figures."""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "mix/"


def by_mix(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The weights `layer_<k>`, the lowest layer first, and `gamma` of each mix, such as `elmo at the input`.

    Args:
        figures: by metric name, such as `mix/elmo/input/layer_0`; others are left out.
    """
    found: dict[str, dict[str, float]] = {}
    for key, value in figures.items():
        if key.startswith(PREFIX):
            name, _, entry = key.removeprefix(PREFIX).rpartition("/")
            found.setdefault(name.replace("/", " at the "), {})[entry] = value
    return found
