"""What a biLM is: all that pretraining, embedding, official files and tasks ask of one.

A biLM (Peters et al. 2018, section 3) is a word layer, which gives every distinct word a vector without
context, below context layers, which read sentences in both directions. A new kind is a subclass of `BiLm`
whose constructor makes the two parts; new context layers are a subclass of `ContextLayers`.

Shape legend: U distinct types, B sentences or rows, T tokens of the longest sentence with its two markers,
D = 2 directions, N packed tokens (see `elmo.bilm.packing`), P projection, L layers, the word layer being 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.packing import Packing
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import Vocabulary

State = list[Tensor]  # (2, B, ...) each, of any number; empty where a biLM carries nothing between batches


class WordLayer(nn.Module, ABC):
    """A vector for every distinct word, without its context.

    Attributes:
        vocabulary: the words that it tells apart; None where it reads characters.
        widest_filter: characters of padding that a cropped row must keep; None where it reads no characters.
    """

    vocabulary: Vocabulary | None = None
    widest_filter: int | None = None

    @abstractmethod
    def read(self, types: TypeTable, type_ids: np.ndarray) -> Tensor:
        """What `forward` takes of some types, on the CPU: (U, C) character ids, or (U,) rows of a table."""

    @abstractmethod
    def forward(self, inputs_U: Tensor) -> Tensor:
        """(U, P), the word vectors of what `read` gave."""

    def flops_per_word(self) -> int:
        """FLOPs of the matrix products for one word, a multiplication and an addition each."""
        return 0

    def activations_per_word(self) -> int:
        """An estimate of the values that training keeps of one word."""
        return 0

    def official_options(self) -> dict[str, Any] | None:
        """This part of an official options.json; None: the official format has no such layer."""
        return None

    def official_tensors(self) -> dict[str, Tensor]:
        """Official dataset name -> the parameter, viewed in the dataset's shape."""
        return {}


