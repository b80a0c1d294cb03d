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
    from elmo.bilm.bilm import BiLm


def main(config: ConvertConfig, overrides: list[str]) -> None:
    """Convert a biLM and print one line about the written files."""
    if config.to is ConvertTarget.model:
        bilm = _to_model(config)
        written = [config.model]
    else:
        bilm = _to_official(config)
        written = [config.options, config.weights, *([config.vocabulary] if config.vocabulary else [])]
    num_parameters = sum(parameter.numel() for parameter in bilm.parameters())
    print(
        f"{', '.join(written)}: {num_parameters:,} parameters, {bilm.num_layers - 1} layers above the words"
    )


def _to_model(config: ConvertConfig) -> BiLm:
    from torch import nn

    from elmo.io.model_directory import ENCODER, save_model
    from elmo.io.official import read_official, read_official_words

    options, weights = Path(config.options), Path(config.weights)
    if config.vocabulary is None:
        bilm = read_official(options, weights)
    else:
        embeddings = None if config.embeddings is None else Path(config.embeddings)
        bilm = read_official_words(
            options, weights, vocabulary=Path(config.vocabulary), embeddings=embeddings
        )
    save_model(
        Path(config.model),
        config={ENCODER: bilm.node},
        model=nn.ModuleDict({ENCODER: bilm}),
        vocabulary=bilm.vocabulary,
    )
    return bilm


def _to_official(config: ConvertConfig) -> BiLm:
    from elmo.io.model_directory import read_bilm
    from elmo.io.official import write_official

    bilm = read_bilm(Path(config.model))
    if bilm.vocabulary is not None and config.vocabulary is None:
        raise InputError("vocabulary: this model reads whole words; say where to write them: vocabulary=FILE")
    if bilm.vocabulary is None and config.vocabulary is not None:
        raise InputError("vocabulary: this model reads characters and has none to write; leave it out")
    if config.vocabulary is not None and Path(config.vocabulary).exists():
        raise InputError(f"{config.vocabulary}: exists already; nothing is overwritten")
    write_official(bilm, Path(config.options), Path(config.weights))
    if bilm.vocabulary is not None and config.vocabulary is not None:
        bilm.vocabulary.save(Path(config.vocabulary))
    return bilm


def command() -> int:
    """`elmo-convert`, which is `python -m experiments.convert`: the exit code."""
    return run_command(main, config_name="convert")


if __name__ == "__main__":
    sys.exit(command())
