"""Tests of the count of a model's arithmetic, against counts made by hand."""

from __future__ import annotations

import torch

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.flops import operations_per_word, weights_per_step


def test_the_original_size_takes_what_its_definition_says() -> None:
    with torch.device("meta"):
        encoder = CharCnnLstm()
    filters = [(1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)]
    convolutions = sum((50 - width + 1) * width * 16 * number for width, number in filters)
    highways, projection = 2 * 2 * 2048 * 2048, 2048 * 512
    lstm = 2 * 2 * ((512 + 512) * 4 * 4096 + 4096 * 512)  # directions, layers
    assert operations_per_word(encoder) == 2 * (convolutions + highways + projection + lstm)
    assert round(operations_per_word(encoder) / 1e6) == 204
    assert weights_per_step(encoder) == 2 * 2 * (512 * 4 * 4096 + 4096 * 512)
