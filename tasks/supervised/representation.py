"""Computes a head's input vectors from windows of words: encoders, their mixes, and where they are injected.

Shape legend: L layers, S sentences, W words of the longest one, B windows, T words of the longest window,
P size of a word's vector at the head's input, E size of the vector injected after its recurrent layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.mixes import Mix, SingleMix
from elmo.errors import InputError
from elmo.registry import REGISTRY, suggest
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.span_head import Words

Window: TypeAlias = list[
    list[str]
]  # sentences of words: encoders read each sentence, heads the concatenation

INJECTIONS = ("input", "output", "both")
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class WindowBatch:
    """A batch of windows of texts.

    Attributes:
        windows: each a list of sentences of words; a window or a sentence may be empty.
        features: stored vectors (L, B, T, P) by the name of the encoder's part; values in the padding are
            ignored.
        device: of masks and features.
    """

    windows: list[Window]
    features: dict[str, Tensor] = field(default_factory=dict)
    device: torch.device = _CPU

    @property
    def num_windows(self) -> int:
        """B."""
        return len(self.windows)

    @cached_property
    def lengths(self) -> list[int]:
        """Number of words of each window."""
        return [sum(map(len, window)) for window in self.windows]

    @cached_property
    def sentences(self) -> list[list[str]]:
        """The sentences of all windows, concatenated."""
        return [sentence for window in self.windows for sentence in window]

    @cached_property
    def mask_BT(self) -> Tensor:
        """Bool, true for words."""
        return torch.from_numpy(_first(self.lengths)).to(self.device)

    @cached_property
    def places_BT(self) -> Tensor:
        """The index of each word in the flattened (S, W) of all sentences; 0 in the padding."""
        lengths_S = [len(sentence) for sentence in self.sentences]
        inside_BT = _first(self.lengths)
        places_BT = np.zeros(inside_BT.shape, dtype=np.int64)
        places_BT[inside_BT] = np.flatnonzero(
            _first(lengths_S)
        )  # both sides list the words in the same order
        return torch.from_numpy(places_BT).to(self.device)

    def to(self, device: torch.device) -> WindowBatch:
        """The same batch on a device."""
        features = {name: layers.to(device, non_blocking=True) for name, layers in self.features.items()}
        return replace(self, features=features, device=device)


class Representation(nn.Module):
    """Computes a vector for each word of a window and, optionally, a second one that is injected into the
    head.

    The vectors of the parts are concatenated in the parts' order. A part with several layers has a mix of its
    own at each place of injection; a part with a single layer has dropout. A part without trained parameters
    stays in evaluation mode.

    Args:
        parts: encoders by name.
        mix: the config node of the mixes.
        injection: where contextual parts are injected: `input`, `output` (of the head's recurrent layer) or
            `both` (Peters et al. 2018, section 3.3). All other parts are input.
        word_dropout: on the vectors of parts with a single layer, during training.

    Attributes:
        input_size: P.
        injected_size: E; 0 if nothing is injected.

    Raises:
        InputError: `injection` is unknown, or leaves no part for the input.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, TokenEncoder],
        mix: Mapping[str, Any],
        injection: str,
        word_dropout: float,
    ) -> None:
        super().__init__()
        if injection not in INJECTIONS:
            raise InputError(f"task.injection: unknown {injection!r}{suggest(injection, INJECTIONS)}")
        contextual = {name: part for name, part in parts.items() if part.is_contextual}
        at_input = {n: p for n, p in parts.items() if n not in contextual} if injection == "output" else parts
        at_output = {} if injection == "input" else contextual
        if not at_input:
            raise InputError(
                "task.injection: output leaves the head without input, because all parts of the encoder are"
                " contextual; add word vectors to the encoder, or use both"
            )
        self.parts = nn.ModuleDict(parts)
        self.input_mixes = _mixes(at_input, mix, word_dropout)
        self.output_mixes = _mixes(at_output, mix, word_dropout)
        self.input_size = sum(part.size for part in at_input.values())
        self.injected_size = sum(part.size for part in at_output.values())

    def train(self, mode: bool = True) -> Representation:
        """Set training or evaluation mode; a part without trained parameters stays in evaluation mode."""
        super().train(mode)
        for part in self.parts.values():
            part.train(mode and any(parameter.requires_grad for parameter in part.parameters()))
        return self

    def forward(self, batch: WindowBatch) -> Words:
        """The vectors of a batch's words, from stored features for the parts that the batch has them of."""
        layers = {name: self._layers(name, batch) for name in self.parts}
        injected = _joined(self.output_mixes, layers, batch.mask_BT) if self.output_mixes else None
        return Words(_joined(self.input_mixes, layers, batch.mask_BT), batch.mask_BT, injected)

    def penalty(self) -> Tensor:
        """The regularisation term of all mixes, a scalar that training adds to its loss."""
        penalties = [module.penalty() for module in self.modules() if isinstance(module, Mix)]
        return sum(penalties, start=torch.zeros(()))

    def mixes_of(self, part: str) -> list[Mix]:
        """A part's mixes: at the input, at the output, or both."""
        places = (self.input_mixes, self.output_mixes)
        return [cast(Mix, mixes[part]) for mixes in places if part in mixes]

    def _layers(self, name: str, batch: WindowBatch) -> Tensor:
        """(L, B, T, P) vectors of a part; the values in the padding are arbitrary."""
        if name in batch.features:
            stored = batch.features[name]  # a mix on a CPU reads them as they lie, in float16
            return stored if stored.device.type == "cpu" else stored.float()
        layers_LSWP = cast(TokenEncoder, self.parts[name]).encode_texts(batch.windows)
        words_LNP = layers_LSWP.flatten(1, 2).index_select(1, batch.places_BT.flatten())
        return words_LNP.unflatten(1, batch.places_BT.shape)


def _mixes(parts: Mapping[str, TokenEncoder], mix: Mapping[str, Any], word_dropout: float) -> nn.ModuleDict:
    return nn.ModuleDict({name: _mix(part, mix, word_dropout) for name, part in parts.items()})


def _mix(part: TokenEncoder, mix: Mapping[str, Any], word_dropout: float) -> Mix:
    """The mix of a part; only contextual parts are standardised, as `mix.standardized` says."""
    if part.num_layers > 1:
        node = mix if part.is_contextual else {**mix, "standardized": False}
        built: Mix = REGISTRY.build("mix", node, num_layers=part.num_layers, size=part.size)
        return built
    standardized = part.is_contextual and mix.get("standardized", False)
    return SingleMix(num_layers=1, layer=0, dropout=word_dropout, standardized=standardized, size=part.size)


def _joined(mixes: nn.ModuleDict, layers: Mapping[str, Tensor], mask_BT: Tensor) -> Tensor:
    mixed = [mix(layers[name], mask_BT) for name, mix in mixes.items()]
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=2)


def _first(lengths: list[int]) -> np.ndarray:
    """(rows, longest) bool mask, true for the first `lengths` positions of each row."""
    return np.arange(max(lengths, default=0)) < np.array(lengths, dtype=np.int64)[:, None]
