"""The interface of a biLM: everything that pretraining, embedding, official files and tasks need from it.

A biLM (Peters et al. 2018, section 3) has a word layer, which computes a context-free vector for every
distinct word, and context layers above it, which read sentences in both directions. To add a kind of biLM,
subclass `BiLm` and build the two parts in its constructor; to add new context layers, subclass
`ContextLayers`.

Shape legend: U distinct types, B sentences or rows, T tokens of the longest sentence with its two markers,
D = 2 directions, N packed tokens (see `elmo.bilm.packing`), P projection, L layers, the word layer being 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from elmo.bilm.packing import Packing
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable
from elmo.text.vocabulary import Vocabulary

State = list[Tensor]  # any number of tensors (2, B, ...); empty if a biLM carries nothing between batches


class WordLayer(nn.Module, ABC):
    """Computes a context-free vector for every distinct word.

    Attributes:
        vocabulary: the words that have a row in its table; None if it reads characters.
        widest_filter: characters of padding that a cropped row must keep; None if it does not read
            characters.
    """

    vocabulary: Vocabulary | None = None
    widest_filter: int | None = None

    @abstractmethod
    def read(self, types: TypeTable, type_ids: np.ndarray) -> Tensor:
        """The input of `forward` for some types, on the CPU: (U, C) character ids or (U,) rows of a table."""

    @abstractmethod
    def forward(self, inputs_U: Tensor) -> Tensor:
        """The result of `read` -> (U, P) word vectors."""

    def flops_per_word(self) -> int:
        """FLOPs of the matrix products for one word; a multiplication and its addition count as 2."""
        return 0

    def activations_per_word(self) -> int:
        """An estimate of the number of activations that training keeps for one word."""
        return 0

    def official_options(self) -> dict[str, Any] | None:
        """The options of this layer in an official options.json; None if the official format lacks it."""
        return None

    def official_tensors(self) -> dict[str, Tensor]:
        """Official dataset name -> the parameter, viewed in the dataset's shape."""
        return {}


class ContextLayers(nn.Module, ABC):
    """The layers above the word vectors; the two directions share only their input.

    Attributes:
        layers: one module per layer, from the bottom up.
        projection_size: P, the size of a word vector and of a layer's output in one direction.
    """

    layers: nn.ModuleList
    projection_size: int

    @abstractmethod
    def zero_state(self, num_rows: int) -> State:
        """The state of `num_rows` rows before their first token; empty if the layers carry no state."""

    @abstractmethod
    def forward(
        self, vectors_UP: Tensor, ids_DN: Tensor, batch_sizes: Sequence[int], state: State
    ) -> tuple[list[Tensor], State]:
        """Run packed sequences.

        Args:
            vectors_UP: the vectors of the distinct types.
            ids_DN: for each packed token, in each direction's reading order, its row in `vectors_UP`.
            batch_sizes: number of rows that have not ended yet, for each step.
            state: the initial state of the `batch_sizes[0]` rows; no gradient flows into it.

        Returns:
            L tensors (2, N, P): the word vectors and the outputs of each layer in each direction's reading
            order, the top one with dropout during training; and each row's state after its last step, without
            a gradient.
        """

    def flops_per_word(self) -> int:
        """FLOPs of the matrix products for one word in both directions: each weight is used once."""
        return 2 * sum(weight.numel() for weight in self.parameters() if weight.dim() > 1)

    def recurrent_weights(self) -> int:
        """Number of weights that must be read at every step: they multiply the previous step's output."""
        return sum(weight.numel() for weight in self.parameters() if weight.dim() > 1)

    def activations_per_token(self) -> int:
        """An estimate of the number of activations that training keeps for one token, in both directions."""
        return 3 * sum(weight.shape[-1] for weight in self.parameters() if weight.dim() > 1)

    def official_options(self) -> dict[str, Any] | None:
        """The options of these layers in an official options.json; None if the official format lacks them."""
        return None

    def official_tensors(self) -> dict[str, Tensor]:
        """Official dataset name -> the parameter, viewed in the dataset's shape."""
        return {}


