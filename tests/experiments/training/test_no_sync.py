"""A training step of a language model never waits for its device.

On torch's meta device, tensors have no values: whatever reads one, or mixes in a tensor of the CPU, fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
from emulated_device import as_on_the_cpu, no_reading
from language_models import ENCODER, SOFTMAXES, language_model_training, optimizer_of

from experiments.training.step import TrainingStep

META = torch.device("meta")


@pytest.fixture
def autocast_on_meta() -> Iterator[None]:
    """Autocast, which knows no meta device, as on the CPU; what is cast is tested by the emulated device."""
    functions = {
        name: as_on_the_cpu(getattr(torch, name))
        for name in ("is_autocast_enabled", "get_autocast_dtype", "autocast")
    }
    with mock.patch.multiple(torch, **functions):
        yield


@contextmanager
def errors_of_waiting(device: torch.device) -> Iterator[None]:
    """Within this, CUDA raises where the host waits; torch has nothing like it for MPS."""
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def take_steps(
    device: torch.device, *, softmax: str, batching: str, dtype: torch.dtype, dropout: float = 0.1
) -> TrainingStep:
    encoder = {**ENCODER, "dropout": dropout}
    training = language_model_training(device=device, softmax=softmax, batching=batching, encoder=encoder)
    steps = TrainingStep(
        training=training,
        optimizer=optimizer_of(training),
        accumulate_batches=1 if softmax == "sparse" else 2,  # equal rows of several batches must be found
        clip_norm=1.0,
        dtype=dtype,
        last_good=str,
    )
    if softmax == "sparse" and device == META:  # torch adds no sparse gradient to a tensor there
        steps.optimizer.step = mock.Mock()  # type: ignore[method-assign]
    batches = training.batches()
    for number in (1, 2):
        steps.set_rates(1 / number)
        steps.take(number, batches)
    return steps


@pytest.mark.parametrize(("batching", "dtype"), [("sentences", torch.float32), ("stream", torch.bfloat16)])
@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_a_step_reads_no_value_and_mixes_in_no_tensor_of_the_cpu(
    softmax: str, batching: str, dtype: torch.dtype, autocast_on_meta: None
) -> None:
    steps = take_steps(META, softmax=softmax, batching=batching, dtype=dtype)
    with pytest.raises(NotImplementedError, match="meta"):
        steps.read()  # it would be noticed


@pytest.mark.parametrize(
    ("softmax", "batching", "dtype", "tolerance"),
    [
        ("sampled", "stream", torch.float32, 1e-5),
        ("adaptive", "sentences", torch.float32, 1e-5),
        ("full", "stream", torch.bfloat16, 1e-2),
    ],
)
def test_steps_without_reading_compute_what_the_cpu_does(
    softmax: str, batching: str, dtype: torch.dtype, tolerance: float, device: torch.device
) -> None:
    if device.type == "cpu":
        pytest.skip("it is what others are compared with")
    # no dropout, whose random numbers are others on a CPU
    options: dict[str, Any] = {"softmax": softmax, "batching": batching, "dtype": dtype, "dropout": 0.0}
    expected = take_steps(torch.device("cpu"), **options)
    with no_reading() if device == META else errors_of_waiting(device):
        actual = take_steps(device, **options)
    for ours, theirs in zip(actual.read(), expected.read(), strict=True):
        assert tuple(ours) == pytest.approx(tuple(theirs), rel=tolerance)
