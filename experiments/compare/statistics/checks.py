"""Checks of the arrays that the statistics are given, and the packages that they need."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elmo.errors import InputError, reason_of

Floats = NDArray[np.float64]


def finite(values: ArrayLike, name: str, *, dimensions: int = 1) -> Floats:
    """The values as an array of floats.

    Raises:
        InputError: there is none, one is NaN or infinite, or the array has other than `dimensions` axes.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: numbers expected ({reason_of(error)})") from error
    if array.ndim != dimensions:
        raise InputError(f"{name}: an array of {dimensions} dimensions expected, got {array.ndim}")
    if not array.size:
        raise InputError(f"{name}: there is no value")
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(
            f"{name}: value {place} is {array[tuple(place)]}; leave out the runs without a score"
        )
    return array


def constant(values: Floats) -> bool:
    """Whether the values are equal, but for the rounding of the sums that they come from."""
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


def package(name: str) -> ModuleType:
    """A module of the extra `compare`, imported when it is needed: it takes a second or two.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f'statistics need {name.split(".")[0]}: pip install -e ".[compare]"') from error
