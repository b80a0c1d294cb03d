"""Linear classifiers of the words' stored vectors: softmax regression, several side by side.

Shape legend: N words, B of a batch, L layers, P size of a vector, F features of a classifier (P, or L P for
all layers beside each other), K classifiers side by side, C classes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.supervised.standardization import MOST_WORDS, Moments

NO_CLASS = -1  # of a word whose class the training text does not have: no classifier can be right
_WORDS_AT_ONCE = 4096
_LEAST_VARIANCE = 1e-3  # of a direction that decorrelation still widens; the mean over all of them is 1


class Words(NamedTuple):
    """Words with their classes.

    Attributes:
        vectors_NLP: as they are stored, perhaps memory-mapped.
        classes_KN: int64, the class of each word for each classifier, or `NO_CLASS`.
    """

    vectors_NLP: np.ndarray
    classes_KN: Tensor

    def blocks(self) -> Iterator[slice]:
        """The words in pieces of bounded size."""
        N = len(self.vectors_NLP)
        return (slice(start, start + _WORDS_AT_ONCE) for start in range(0, N, _WORDS_AT_ONCE))


class Standardization:
    """Reads words' vectors standardised: each dimension of a layer has mean 0 and deviation 1 in training.

    Args:
        train_NLP: the vectors of the training words, of which `MOST_WORDS` are looked at.
        device: of the standardised vectors.

    Attributes:
        covariance: (L P, L P) of the standardised values of all layers.
    """

    def __init__(self, train_NLP: np.ndarray, *, device: torch.device) -> None:
        self._device = device
        sample = train_NLP[:: max(1, -(-len(train_NLP) // MOST_WORDS))]
        moments = Moments()
        for start in range(0, len(sample), _WORDS_AT_ONCE):
            moments.add(sample[start : start + _WORDS_AT_ONCE])
        self._mean_LP = torch.from_numpy(moments.mean_LP).float().to(device)
        self._scale_LP = torch.from_numpy(1 / moments.deviation_LP()).float().to(device)
        total = torch.zeros(self._mean_LP.numel(), self._mean_LP.numel(), device=device)
        for start in range(0, len(sample), _WORDS_AT_ONCE):
            block = self(sample[start : start + _WORDS_AT_ONCE]).flatten(1)
            total += block.T @ block
        self.covariance = total / len(sample)

    def __call__(self, vectors_NLP: np.ndarray) -> Tensor:
        """(N, L, P) float32."""
        given = torch.from_numpy(np.array(vectors_NLP)).to(self._device)  # a copy, which torch may write to
        return (given.float() - self._mean_LP) * self._scale_LP


class Classifiers(nn.Module, ABC):
    """K linear classifiers of one view of the layers.

    The weights are those of decorrelated features, which are a linear map of the features: the classifiers
    are as strong, and some thousand steps find what takes many times as long on correlated ones. The penalty
    is of these weights.

    Args:
        covariance_FF: of the features.
        num_classifiers: K.
        num_classes: C.
    """

    decorrelation_FF: Tensor

    def __init__(self, covariance_FF: Tensor, *, num_classifiers: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("decorrelation_FF", _decorrelation(covariance_FF))
        zeros = covariance_FF.new_zeros
        self.weights_KFC = nn.Parameter(zeros(num_classifiers, len(covariance_FF), num_classes))
        self.biases_KC = nn.Parameter(zeros(num_classifiers, num_classes))

    def forward(self, vectors_BLP: Tensor) -> Tensor:
        """(K, B, C) logits of standardised vectors."""
        weights_KFC = self.decorrelation_FF @ self.weights_KFC
        return self.features(vectors_BLP) @ weights_KFC + self.biases_KC[:, None]

    @abstractmethod
    def features(self, vectors_BLP: Tensor) -> Tensor:
        """(B, F), or (K, B, F) where the classifiers have features of their own."""

    def penalties(self) -> Tensor:
        """(K,) half the squared norm of each classifier's weights."""
        return self.weights_KFC.square().sum(dim=(1, 2)) / 2

    def facts(self, classifier: int) -> dict[str, Any]:
        """What a classifier has learned besides its weights, in plain values."""
        return {}


class LayerClassifiers(Classifiers):
    """Of one layer alone."""

    def __init__(self, layer: int, covariance: Tensor, *, num_layers: int, **sizes: int) -> None:
        size = len(covariance) // num_layers
        own = slice(layer * size, (layer + 1) * size)
        super().__init__(covariance[own, own], **sizes)
        self.layer = layer

    def features(self, vectors_BLP: Tensor) -> Tensor:
        return vectors_BLP[:, self.layer]


class AllClassifiers(Classifiers):
    """Of all layers beside each other."""

    def features(self, vectors_BLP: Tensor) -> Tensor:
        return vectors_BLP.flatten(1)


