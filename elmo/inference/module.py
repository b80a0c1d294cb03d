"""`Elmo`: ELMo as a part of a PyTorch model, with the options of AllenNLP's module of that name.

Shape legend: L layers with the context-free one as layer 0, B sentences, W words of the longest one,
T = W + 2 with its two markers, C characters, U distinct types, P projection.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.mixes import ScalarMix
from elmo.errors import InputError
from elmo.inference.sentence_batch import SentenceBatch
from elmo.io.loading import load_bilm
from elmo.registry import suggest
from elmo.text.characters import (
    BEGIN_TYPE,
    END_TYPE,
    MAX_CHARACTERS,
    NUM_CHARACTERS,
    NUM_MARKERS,
    PAD,
    TypeTable,
)
from elmo.text.checked_input import checked_sentences

STATISTICS = ("with_markers", "without_markers")


class ElmoOutput(TypedDict):
    """Output of `Elmo`: representations (B, W, 2 P), zero in the padding, and a bool mask (B, W)."""

    elmo_representations: list[Tensor]
    mask: Tensor


class Elmo(nn.Module):
    """Contextual vectors as a part of a larger model, which trains the weights of their mix.

    Every sentence starts from the model's own start state, which is zero unless its training carried the
    state from batch to batch; AllenNLP's module continues from the previous batch. As in the original, the
    encoder's own dropout stays off, even if the encoder is trained.

    `torch.compile` leaves this module as it is, because its input is Python's strings and its batches are
    packed by numpy; the rest of a larger model is compiled.

    Args:
        model: the directory of a finished run or of a model, the name of a published model, or, together with
            `weights`, an official options.json.
        weights: the official HDF5 file that belongs to the options.
        num_output_representations: number of mixes, each with weights of its own.
        requires_grad: train the encoder as well.
        do_layer_norm: normalise each layer with the statistics of its batch before mixing.
        dropout: on each representation, during training.
        keep_sentence_boundaries: keep the vectors of `<S>` and `</S>` before and after each sentence.
        scalar_mix_parameters: the weights of the L layers before the softmax, the same for all
            representations; then neither they nor gamma are trained. None: trained, initially equal for all
            layers.
        layer_norm_statistics: `with_markers` includes the two markers of each sentence, as AllenNLP does;
            `without_markers` excludes them, as the original does.
        l2: factor of `penalty`.

    Attributes:
        num_layers: L.
        size: 2 P, size of a vector.

    Raises:
        InputError: a model that is missing or damaged, or a wrong argument.
    """

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        num_output_representations: int = 1,
        requires_grad: bool = False,
        do_layer_norm: bool = False,
        dropout: float = 0.5,
        *,
        keep_sentence_boundaries: bool = False,
        scalar_mix_parameters: Sequence[float] | None = None,
        layer_norm_statistics: str = "with_markers",
        l2: float = 0.0,
    ) -> None:
        super().__init__()
        _leave_uncompiled()
        if num_output_representations < 1:
            raise InputError(
                f"num_output_representations: expected at least 1, got {num_output_representations}"
            )
        if layer_norm_statistics not in STATISTICS:
            raise InputError(
                f"layer_norm_statistics: unknown {layer_norm_statistics!r}"
                f"{suggest(str(layer_norm_statistics), STATISTICS)}"
            )
        self.bilm = load_bilm(model, weights).bilm.requires_grad_(requires_grad)
        self.num_layers, self.size = self.bilm.num_layers, 2 * self.bilm.projection_size
        self.mixes = nn.ModuleList(
            ScalarMix(
                num_layers=self.num_layers,
                layer_normed=do_layer_norm,
                dropout=dropout,
                l2=l2,
                initial_weights=scalar_mix_parameters,
                trainable=scalar_mix_parameters is None,
            )
            for _ in range(num_output_representations)
        )
        self.requires_grad = requires_grad
        self.keep_sentence_boundaries = keep_sentence_boundaries
        self.layer_norm_statistics = layer_norm_statistics

    def train(self, mode: bool = True) -> Elmo:
        """Set the mode of the mixes; the encoder stays in evaluation mode, without dropout."""
        super().train(mode)
        self.bilm.eval()
        return self

    def penalty(self) -> Tensor:
        """The regularisation term of the loss, a scalar: l2 * sum of squared weights before the softmax."""
        return torch.stack([mix.penalty() for mix in self.mixes if isinstance(mix, ScalarMix)]).sum()

    def forward(self, inputs: Tensor | Iterable[Sequence[str]]) -> ElmoOutput:
        """Compute the representations of sentences.

        Args:
            inputs: tokenized sentences, or their characters (..., W, 50) from `batch_to_ids`.

        Returns:
            `elmo_representations`: for each mix (B, W, 2 P), or (..., W, 2 P) for characters, zero in the
            padding; `mask`: (B, W) or (..., W) bool, true for words. With `keep_sentence_boundaries`, W + 2
            instead of W.

        Raises:
            InputError: other input; the message names the sentence.
        """
        if isinstance(inputs, Tensor):
            batch = self._from_characters(inputs)
        else:
            batch = SentenceBatch.from_words(list(checked_sentences(inputs)), self.bilm)
        leading = inputs.shape[:-2] if isinstance(inputs, Tensor) else batch.lengths.shape
        with torch.set_grad_enabled(self.requires_grad and torch.is_grad_enabled()):
            layers_LBTP = batch.run(self.bilm)
        width = layers_LBTP.shape[2]
        marked_BT = _first(batch.lengths + NUM_MARKERS, width) & (batch.lengths > 0)[:, None]
        words_BT = _first(batch.lengths + 1, width)
        words_BT[:, 0] = False
        counted_BT = marked_BT if self.layer_norm_statistics == "with_markers" else words_BT
        kept = slice(None) if self.keep_sentence_boundaries else slice(1, -1)
        mask = (marked_BT if self.keep_sentence_boundaries else words_BT)[:, kept]
        mixed = [mix(layers_LBTP, marked_BT, counted_BT)[:, kept] for mix in self.mixes]
        shape = (*leading, mask.shape[1])
        return {
            "elmo_representations": [
                v.masked_fill(~mask[..., None], 0.0).reshape(*shape, self.size) for v in mixed
            ],
            "mask": mask.reshape(shape),
        }

    @property
    def _device(self) -> torch.device:
        return next(self.bilm.parameters()).device

    def _from_characters(self, inputs: Tensor) -> SentenceBatch:
        widest_filter = self.bilm.words.widest_filter
        if widest_filter is None:
            raise InputError("inputs: this model reads whole words; give tokenized sentences")
        _check_characters(inputs)
        characters_BWC = inputs.to(self._device).flatten(end_dim=-3)
        words_BW = characters_BWC.any(dim=2)
        lengths = words_BW.sum(dim=1)
        if not torch.equal(words_BW, _first(lengths, words_BW.shape[1])):
            raise InputError(
                "inputs: a padded word before the end of a sentence; padding must follow all its words"
            )
        types_UC, inverse = _distinct(characters_BWC[words_BW] - 1)
        if (types_UC < 0).any():
            raise InputError(
                "inputs: a character 0 within a word; 0 is for padded words, 261 pads characters"
            )
        types_BW = words_BW.long()
        types_BW[words_BW] = inverse + NUM_MARKERS
        markers = torch.from_numpy(TypeTable.from_words([]).characters(np.array([BEGIN_TYPE, END_TYPE])))
        types = torch.cat([markers.to(self._device), types_UC])
        return SentenceBatch.from_types(_cropped(types, widest_filter), types_BW, lengths)


@functools.cache
def _leave_uncompiled() -> None:
    """Let `torch.compile` call `Elmo.forward` without looking into it."""
    # not as a decorator: importing the compiler takes as long as importing the rest of torch
    Elmo.forward = torch.compiler.disable(Elmo.forward)  # type: ignore[method-assign]


def batch_to_ids(sentences: Iterable[Sequence[str]]) -> Tensor:
    """The characters of tokenized sentences, (B, W, 50) int64, as AllenNLP's function of this name.

    The ids are those of `TypeTable.characters` plus 1; the padding after a shorter sentence is 0.

    Raises:
        InputError: names the element that is not a sequence of str.
    """
    words = list(checked_sentences(sentences))
    longest = max(map(len, words), default=0)
    ids_BWC = torch.zeros(len(words), longest, MAX_CHARACTERS, dtype=torch.long)
    for row, sentence in enumerate(words):
        types = TypeTable.from_words(sentence)
        own = types.characters(np.arange(NUM_MARKERS, len(types)))
        ids_BWC[row, : len(sentence)] = torch.from_numpy(own) + 1
    return ids_BWC


def _check_characters(inputs: Tensor) -> None:
    shape = tuple(inputs.shape)
    if (
        inputs.is_floating_point()
        or inputs.dtype == torch.bool
        or len(shape) < 3
        or shape[-1] != MAX_CHARACTERS
    ):
        raise InputError(
            f"inputs: expected whole numbers of shape (sentences, words, {MAX_CHARACTERS}), "
            f"got {inputs.dtype} of shape {shape}"
        )
    if inputs.numel() and not 0 <= int(inputs.min()) <= int(inputs.max()) <= NUM_CHARACTERS:
        raise InputError(
            f"inputs: expected characters 0..{NUM_CHARACTERS}, got {int(inputs.min())}..{int(inputs.max())}"
        )


def _first(lengths: Tensor, width: int) -> Tensor:
    """(B, width) bool mask, true for the first `lengths` positions of each row."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def _distinct(rows_MC: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows, and the index of each row among them."""
    if not len(rows_MC):
        return rows_MC, rows_MC.new_zeros(0)
    distinct, inverse = torch.unique(rows_MC, dim=0, return_inverse=True)
    return distinct, inverse


def _cropped(characters_UC: Tensor, widest_filter: int) -> Tensor:
    """Remove most of the padding after the longest word, as `TypeTable.characters` does."""
    longest = int((characters_UC != PAD).any(dim=0).nonzero().max()) + 1
    return characters_UC[:, : min(MAX_CHARACTERS, longest + widest_filter)]
