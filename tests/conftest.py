"""One thread for every test (tiny products on several are slower and not bit-equal), and the devices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported by any test

import pytest
import torch
from emulated_device import emulated_device

DEVICES = [
    "cpu",
    "emulated",
    *(["cuda"] if torch.cuda.is_available() else []),
    *(["mps"] if torch.backends.mps.is_available() else []),
]


@pytest.fixture(autouse=True)
def settings_are_given_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command sets for its whole process is, after each test, as it was before."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Each device that is here, and one that is emulated, for tests of tensors to run on all of them.

    What chooses a device by a name chooses this one.
    """
    with emulated_device() if request.param == "emulated" else nullcontext(torch.device(request.param)) as it:
        for module in ("elmo.device", "elmo.inference.embedder"):
            monkeypatch.setattr(f"{module}.choose_device", lambda name: it)
        if it.type == "cuda":  # all digits, to be compared with the CPU's
            monkeypatch.setattr("experiments.training.step.tf32_products", nullcontext)
        yield it
