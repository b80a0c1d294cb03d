"""Mixes the bits of numbers, for hashes and permutations."""

from __future__ import annotations

import numpy as np


def mix_bits(numbers: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele et al. 2014): every bit of the result depends on every bit.

    Args:
        numbers: uint64; different ones stay different, and only 0 stays as it is.
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))
