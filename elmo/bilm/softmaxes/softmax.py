"""The interface of a softmax over the vocabulary, and taking over the rows of another one.

Shape legend: D = 2 directions, N tokens, P vector size, R rows of a table, W words of two softmaxes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

Plan = dict[str, Tensor]  # what a softmax needs of a batch besides the vectors, by its own names


class Rows(NamedTuple):
    """The parameters of consecutive words, which can be copied into.

    Attributes:
        start, stop: ids of the first word, and of the first one behind them.
        weight: (R, size); after the words, the rows of the classes that rarer words are in, if there are any.
        bias: (R,).
        projection: (size, P) of the vectors before they are multiplied by the weight; None: size is P, as for
            the first words of every softmax.
    """

    start: int
    stop: int
    weight: Tensor
    bias: Tensor
    projection: Tensor | None = None


class Softmax(nn.Module, ABC):
    """A distribution over the vocabulary for each vector of the top layer; both directions share its weights.

    The program, not the config, passes `input_size` (P) and `num_types` (words of the vocabulary, markers
    included).

    Attributes:
        loss_name: metric name of the training loss; a sampled loss has another, as its exp is not a
            perplexity.
        notice: how a preset was fitted to the vocabulary, for the user; None if it was not.
        has_sparse_gradient: whether its gradients are sparse, which not every optimizer accepts.
        is_static: whether the plans of batches of one size have the same shapes, as a CUDA graph wants. It
            can be set where `can_be_static` says so.
    """

    loss_name: str = "train/loss"
    notice: str | None = None
    has_sparse_gradient: bool = False
    can_be_static: bool = False
    is_static: bool = False

    @abstractmethod
    def plan(
        self, targets_DN: np.ndarray, rng: np.random.Generator, *, all_targets_DM: np.ndarray | None = None
    ) -> Plan:
        """What `forward` needs of a batch's targets, made before the batch is on the device.

        Args:
            targets_DN: the ids of the words to predict.
            rng: for what is drawn.
            all_targets_DM: those of all processes that share a batch; None: there are no others. With the
                same ones and an equal `rng`, every process has the same rows in its gradients.

        Returns:
            Tensors on the CPU, to be moved to the device of the vectors.
        """

    @abstractmethod
    def forward(self, vectors_DNP: Tensor, plan: Plan) -> Tensor:
        """The mean training loss of all tokens of both directions, in nats: a scalar.

        It reads no value of a tensor, and all shapes are known before, so that nothing waits for the device.

        Args:
            vectors_DNP: of the top layer.
            plan: of their targets, on the same device.
        """

    @abstractmethod
    def log_probabilities(self, vectors_DNP: Tensor, targets_DN: Tensor) -> Tensor:
        """(D, N) natural logarithms of the targets' probabilities under the exact, full distribution."""

    def activations(self, num_tokens: int) -> int:
        """An estimate of the number of values that training holds for a batch, all gradients left out.

        Those of the parameters are held twice while they are multiplied by the gradient of the loss.

        Args:
            num_tokens: of the batch in each direction.
        """
        return sum(parameter.numel() for parameter in self.parameters())

    def rows(self) -> list[Rows]:
        """Its rows, those of the most frequent words first; [] if another softmax cannot take them over."""
        return []

    @torch.no_grad()
    def take_rows(self, other: Softmax, own_ids_W: Tensor, other_ids_W: Tensor) -> int:
        """Take over the rows of words that another softmax has too; returns the number of these words.

        A word's row there stands for a vector of size P, whose product with the input is the word's score.
        A cluster here gets the projection of the same cluster there, or, where there is none, the one onto
        the principal components of its words' vectors, and the rows whose scores are nearest to theirs.

        Args:
            other: with vectors of the same size P.
            own_ids_W, other_ids_W: ids of the same words here and there, without repetition.
        """
        theirs = other.rows()
        num_taken = 0
        for index, own in enumerate(self.rows() if theirs else []):
            here_W = (own_ids_W >= own.start) & (own_ids_W < own.stop)
            vectors_WP, biases_W = _vectors(theirs, other_ids_W[here_W])
            same = theirs[index] if index < len(theirs) else None
            if own.projection is not None:
                _take_projection(own.projection, same, vectors_WP)
                vectors_WP = torch.linalg.lstsq(own.projection.T, vectors_WP.T).solution.T
            rows_W = own_ids_W[here_W] - own.start
            own.weight[rows_W], own.bias[rows_W] = vectors_WP, biases_W
            if same is not None:
                _take_classes(own, same)
            num_taken += len(rows_W)
        return num_taken


def _vectors(rows: Sequence[Rows], ids_W: Tensor) -> tuple[Tensor, Tensor]:
    """The (W, P) vectors and the (W,) biases of words."""
    vectors_WP = rows[0].weight.new_empty(len(ids_W), rows[0].weight.shape[1])
    biases_W = rows[0].bias.new_empty(len(ids_W))
    for part in rows:
        here_W = (ids_W >= part.start) & (ids_W < part.stop)
        found = part.weight[ids_W[here_W] - part.start]
        vectors_WP[here_W] = found if part.projection is None else found @ part.projection
        biases_W[here_W] = part.bias[ids_W[here_W] - part.start]
    return vectors_WP, biases_W


def _take_projection(own: Tensor, same: Rows | None, vectors_WP: Tensor) -> None:
    if same is not None and same.projection is not None and same.projection.shape == own.shape:
        own.copy_(same.projection)
    else:
        own.copy_(torch.linalg.eigh(vectors_WP.T @ vectors_WP).eigenvectors.T[-len(own) :])


def _take_classes(own: Rows, other: Rows) -> None:
    """Copy the rows of the classes that both have: the first clusters."""
    places = [slice(rows.stop - rows.start, None) for rows in (own, other)]
    for ours, theirs in ((own.weight, other.weight), (own.bias, other.bias)):
        ours, theirs = ours[places[0]], theirs[places[1]]
        ours[: len(theirs)] = theirs[: len(ours)]
