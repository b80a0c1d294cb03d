"""Checks of the heads' arguments."""

from __future__ import annotations

from collections.abc import Mapping

from elmo.errors import InputError


def check_sizes(sizes: Mapping[str, int]) -> None:
    """InputError for the first size or number (by argument name) that is below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"head.{name}: expected at least 1, got {size}")


def check_dropout(dropout: float) -> None:
    """InputError if a dropout rate is not in [0, 1)."""
    if not 0 <= dropout < 1:
        raise InputError(f"head.dropout: expected at least 0 and less than 1, got {dropout}")
