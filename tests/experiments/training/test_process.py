"""The settings of the process: threads for every device, those of the allocator for the CPU only."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest
import torch

from experiments.training.process import set_up_process, tf32_products


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


@pytest.mark.parametrize(("device", "inside"), [("cpu", "highest"), ("mps", "highest"), ("cuda:1", "high")])
def test_cuda_multiplies_in_tf32_within_training_alone(device: str, inside: str) -> None:
    with tf32_products(torch.device(device)):
        assert torch.get_float32_matmul_precision() == inside
    assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(ZeroDivisionError), tf32_products(torch.device(device)):
        _ = 1 / 0
    assert torch.get_float32_matmul_precision() == "highest"
