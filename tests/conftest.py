"""One thread for every test (tiny products on several are slower and not bit-equal), and the devices."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported by any test

import pytest
import torch

DEVICES = [
    "cpu",
    *(["cuda"] if torch.cuda.is_available() else []),
    *(["mps"] if torch.backends.mps.is_available() else []),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """The name of each device that is here: a test of tensors runs on all of them."""
    name: str = request.param
    return name
