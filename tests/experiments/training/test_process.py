"""The settings of the process: threads for every device, those of the allocator for the CPU only."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest
import torch

from experiments.training.process import set_up_process


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.parametrize(("device", "is_set"), [("cpu", True), ("cuda:1", False), ("mps", False)])
def test_the_allocator_is_set_for_runs_on_the_cpu_only(
    monkeypatch: pytest.MonkeyPatch, device: str, is_set: bool
) -> None:
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: calls.append((option, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    set_up_process(num_threads=2, device=torch.device(device))
    assert bool(calls) == is_set
    assert torch.get_num_threads() == 2
