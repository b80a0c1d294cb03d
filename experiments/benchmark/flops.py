"""The floating-point operations that a training step of a biLM needs, counted from the sizes of its batch.

Matrix products alone are counted, a multiplication and its addition as 2; the gradient of a product is two
products of its size. Where a kernel looks up the convolutions in tables, the products that make the tables
are counted, and the sums over a window's rows are not. Elsewhere the forward pass of the convolutions is
counted at every valid position of the cropped words, the backward pass at the position of each filter's
maximum, the only one that has a gradient. What is computed beyond that, such as on padding, is no useful work
and is not counted.
"""

from __future__ import annotations

from elmo.bilm.bilm import WordLayer
from elmo.bilm.char_cnn import CharCnn
from elmo.bilm.kernels.library import use_kernels
from elmo.bilm.softmaxes.adaptive import AdaptiveSoftmax
from elmo.bilm.softmaxes.sampled import SampledSoftmax
from elmo.bilm.softmaxes.softmax import Softmax
from tasks.language_model.model import Batch, LanguageModel

FORWARD_AND_BACKWARD = 3  # products for each one of the forward pass


def step_flops(model: LanguageModel, batch: Batch) -> dict[str, int]:
    """The FLOPs of forward and backward pass of one batch, by part of the model."""
    context = model.encoder.context.flops_per_word() * batch.num_tokens
    return {
        "words": _of_words(model.encoder.words, tuple(batch.types_U.shape)),
        "context": FORWARD_AND_BACKWARD * context,
        "softmax": FORWARD_AND_BACKWARD * _of_softmax(model.softmax, batch),
    }


def _of_words(words: WordLayer, shape: tuple[int, ...]) -> int:
    """Of the word layer on distinct types: (types, characters) of a character CNN, both passes."""
    if not isinstance(words, CharCnn):
        return FORWARD_AND_BACKWARD * shape[0] * words.flops_per_word()
    num_types, num_characters = shape
    size = words.embedding.shape[1]
    linears = [*words.highways.parameters(), *([] if words.projection is None else [words.projection.weight])]
    values = FORWARD_AND_BACKWARD * sum(weight.numel() for weight in linears if weight.dim() == 2)
    products = 2 * num_types * values
    for width, number in words.filters:
        if use_kernels(words.embedding):
            products += 2 * FORWARD_AND_BACKWARD * len(words.embedding) * size * width * number
        else:
            products += 2 * num_types * (num_characters - width + 1 + 2) * width * size * number
    return products


def _of_softmax(softmax: Softmax, batch: Batch) -> int:
    """The forward pass."""
    num_tokens = batch.targets_DN.numel()
    if isinstance(softmax, SampledSoftmax):
        return 2 * num_tokens * softmax.num_samples * softmax.weight.shape[1]
    if not isinstance(softmax, AdaptiveSoftmax):
        return 2 * num_tokens * sum(weight.numel() for weight in softmax.parameters() if weight.dim() == 2)
    values = num_tokens * softmax.head_weight.numel()
    for index, (weight, projection) in enumerate(zip(softmax.weights, softmax.projections, strict=True)):
        values += batch.plan[f"tokens_{index}"].numel() * (weight.numel() + projection.numel())
    return 2 * values