class MixClassifiers(Classifiers):
    """Of the weighted mean of all layers whose weights each classifier learns (Peters et al. 2018, section
    3.2); gamma is part of the classifier's own weights."""

    def __init__(self, covariance: Tensor, *, num_layers: int, **sizes: int) -> None:
        size = len(covariance) // num_layers
        blocks = covariance.view(num_layers, size, num_layers, size)
        super().__init__(blocks.mean(dim=(0, 2)), **sizes)
        self.scalars_KL = nn.Parameter(covariance.new_zeros(sizes["num_classifiers"], num_layers))

    def features(self, vectors_BLP: Tensor) -> Tensor:
        weights_KL = torch.softmax(self.scalars_KL, dim=1)
        return torch.einsum("kl,blp->kbp", weights_KL, vectors_BLP)

    def facts(self, classifier: int) -> dict[str, Any]:
        return {"layer weights": torch.softmax(self.scalars_KL[classifier], dim=0).tolist()}


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How classifiers are trained: Adam on batches of words, with a learning rate that falls to 0.

    Attributes:
        num_steps: of a batch each.
        num_evaluations: on dev, evenly over the steps; each classifier keeps its best weights.
        batch_size: words.
        learning_rate: of the first step.
    """

    num_steps: int
    num_evaluations: int
    batch_size: int
    learning_rate: float


def fit(
    classifiers: Mapping[str, Classifiers],
    train: Words,
    dev: Words,
    *,
    strengths: Mapping[str, Sequence[float]],
    fitting: Fitting,
    standardized: Standardization,
    seed: int,
    report: Callable[[float], None],
) -> dict[str, Tensor]:
    """Train classifiers of several views on the same batches; each then has its weights that are best on dev.

    Args:
        classifiers: by the view's name, new.
        train, dev: with the classes of each of the K classifiers of a view.
        strengths: of the L2 penalty of each of the K classifiers, by the view's name.
        fitting: the number of steps, and so on.
        standardized: reads vectors.
        seed: of the batches.
        report: called with the fraction done.

    Returns:
        (K,) accuracies on dev in percent, by the view's name.
    """
    parameters = [each for view in classifiers.values() for each in view.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=fitting.learning_rate)
    best = {name: torch.full((len(strengths[name]),), -1.0) for name in classifiers}
    kept = {
        name: {key: value.detach().clone() for key, value in view.named_parameters()}
        for name, view in classifiers.items()
    }
    every = max(1, fitting.num_steps // fitting.num_evaluations)
    batches = _batches(len(train.vectors_NLP), fitting, seed=seed)
    for step, rows in enumerate(batches, start=1):
        for group in optimizer.param_groups:
            group["lr"] = fitting.learning_rate * (1 - (step - 1) / fitting.num_steps)
        vectors_BLP = standardized(train.vectors_NLP[rows])
        classes_KB = train.classes_KN[:, rows].to(vectors_BLP.device)
        optimizer.zero_grad()
        for name, view in classifiers.items():
            _loss(view, vectors_BLP, classes_KB, strengths[name]).backward()
        optimizer.step()
        if step % every == 0 or step == fitting.num_steps:
            scores = accuracies(classifiers, dev, standardized)
            for name, view in classifiers.items():
                _keep_better(view, scores[name], best[name], kept[name])
        report(step / fitting.num_steps)
    for name, view in classifiers.items():
        view.load_state_dict(kept[name], strict=False)
    return best


def predict(
    classifiers: Mapping[str, Classifiers], words: Words, standardized: Standardization
) -> dict[str, Tensor]:
    """(K, N) bool, by the view's name: whether each classifier finds the class of each word."""
    found: dict[str, list[Tensor]] = {name: [] for name in classifiers}
    with torch.no_grad():
        for rows in words.blocks():
            vectors_BLP = standardized(words.vectors_NLP[rows])
            for name, view in classifiers.items():
                found[name].append(view(vectors_BLP).argmax(dim=-1).cpu() == words.classes_KN[:, rows])
    return {name: torch.cat(parts, dim=1) for name, parts in found.items()}


def accuracies(
    classifiers: Mapping[str, Classifiers], words: Words, standardized: Standardization
) -> dict[str, Tensor]:
    """(K,) accuracies in percent, by the view's name."""
    found = predict(classifiers, words, standardized)
    return {name: 100 * right_KN.float().mean(dim=1) for name, right_KN in found.items()}


def _loss(view: Classifiers, vectors_BLP: Tensor, classes_KB: Tensor, strengths: Sequence[float]) -> Tensor:
    """The sum of the classifiers' losses; they share no parameter, so that each one's gradient is its own."""
    logits_KBC = view(vectors_BLP)
    entropy = F.cross_entropy(logits_KBC.flatten(0, 1), classes_KB.flatten()) * len(strengths)
    return entropy + logits_KBC.new_tensor(strengths) @ view.penalties()


def _keep_better(view: Classifiers, scores_K: Tensor, best_K: Tensor, kept: dict[str, Tensor]) -> None:
    """Copy the weights of the classifiers that are better on dev than they ever were."""
    better_K = scores_K > best_K
    best_K[better_K] = scores_K[better_K]
    for name, value in view.named_parameters():
        kept[name][better_K] = value.detach()[better_K]


def _batches(N: int, fitting: Fitting, *, seed: int) -> Iterator[np.ndarray]:
    """The rows of each batch: pieces of random orders of all words, one after another."""
    generator = np.random.default_rng(seed)
    per_order = math.ceil(N / fitting.batch_size)
    for step in range(fitting.num_steps):
        if step % per_order == 0:
            order = generator.permutation(N)
        start = step % per_order * fitting.batch_size
        yield np.sort(order[start : start + fitting.batch_size])  # in order: neighbours lie on one page


def _decorrelation(covariance_FF: Tensor) -> Tensor:
    """(F, F) the inverse square root of a covariance, which has 1 as its mean eigenvalue."""
    values, vectors = torch.linalg.eigh(covariance_FF.double())
    wide = values.clamp(min=_LEAST_VARIANCE * float(values.mean())).rsqrt()
    return ((vectors * wide) @ vectors.T).to(covariance_FF.dtype)
