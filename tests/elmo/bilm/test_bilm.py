"""Tests of what every biLM tells of itself."""

from __future__ import annotations

import torch

from elmo.bilm.char_cnn_lstm import CharCnnLstm


def test_the_original_size_takes_what_its_definition_says() -> None:
    with torch.device("meta"):
        encoder = CharCnnLstm()
    filters = [(1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)]
    convolutions = sum((50 - width + 1) * width * 16 * number for width, number in filters)
    highways, projection = 2 * 2 * 2048 * 2048, 2048 * 512
    lstm = 2 * 2 * ((512 + 512) * 4 * 4096 + 4096 * 512)  # directions, layers
    assert encoder.flops_per_word() == 2 * (convolutions + highways + projection + lstm)
    assert round(encoder.flops_per_word() / 1e6) == 204
    assert encoder.context.recurrent_weights() == 2 * 2 * (512 * 4 * 4096 + 4096 * 512)
