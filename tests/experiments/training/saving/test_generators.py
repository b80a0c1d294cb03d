"""The generators' states of a checkpoint: those of the CPU and of the run's one device."""

from __future__ import annotations

import pytest
import torch

from experiments.training.saving.generators import generator_states, restore_generators


def test_a_device_goes_on_with_the_numbers_that_would_have_come(device: torch.device) -> None:
    torch.manual_seed(1)
    states = generator_states(device)
    own = {device.type} & {"cuda", "mps"}  # the emulated device draws from the CPU's
    assert set(states) == {"cpu", *own}  # one state of the run's device, however many there are

    def draw() -> list[list[float]]:
        return [torch.rand(5, device=each).tolist() for each in ("cpu", device)]

    expected = draw()
    assert draw() != expected
    restore_generators(states, device)
    assert draw() == expected


def test_a_state_of_another_type_of_device_is_left_alone_with_a_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(2)
    states = generator_states(torch.device("cpu"))
    expected = torch.rand(3)
    restore_generators({**states, "cuda": torch.zeros(16, dtype=torch.uint8)}, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)
    assert caplog.messages == ["the checkpoint was made on cuda: on cpu, other random numbers follow"]