class BiLm(nn.Module):
    """A bidirectional language model without its softmax.

    It holds the start state of every sentence: zeros, unless training carried the state from batch to batch
    and then set it to the mean of the states that it reached. The start state is saved with the weights.

    Args:
        words: the word layer.
        context: the layers above it.

    Attributes:
        node: the config node that it was built from; see `build_bilm`.
        needs_vocabulary: whether the constructor takes the argument `vocabulary`.
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
        """P: a word's vector has P values in each direction, 2 P in total."""
        return self.context.projection_size

    @property
    def num_layers(self) -> int:
        """L: the word layer and the layers above it."""
        return len(self.context.layers) + 1

    def flops_per_word(self) -> int:
        """FLOPs of the matrix products for one word, all 50 characters of the word layer included."""
        return self.words.flops_per_word() + self.context.flops_per_word()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that have a row in its table; None if it reads characters."""
        return self.words.vocabulary

    @property
    def carries_state(self) -> bool:
        """Whether it has a state that can be carried from one batch to the next."""
        return bool(self.own_start())

    @property
    def has_own_start(self) -> bool:
        """Whether the start state is not zero."""
        return any(bool(part.any()) for part in self.own_start())

    def start_state(self, num_rows: int) -> State:
        """The start state, the same for each of `num_rows` rows."""
        # cloned: autograd may have saved it for a backward pass when `set_start_state` changes it in place
        return [part.clone().expand(2, num_rows, *part.shape[2:]) for part in self.own_start()]

    def own_start(self) -> State:
        """The parts of the start state, (2, 1, ...), in their own memory."""
        return [part for name, part in self.named_buffers(recurse=False) if name.startswith("start_")]

    def set_start_state(self, state: State) -> None:
        """Set the start state to the mean over the rows of `state`."""
        for own, part in zip(self.own_start(), state, strict=True):
            own.copy_(part.mean(dim=1, keepdim=True))

    def reset_start_state(self) -> None:
        """Set the start state to zeros."""
        for part in self.own_start():
            part.zero_()

    def run_packed(
        self,
        inputs_U: Tensor,
        ids_DN: Tensor,
        batch_sizes: Sequence[int],
        state: State | None = None,
        *,
        join: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[list[Tensor], State]:
        """Run the word layer on the result of `words.read`, then `ContextLayers.forward`.

        Args:
            state: the initial state of the rows; None: the start state.
            join: completes the word vectors with those of types that other processes compute; None: all are
                here.
        """
        state = self.start_state(batch_sizes[0]) if state is None else state
        vectors_UP = self.words(inputs_U) if join is None else join(self.words(inputs_U))
        layers, last = self.context(vectors_UP, ids_DN, batch_sizes, state)
        return layers, last

    def forward(
        self, inputs_U: Tensor, ids_BT: Tensor, lengths_B: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Run whole sentences, markers included, in any order and of any lengths.

        Args:
            inputs_U: the result of `words.read` for the distinct types.
            ids_BT: the type of each token; values in the padding are ignored.
            lengths_B: number of tokens of each sentence, markers included, at least 1.
            state: the initial state, row r for sentence r; None: the start state.

        Returns:
            (L, B, T, 2 P) vectors, zero in the padding, and the state after each sentence.
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


def build_bilm(node: Mapping[str, Any], *, vocabulary: Vocabulary | None = None) -> BiLm:
    """The biLM that a config node describes.

    Args:
        node: `{type: <registered encoder>, argument: value}`.
        vocabulary: the words of its table, if it reads whole words.

    Raises:
        InputError: one line for each fault of the node, or the encoder is not a biLM.
    """
    cls = REGISTRY.get("encoder", node.get("type", ""))
    if not issubclass(cls, BiLm):
        raise InputError(f"encoder.type: {node['type']} is not a biLM; encoder=elmo_tiny is one")
    if cls.needs_vocabulary and vocabulary is None:
        raise InputError(f"encoder.type: {node['type']} reads whole words, and its vocabulary is missing")
    given = {"vocabulary": vocabulary} if cls.needs_vocabulary else {}
    bilm: BiLm = REGISTRY.build("encoder", node, **given)
    bilm.node = dict(node)
    return bilm
