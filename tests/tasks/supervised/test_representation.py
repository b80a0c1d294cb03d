"""From windows to a head's vectors, with encoders whose vectors can be worked out by hand.

Shape legend: L layers, S sentences, W words of the longest one, B windows, T words of the longest window,
P size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elmo.errors import InputError
from tasks.encoders.token_encoder import TokenEncoder
from tasks.supervised.representation import Representation, Window, WindowBatch

AVERAGE = {"type": "average", "dropout": 0.0}
SCALAR = {"type": "scalar", "dropout": 0.0, "l2": 0.5, "initial_weights": [1.0, 2.0]}
WINDOWS: list[Window] = [[["1", "2"], ["3"]], [["4"]], [["5"], [], ["6", "7", "8"]], []]
LENGTHS = [3, 1, 4, 0]


class Numbers(TokenEncoder):
    """Words are numbers; a word's vector is `scale` times its number and times its tenth."""

    num_layers, size, is_contextual = 1, 2, False

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        values_SW = torch.zeros(len(sentences), max(map(len, sentences), default=0))
        for row_W, sentence in zip(values_SW, sentences, strict=True):
            row_W[: len(sentence)] = torch.tensor([float(word) for word in sentence])
        return self.scale * torch.stack([values_SW, values_SW / 10], dim=2)[None]


class Sums(Numbers):
    """Layer 0 is the number itself, layer 1 the sum of the sentence's numbers up to it."""

    num_layers, size, is_contextual = 2, 1, True

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        values_LSWP = super().forward(sentences)[..., :1]
        mask_SW1 = (values_LSWP[0] > 0).float()
        return torch.cat([values_LSWP, values_LSWP.cumsum(dim=2) * mask_SW1])


def make(*, injection: str = "input", mix: dict[str, Any] = AVERAGE, **parts: TokenEncoder) -> Representation:
    parts = parts or {"numbers": Numbers(), "sums": Sums()}
    return Representation(parts=parts, mix=mix, injection=injection, word_dropout=0.0)


def test_a_windows_sentences_are_encoded_apart_and_joined_in_a_row() -> None:
    words = make(sums=Sums())(WindowBatch(WINDOWS))
    means = [[1, 2.5, 3, 0], [4, 0, 0, 0], [5, 6, 10, 14.5], [0, 0, 0, 0]]  # of a number and the sum up to it
    assert words.vectors.squeeze(2).tolist() == means
    assert words.mask.tolist() == [[t < length for t in range(4)] for length in LENGTHS]


def test_parts_are_concatenated_in_their_order() -> None:
    representation = make(sums=Sums(), numbers=Numbers())
    vectors = representation(WindowBatch(WINDOWS)).vectors
    assert representation.input_size == 3
    torch.testing.assert_close(vectors[0, 1], torch.tensor([2.5, 2.0, 0.2]))


@pytest.mark.parametrize(
    ("injection", "input_size", "injected_size"), [("input", 3, 0), ("output", 2, 1), ("both", 3, 1)]
)
def test_contextual_parts_join_where_they_are_wanted(
    injection: str, input_size: int, injected_size: int
) -> None:
    representation = make(injection=injection)
    vectors, _, injected = representation(WindowBatch(WINDOWS))
    assert (representation.input_size, representation.injected_size) == (input_size, injected_size)
    assert vectors.shape == (4, 4, input_size)
    assert (injected is None) if not injected_size else injected.shape == (4, 4, 1)


def test_each_place_has_a_mix_of_its_own_and_all_are_penalised() -> None:
    representation = make(injection="both", mix=SCALAR)
    assert representation.penalty().item() == 2 * 0.5 * (1 + 4)
    with torch.no_grad():
        representation.output_mixes["sums"].gamma.fill_(2.0)  # type: ignore[operator]
    vectors, _, injected = representation(WindowBatch(WINDOWS))
    torch.testing.assert_close(injected, 2 * vectors[..., 2:])
    assert make(numbers=Numbers()).penalty().item() == 0


def test_stored_features_stand_for_running_the_part() -> None:
    representation = make(injection="both", mix=SCALAR)
    live = representation(WindowBatch(WINDOWS))
    layers_LBTP = Sums()([[word for sentence in window for word in sentence] for window in WINDOWS])
    layers_LBTP[1] = torch.tensor([[1, 3, 3, 9], [4, 9, 9, 9], [5, 6, 13, 21], [9, 9, 9, 9]])[..., None]
    stored = representation(WindowBatch(WINDOWS, {"sums": layers_LBTP.half()}))  # 9: behind a window
    torch.testing.assert_close(stored, live)
    assert stored.vectors.dtype == torch.float32


def test_windows_change_nothing_for_each_other() -> None:
    representation = make(injection="both", mix=SCALAR)
    together = representation(WindowBatch(WINDOWS))
    for index, length in enumerate(LENGTHS):
        alone = representation(WindowBatch(WINDOWS[index : index + 1]))
        assert alone.vectors.shape == (1, length, 3)
        torch.testing.assert_close(alone.vectors[0], together.vectors[index, :length])
        torch.testing.assert_close(alone.injected[0], together.injected[index, :length])


def test_a_batch_goes_to_a_device() -> None:
    meta = torch.device("meta")  # the one beside the CPU that every machine has
    batch = WindowBatch(WINDOWS, {"sums": torch.zeros(2, 4, 4, 1)}).to(meta)
    assert batch.num_windows == 4
    assert {batch.mask_BT.device, batch.places_BT.device, batch.features["sums"].device} == {meta}


def test_gradients_reach_parts_and_mixes() -> None:
    representation = make(mix=SCALAR)
    representation(WindowBatch(WINDOWS)).vectors.sum().backward()
    gradients = {name: p.grad for name, p in representation.named_parameters()}
    assert gradients["parts.numbers.scale"].item() == pytest.approx(1.1 * 36)  # type: ignore[union-attr]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())


def test_dropout_is_for_training_alone() -> None:
    representation = Representation(
        parts={"numbers": Numbers(), "sums": Sums()},
        mix={**AVERAGE, "dropout": 0.5},
        injection="input",
        word_dropout=0.75,
    )
    batch = WindowBatch([[[str(number) for number in range(1, 401)]]])
    whole = representation.eval()(batch).vectors
    torch.manual_seed(0)
    dropped = representation.train()(batch).vectors
    for column, share in ((slice(0, 2), 0.75), (slice(2, 3), 0.5)):
        kept = dropped[..., column] != 0
        assert (~kept).float().mean().item() == pytest.approx(share, abs=0.08)
        torch.testing.assert_close(dropped[..., column][kept], whole[..., column][kept] / (1 - share))


def test_a_part_that_does_not_learn_stays_in_evaluation_mode() -> None:
    representation = make()
    representation.parts["sums"].requires_grad_(False)
    representation.train()
    modes = {name: part.training for name, part in representation.parts.items()}
    assert modes == {"numbers": True, "sums": False}
    assert not representation.eval().parts["numbers"].training


def test_faults_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"task.injection: unknown 'inputs'; nearest: input"):
        make(injection="inputs")
    with pytest.raises(InputError, match=r"task.injection: output leaves the head without input"):
        make(injection="output", sums=Sums())
