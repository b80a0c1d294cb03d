"""Tests of recorded gradients with a stand-in for CUDA graphs, which repeats a function on the same tensors.

Buffers, padding, the carried state, random numbers and the order of recordings are those of the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from language_models import ENCODER, language_model_training, optimizer_of
from torch import Tensor

from experiments.training import graphs
from experiments.training.graphs import Outputs
from experiments.training.step import TrainingStep
from tasks.language_model.model import Batch, LanguageModelTraining
from tasks.language_model.padding import padded

CPU = torch.device("cpu")


class StandIn:
    """Records nothing: a replay calls the function again, and copies its results to the recorded tensors.

    As when a graph is recorded, the first call changes no value.

    Args:
        training: whose tensors the function changes.
    """

    def __init__(self, training: LanguageModelTraining) -> None:
        self.training = training
        self.num_recorded = self.num_replayed = self.num_warm_ups = 0

    @contextmanager
    def warm_up(self) -> Iterator[None]:
        self.num_warm_ups += 1
        yield

    def record(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], object]]:
        self.num_recorded += 1
        changed = [*self.training.carried, *self.training.model.buffers()]
        before, generator = [tensor.clone() for tensor in changed], torch.get_rng_state()
        outputs = [None if one is None else one.clone() for one in work()]
        torch.set_rng_state(generator)
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)

        def replay() -> None:
            self.num_replayed += 1
            for parameter in self.training.model.parameters():
                parameter.grad = None
            for own, new in zip(outputs, work(), strict=True):
                _assign(own, new)

        return outputs, replay


def _assign(own: Tensor | None, new: Tensor | None) -> None:
    """Give a recorded tensor the values of a new one; of sparse ones, those of rows and their places."""
    if own is None or new is None:
        assert own is new
    elif own.is_sparse:
        own._values().copy_(new._values())
        own._indices().copy_(new._indices())
    else:
        own.copy_(new)


class PaddedBatches:
    """What the thread that builds batches gives to a device with graphs."""

    def __init__(self, training: LanguageModelTraining) -> None:
        self.batches = training.batches()
        training.model.softmax.is_static = training.has_fixed_shapes

    def __next__(self) -> Batch:
        batch: Batch = padded(next(self.batches))
        return batch


def steps_of(training: LanguageModelTraining) -> TrainingStep:
    return TrainingStep(
        training=training,
        optimizer=optimizer_of(training),
        accumulate_batches=1,
        clip_norm=1.0,
        dtype=torch.float32,
        last_good=str,
    )


def losses_and_weights(
    *, recorded: bool, num_steps: int = 12, batches: Callable[[Any], Any] = PaddedBatches, **options: Any
) -> tuple[list[float], dict[str, Tensor], StandIn | None]:
    """Of a run; with dropout, so that random numbers are compared too."""
    training = language_model_training(device=CPU, **options)
    steps, stand_in = steps_of(training), None
    if recorded:
        steps.record(stand_in := StandIn(training))
    torch.manual_seed(4)
    given = batches(training)
    for number in range(1, num_steps + 1):
        steps.set_rates(1 / number)
        steps.take(number, given)
    values = {**training.model.state_dict(), **{str(i): part for i, part in enumerate(training.carried)}}
    assert training.num_batches == num_steps
    return [figures.loss for figures in steps.read()], values, stand_in


@pytest.mark.parametrize("softmax", ["full", "sampled", "sparse"])
def test_replayed_steps_are_bit_for_bit_those_of_the_plain_loop(softmax: str) -> None:
    plain_losses, plain, _ = losses_and_weights(recorded=False, softmax=softmax)
    losses, weights, stand_in = losses_and_weights(recorded=True, softmax=softmax)
    assert stand_in is not None and 1 <= stand_in.num_recorded < stand_in.num_replayed
    assert stand_in.num_warm_ups + stand_in.num_replayed == 11  # all but the first, which carries no state
    assert losses == plain_losses
    torch.testing.assert_close(weights, plain, rtol=0, atol=0)


def test_padded_types_and_characters_change_no_number() -> None:
    padded_losses, weights, _ = losses_and_weights(recorded=False)
    losses, expected, _ = losses_and_weights(recorded=False, batches=lambda training: training.batches())
    assert padded_losses == pytest.approx(losses, rel=1e-6)
    torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-6)


def test_batches_are_padded_to_few_shapes() -> None:
    batch = next(language_model_training(device=CPU).batches())
    given = [(number, width) for number in range(1000, 1200, 10) for width in (25, 31, 33, 50)]
    batches = [padded(replace(batch, types_U=torch.zeros(shape, dtype=torch.int64))) for shape in given]
    shapes = {tuple(one.types_U.shape) for one in batches}
    assert shapes == {(number, width) for number in (1024, 1152, 1280) for width in (32, 48, 50)}
    rows = padded(replace(batch, types_U=torch.arange(17)))  # of a table
    assert rows.types_U.tolist() == [*range(17), 0]


def test_frozen_steps_are_not_recorded() -> None:
    plain_losses, plain, _ = losses_and_weights(recorded=False, frozen_steps=4)
    losses, weights, stand_in = losses_and_weights(recorded=True, frozen_steps=4)
    assert stand_in is not None and stand_in.num_warm_ups + stand_in.num_replayed == 7
    assert losses == plain_losses
    torch.testing.assert_close(weights, plain, rtol=0, atol=0)


def test_a_resumed_run_replays_from_the_saved_state() -> None:
    whole, _, _ = losses_and_weights(recorded=True, num_steps=12)
    training = language_model_training(device=CPU)
    steps = steps_of(training)
    steps.record(StandIn(training))
    torch.manual_seed(4)
    batches = PaddedBatches(training)
    for number in range(1, 13):
        if number == 8:  # as if read from a checkpoint: other tensors with the same values
            state = training.state_dict()
            training.load_state_dict({**state, "state": [part.clone() for part in state["state"]]})
        steps.set_rates(1 / number)
        steps.take(number, batches)
    assert [figures.loss for figures in steps.read()] == whole


def test_a_recording_that_fails_is_told_once_and_the_plain_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: StandIn, work: Callable[[], Outputs]) -> Any:
        work()
        raise RuntimeError("operation not permitted when stream is capturing")

    expected, _, _ = losses_and_weights(recorded=False)
    monkeypatch.setattr(StandIn, "record", broken)
    losses, _, _ = losses_and_weights(recorded=True)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "no CUDA graphs, kernels are launched one by one: operation not permitted when stream is capturing"
    ]
    assert len(losses) == len(expected)


def test_there_are_no_more_recordings_than_their_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_losses, _, _ = losses_and_weights(recorded=False, num_steps=25)
    monkeypatch.setattr(graphs, "MOST_RECORDINGS", 1)
    losses, _, stand_in = losses_and_weights(recorded=True, num_steps=25)
    assert stand_in is not None and stand_in.num_recorded == 1
    assert losses == plain_losses


@pytest.mark.parametrize(("batching", "softmax"), [("sentences", "full"), ("stream", "adaptive")])
def test_shapes_that_never_return_are_not_recorded(batching: str, softmax: str) -> None:
    training = language_model_training(device=CPU, batching=batching, softmax=softmax)
    assert not training.has_fixed_shapes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("softmax", ["full", "sampled", "sparse"])
def test_cuda_graphs_compute_what_the_plain_loop_does(softmax: str) -> None:
    losses = []
    for is_recorded in (False, True):
        training = language_model_training(
            device=torch.device("cuda"), softmax=softmax, encoder={**ENCODER, "dropout": 0.0}
        )
        steps = steps_of(training)
        assert steps.route == "CUDA graphs, one for each shape"
        steps.recorded = steps.recorded if is_recorded else None
        batches = training.batches()
        for number in range(1, 13):
            steps.set_rates(1 / number)
            steps.take(number, batches)
        losses.append([figures.loss for figures in steps.read()])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
