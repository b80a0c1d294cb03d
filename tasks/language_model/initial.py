"""Continued pretraining: the weights that a language model starts from instead of random ones."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from elmo.bilm.bilm import BiLm
from elmo.bilm.softmaxes.softmax import Softmax
from elmo.errors import InputError
from elmo.io.loading import is_official, load_bilm, load_official_softmax
from elmo.io.model_directory import load_weights, read_config, read_model
from elmo.text.vocabulary import Vocabulary
from tasks.language_model.model import LanguageModel, load_language_model


class Initial(NamedTuple):
    """The parts of another model.

    Attributes:
        name: of the run, the directory or the published model.
        encoder: its biLM, with its start state.
        softmax: with its words; None if it has none, as official weights and the models of tasks.
    """

    name: str
    encoder: BiLm
    softmax: tuple[Softmax, Vocabulary] | None


def load_initial(name: str) -> Initial:
    """The parts of a run, a model directory, official files or a published model; InputError: no such."""
    if is_official(name):
        bilm, softmax = load_bilm(name).bilm, load_official_softmax(name)
        size = bilm.projection_size if softmax is None else softmax[0].weight.shape[1]
        if size != bilm.projection_size:
            raise InputError(
                f"init_from={name}: the softmax has vectors of size {size}, and the biLM of"
                f" {bilm.projection_size}; its file is of another model"
            )
        return Initial(name, bilm, softmax)
    if not _is_language_model(Path(name)):
        return Initial(name, load_bilm(name).bilm, None)
    model, vocabulary = load_language_model(read_model(Path(name)), name=name)
    return Initial(name, model.encoder, (model.softmax, vocabulary))


def start_from(initial: Initial, model: LanguageModel, vocabulary: Vocabulary) -> dict[str, str]:
    """Give a new model the encoder of another one, and the softmax's rows of the words that both have.

    Returns:
        What was taken over, as a fact for the user.

    Raises:
        InputError: the encoders' sizes differ.
    """
    load_weights(model.encoder, initial.encoder.state_dict(), name=f"init_from={initial.name}")
    start = ", with its own start state" if model.encoder.has_own_start else ""
    if initial.softmax is None:
        return {"init_from": f"the encoder{start}; the softmax is new"}
    softmax, words = initial.softmax
    if words.words == vocabulary.words and _shapes(softmax) == _shapes(model.softmax):
        model.softmax.load_state_dict(softmax.state_dict())
        return {"init_from": f"the encoder{start}, the whole softmax"}
    num_taken = model.softmax.take_rows(softmax, *_shared_ids(vocabulary, words))
    return {
        "init_from": f"the encoder{start}, the softmax's rows of {num_taken:,} of {len(vocabulary):,} words"
    }


def _shapes(softmax: Softmax) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in softmax.state_dict().items()}


def _shared_ids(own: Vocabulary, other: Vocabulary) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids in two vocabularies of the words that both have, markers included."""
    ids = {word: index for index, word in enumerate(other.words)}
    pairs = [(index, ids[word]) for index, word in enumerate(own.words) if word in ids]
    own_ids, other_ids = torch.tensor(pairs).unbind(dim=1)
    return own_ids, other_ids


def _is_language_model(path: Path) -> bool:
    task = read_config(path).get("task")
    return isinstance(task, dict) and task.get("type") == "language_model"
