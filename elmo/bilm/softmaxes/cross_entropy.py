"""The cross-entropy of a linear layer over many classes, a block of the scores at a time.

The scores of all tokens (N x V) fit neither into a processor's cache nor, with a large vocabulary, into
memory. Every softmax uses these functions.

Shape legend: N tokens, P vector size, V classes, K tokens of a piece, C classes of a block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elmo.bilm.kernels.library import softmax_in_place, use_kernels
from elmo.bilm.products import linear, padded

# Scores of a block. On a CPU (4 MiB in single precision) they stay in its cache from the product to the last
# pass over them, and the memory of one block is that of the next.
BLOCK_VALUES = 2**20
BLOCK_VALUES_OF_DEVICES = 2**25
FEWEST_TOKENS = 256  # of a piece: for fewer, reading the weights takes longer than multiplying
MOST_TOKENS = 2048  # of a piece that has several blocks
MOST_BLOCKS = 8  # whose values may be one block, so that a piece with the fewest tokens has all classes


def summed_loss(vectors_NP: Tensor, weight_VP: Tensor, bias_V: Tensor, targets_N: Tensor) -> Tensor:
    """The sum of -log softmax(weight x + bias)[target] over all tokens, in nats."""
    dtype = product_dtype(weight_VP)
    return _SummedLoss.apply(vectors_NP.to(weight_VP.dtype), weight_VP, bias_V, targets_N, dtype)


@torch.no_grad()
def log_probabilities(vectors_NP: Tensor, weight_VP: Tensor, bias_V: Tensor, targets_N: Tensor) -> Tensor:
    """(N,) log softmax(weight x + bias)[target], without gradient.

    The weights are read once for every `MOST_TOKENS` tokens.
    """
    dtype = product_dtype(weight_VP)
    logs_N = bias_V.new_empty(len(targets_N))
    for tokens in spans(len(targets_N), MOST_TOKENS):
        normalizer_K, chosen_K = _scan(vectors_NP[tokens].to(dtype), weight_VP, bias_V, targets_N[tokens])
        torch.sub(chosen_K, normalizer_K, out=logs_N[tokens])
    return logs_N


def product_dtype(weight: Tensor) -> torch.dtype:
    """The dtype of the products with a weight: that of an autocast which is switched on, or its own."""
    device = weight.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):  # autocast knows no meta device
        return weight.dtype
    return torch.get_autocast_dtype(device)


def spans(total: int, size: int) -> list[slice]:
    """Consecutive pieces of `size`; the last one may be smaller."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def block_values(device: torch.device) -> int:
    """Scores that are held at once."""
    return BLOCK_VALUES if device.type == "cpu" else BLOCK_VALUES_OF_DEVICES


def scores_of(inputs_KP: Tensor, weight_CP: Tensor, bias_C: Tensor) -> Tensor:
    """(K, C) weight x + bias in the bias's dtype, the product in that of the inputs."""
    rows = _rows(inputs_KP)
    if inputs_KP.dtype == bias_C.dtype:
        return linear(rows, weight_CP, bias_C)[: len(inputs_KP)]
    return linear(rows, weight_CP.to(inputs_KP.dtype), None)[: len(inputs_KP)] + bias_C