class ContextLayers(nn.Module, ABC):
    """Layers above the word vectors; the two directions share their input and nothing else.

    Attributes:
        layers: a module for each layer, from the bottom up.
        projection_size: P, of the word vectors and of an output in one direction.
    """

    layers: nn.ModuleList
    projection_size: int

    @abstractmethod
    def zero_state(self, num_rows: int) -> State:
        """The state before anything was read, of so many rows; empty where nothing is carried."""

    @abstractmethod
    def forward(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        """Run packed sequences.

        Args:
            vectors_UP: the vectors of the distinct types.
            ids_DN: of each packed token, in each direction's reading order, its row in `vectors_UP`.
            batch_sizes: rows that are alive at each step.
            state: that the `batch_sizes[0]` rows start from; no gradient flows into it.

        Returns:
            L tensors (2, N, P): the word vectors and the outputs of each layer in each direction's reading
            order, the top one with dropout while training; and each row's state after its last step, without
            a gradient.
        """

    def flops_per_word(self) -> int:
        """FLOPs of the matrix products for one word in both directions: each weight is used once."""
        return 2 * sum(weight.numel() for weight in self.parameters() if weight.dim() > 1)

    def recurrent_weights(self) -> int:
        """Weights that must be read at every step, as they multiply what the step before gave."""
        return sum(weight.numel() for weight in self.parameters() if weight.dim() > 1)

    def activations_per_token(self) -> int:
        """An estimate of the values that training keeps of one token, both directions together."""
        return 3 * sum(weight.shape[-1] for weight in self.parameters() if weight.dim() > 1)

    def official_options(self) -> dict[str, Any] | None:
        """This part of an official options.json; None: the official format has no such layers."""
        return None

    def official_tensors(self) -> dict[str, Tensor]:
        """Official dataset name -> the parameter, viewed in the dataset's shape."""
        return {}


class BiLm(nn.Module):
    """A bidirectional language model without its softmax.

    It knows the state that sentences start from: zeros, until training with a carried state sets the state
    that it saw. The start state is saved with the weights.

    Args:
        words: the word layer.
        context: the layers above it.

    Attributes:
        node: the config node that it was built from; see `build_bilm`.
        needs_vocabulary: whether the constructor takes `vocabulary`, the words of a table.
    """

    needs_vocabulary: ClassVar[bool] = False

    def __init__(self, *, words: WordLayer, context: ContextLayers) -> None:
        super().__init__()
        self.words, self.context = words, context
        self.node: dict[str, Any] = {}
        for index, part in enumerate(context.zero_state(1)):
            self.register_buffer(f"start_{index}", part.detach())

    @property
    def projection_size(self) -> int:
        """P: a word has P values in each direction, 2 P in all."""
        return self.context.projection_size

    @property
    def num_layers(self) -> int:
        """L: the word layer and the layers above it."""
        return len(self.context.layers) + 1

    def flops_per_word(self) -> int:
        """FLOPs of the matrix products for one word, spelled anew in all its 50 characters; no markers."""
        return self.words.flops_per_word() + self.context.flops_per_word()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that it tells apart; None where it reads characters."""
        return self.words.vocabulary

    @property
    def carries_state(self) -> bool:
        """Whether a row can go on where another text ended."""
        return bool(self._start())

    @property
    def has_own_start(self) -> bool:
        """Whether sentences start from a state other than zeros."""
        return any(bool(part.any()) for part in self._start())

    def start_state(self, num_rows: int) -> State:
        """The state that sentences start from, the same for all rows."""
        # cloned, as what a gradient needs of it must not change when the start state is set
        return [part.clone().expand(2, num_rows, *part.shape[2:]) for part in self._start()]

    def set_start_state(self, state: State) -> None:
        """Let sentences start from the mean of some rows' states."""
        for own, part in zip(self._start(), state, strict=True):
            own.copy_(part.mean(dim=1, keepdim=True))

    def reset_start_state(self) -> None:
        """Let sentences start from zeros."""
        for part in self._start():
            part.zero_()

    def run_packed(
        self, inputs_U: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State | None = None
    ) -> tuple[list[Tensor], State]:
        """`ContextLayers.forward` above the word vectors of what `words.read` gave.

        Args:
            state: that the rows start from; None: the start state.
        """
        state = self.start_state(batch_sizes[0]) if state is None else state
        layers, last = self.context(self.words(inputs_U), ids_DN, batch_sizes, state)
        return layers, last

    def forward(
        self, inputs_U: Tensor, ids_BT: Tensor, lengths_B: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Run whole sentences, markers included, whatever their order and lengths.

        Args:
            inputs_U: of the distinct types, from `words.read`.
            ids_BT: the type of each token; beyond a sentence's length the value does not matter.
            lengths_B: tokens of each sentence, markers included, at least 1.
            state: that the sentences start from, row r for sentence r; None: the start state.

        Returns:
            (L, B, T, 2 P) vectors, zero beyond each sentence, and the state after each sentence.
        """
        packing = Packing(lengths_B.tolist(), ids_BT.device)
        ids_BT = ids_BT[:, : len(packing.batch_sizes)]
        inside_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device) < lengths_B[:, None]
        if state is not None:
            state = [part[:, packing.order] for part in state]
        layers, last = self.run_packed(inputs_U, packing.pack(ids_BT[inside_BT]), packing.batch_sizes, state)
        flat_LMP = torch.stack([packing.unpack(layer) for layer in layers])
        padded = flat_LMP.new_zeros(len(layers), *ids_BT.shape, flat_LMP.shape[2])
        padded[:, inside_BT] = flat_LMP
        return padded, [part[:, packing.row_of] for part in last]

    def layer_groups(self) -> list[list[str]]:
        """The names of each layer's parameters, from the word layer up."""
        groups: list[list[str]] = [[] for _ in range(self.num_layers)]
        for name, _ in self.named_parameters():
            above = name.removeprefix("context.layers.")
            groups[0 if above == name else int(above.partition(".")[0]) + 1].append(name)
        return groups

    def _start(self) -> State:
        return [part for name, part in self.named_buffers(recurse=False) if name.startswith("start_")]


def build_bilm(node: Mapping[str, Any], *, vocabulary: Vocabulary | None = None) -> BiLm:
    """The biLM that a config node describes.

    Args:
        node: `{type: <registered encoder>, argument: value}`.
        vocabulary: the words of its table, where it reads whole words.

    Raises:
        InputError: a line for each fault of the node; another encoder than a biLM.
    """
    cls = REGISTRY.get("encoder", node.get("type", ""))
    if not issubclass(cls, BiLm):
        raise InputError(f"encoder.type: {node['type']} is no biLM; encoder=elmo_tiny is one")
    if cls.needs_vocabulary and vocabulary is None:
        raise InputError(f"encoder.type: {node['type']} reads whole words, and its vocabulary is missing")
    given = {"vocabulary": vocabulary} if cls.needs_vocabulary else {}
    bilm: BiLm = REGISTRY.build("encoder", node, **given)
    bilm.node = dict(node)
    return bilm
