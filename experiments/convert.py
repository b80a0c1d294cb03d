"""Official files into a model directory, or back: `python -m experiments.convert to=model|official ...`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from elmo.errors import InputError
from experiments.config.choices import ConvertTarget
from experiments.config.command import run_command
from experiments.config.schema import ConvertConfig

if TYPE_CHECKING:
    from elmo.bilm.char_cnn_lstm import CharCnnLstm
    from elmo.bilm.word_lstm import WordLstm


def main(config: ConvertConfig, overrides: list[str]) -> None:
    """Convert an encoder and say in a line what was written."""
    if config.to is ConvertTarget.model:
        encoder = _to_model(config)
        written = [config.model]
    else:
        encoder = _to_official(config)
        written = [config.options, config.weights, *([config.vocabulary] if config.vocabulary else [])]
    num_parameters = sum(parameter.numel() for parameter in encoder.parameters())
    print(f"{', '.join(written)}: {num_parameters:,} parameters, {len(encoder.bilstm.layers)} LSTM layers")


def _to_model(config: ConvertConfig) -> CharCnnLstm | WordLstm:
    from torch import nn

    from elmo.io.model_directory import ENCODER, save_model
    from elmo.io.official import read_official, read_official_words
    from elmo.io.official_options import read_options, read_word_options

    options, weights = Path(config.options), Path(config.weights)
    encoder: CharCnnLstm | WordLstm
    if config.vocabulary is None:
        node, vocabulary = read_options(options), None
        encoder = read_official(options, weights)
    else:
        embeddings = None if config.embeddings is None else Path(config.embeddings)
        encoder = read_official_words(
            options, weights, vocabulary=Path(config.vocabulary), embeddings=embeddings
        )
        node, vocabulary = read_word_options(options), encoder.vocabulary
    save_model(
        Path(config.model),
        config={ENCODER: node},
        model=nn.ModuleDict({ENCODER: encoder}),
        vocabulary=vocabulary,
    )
    return encoder


def _to_official(config: ConvertConfig) -> CharCnnLstm | WordLstm:
    from elmo.bilm.char_cnn_lstm import CharCnnLstm
    from elmo.bilm.word_lstm import WordLstm
    from elmo.io.model_directory import read_encoder
    from elmo.io.official import write_official

    encoder = read_encoder(Path(config.model))
    if not isinstance(encoder, (CharCnnLstm, WordLstm)):
        raise InputError(
            f"{config.model}: an encoder of type {type(encoder).__name__} has no official format"
        )
    has_words = isinstance(encoder, WordLstm)
    if has_words and config.vocabulary is None:
        raise InputError("vocabulary: this model reads whole words; say where to write them: vocabulary=FILE")
    if not has_words and config.vocabulary is not None:
        raise InputError("vocabulary: this model reads characters and has none to write; leave it out")
    if config.vocabulary is not None and Path(config.vocabulary).exists():
        raise InputError(f"{config.vocabulary}: exists already; nothing is overwritten")
    write_official(encoder, Path(config.options), Path(config.weights))
    if isinstance(encoder, WordLstm) and config.vocabulary is not None:
        encoder.vocabulary.save(Path(config.vocabulary))
    return encoder


if __name__ == "__main__":
    sys.exit(run_command(main, config_name="convert"))