def to_softmax(scores_KC: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax of scores, on a CPU in their memory, and (K,) the logarithms of the normalizers."""
    if use_kernels(scores_KC) and scores_KC.is_contiguous():
        return scores_KC, softmax_in_place(scores_KC)
    highest_K = scores_KC.amax(1)
    # torch.softmax, not exp(): on the CPU, exp() is many times slower for values that underflow
    softmax_KC = torch.softmax(scores_KC, 1, out=scores_KC if scores_KC.device.type == "cpu" else None)
    # the best class has probability p = exp(highest - normalizer), so that normalizer = highest - log p
    return softmax_KC, highest_K - softmax_KC.amax(1).log()


def add_products(
    d_inputs_KP: Tensor,
    d_weight_CP: Tensor,
    errors_KC: Tensor,
    inputs_KP: Tensor,
    weight_CP: Tensor,
    *,
    is_first_block: bool,
    is_first_piece: bool,
) -> None:
    """Add the errors of a block of scores to the gradients of inputs and weight, in place.

    The products are in the dtype of the inputs. The first one for a gradient replaces what is in it, which
    needs no zeros before.
    """
    errors, inputs = errors_KC.to(inputs_KP.dtype), inputs_KP
    if inputs.dtype != d_weight_CP.dtype:
        errors, inputs = _rows(errors), _rows(inputs)
    _add_product(d_inputs_KP, errors, weight_CP, is_first=is_first_block)
    _add_product(d_weight_CP, errors.T, inputs, is_first=is_first_piece)


class _SummedLoss(torch.autograd.Function):
    """The summed cross-entropy; the forward pass computes the gradients as well.

    Computing the gradient in the same loop saves the backward pass from computing every score again; it only
    has to multiply the saved gradients by the gradient of the sum. Where the classes do not fit into a block,
    a first scan computes the normalizers, and the scores are computed a second time.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, vectors: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> Tensor:
        cast = weight.to(dtype)
        loss = bias.new_zeros(())
        d_vectors, d_weight = torch.empty_like(vectors), torch.empty_like(weight)
        d_bias = torch.zeros_like(bias)
        pieces, num_classes = _pieces(len(targets), weight)
        blocks = spans(len(weight), num_classes)
        for tokens in pieces:
            inputs, target_K = vectors[tokens].to(dtype), targets[tokens]
            if len(blocks) > 1:
                normalizer_K, chosen_K = _scan(inputs, cast, bias, target_K)
                loss += (normalizer_K - chosen_K).sum()
            for classes in blocks:
                place_K1, is_here_K1 = _places(target_K, classes)
                scores_KC = scores_of(inputs, cast[classes], bias[classes])
                chosen_K = scores_KC.gather(1, place_K1)[:, 0]
                errors_KC, own_K = to_softmax(scores_KC)
                if len(blocks) > 1:
                    errors_KC.mul_((own_K - normalizer_K).exp_()[:, None])
                else:
                    loss += (own_K - chosen_K).sum()
                # the gradient of the loss by the scores: softmax minus 1 at the target
                errors_KC.scatter_add_(1, place_K1, -is_here_K1.to(errors_KC.dtype))
                d_bias[classes] += errors_KC.sum(0)
                add_products(
                    d_vectors[tokens],
                    d_weight[classes],
                    errors_KC,
                    inputs,
                    cast[classes],
                    is_first_block=classes.start == 0,
                    is_first_piece=tokens.start == 0,
                )
        if not pieces:
            d_weight.zero_()
        ctx.save_for_backward(d_vectors, d_weight, d_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        d_vectors, d_weight, d_bias = (saved * gradients[0] for saved in ctx.saved_tensors)
        return d_vectors, d_weight, d_bias, None, None


def _add_product(total: Tensor, a: Tensor, b: Tensor, *, is_first: bool) -> None:
    """total += a b, in place, without rows that `a` has beyond those of `total`; the first product replaces
    what is in `total`."""
    if a.dtype == total.dtype:
        torch.addmm(total, a, b, beta=0 if is_first else 1, out=total)
    elif is_first:
        total.copy_((a @ b)[: len(total)])
    else:
        total.add_((a @ b)[: len(total)])


def _pieces(num_tokens: int, weight_VP: Tensor) -> tuple[list[slice], int]:
    """Pieces of the tokens, and the number of classes of a block: all of them, if they are not too many."""
    num_values, num_classes = block_values(weight_VP.device), len(weight_VP)
    if FEWEST_TOKENS * num_classes <= MOST_BLOCKS * num_values:
        return spans(num_tokens, max(FEWEST_TOKENS, num_values // num_classes)), num_classes
    return spans(num_tokens, MOST_TOKENS), num_values // min(max(1, num_tokens), MOST_TOKENS)


def _scan(inputs_KP: Tensor, weight_VP: Tensor, bias_V: Tensor, targets_K: Tensor) -> tuple[Tensor, Tensor]:
    """(K,) the logarithms of the normalizers, and the scores of the targets."""
    normalizer_K, chosen_K = bias_V.new_full((len(inputs_KP),), -torch.inf), bias_V.new_zeros(len(inputs_KP))
    num_classes = block_values(weight_VP.device) // max(1, len(inputs_KP))
    for classes in spans(len(weight_VP), num_classes):
        place_K1, is_here_K1 = _places(targets_K, classes)
        scores_KC = scores_of(inputs_KP, weight_VP[classes], bias_V[classes])
        chosen_K += (scores_KC.gather(1, place_K1) * is_here_K1)[:, 0]
        normalizer_K = torch.logaddexp(normalizer_K, to_softmax(scores_KC)[1])
    return normalizer_K, chosen_K


def _rows(rows: Tensor) -> Tensor:
    """The rows of a product; padded on a CPU, where oneDNN keeps a kernel for each number of rows."""
    return padded(rows) if rows.device.type == "cpu" else rows


def _places(targets_K: Tensor, classes: slice) -> tuple[Tensor, Tensor]:
    """(K, 1) each target's place among the classes of a block, or any place, and whether it is there."""
    place_K1 = targets_K[:, None] - classes.start
    within_K1 = place_K1.clamp(0, classes.stop - classes.start - 1)
    return within_K1, within_K1 == place_K1
