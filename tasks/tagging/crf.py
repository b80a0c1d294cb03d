"""A linear-chain conditional random field over the labels of a sentence (Lafferty et al. 2001).

Shape legend: B sentences, T words of the longest one, V labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_NEVER = (
    -1e30
)  # the score of a forbidden transition where infinities would make gradients that are no numbers
_WIDEST = 200.0  # nats between a word's scores up to which three steps stay within the exponents of float64


class Transitions(NamedTuple):
    """What belongs to each transition between neighbouring labels, such as its score.

    Attributes:
        start: (V,), of a sentence's first label.
        between: (V, V), of a label in the row followed by one in the column.
        end: (V,), of a sentence's last label.
    """

    start: Tensor
    between: Tensor
    end: Tensor


class LinearChainCrf(nn.Module):
    """Scores whole sequences of labels: the sum of their words' scores and of their transitions' scores.

    Sequences with a forbidden transition have the probability 0 and are never chosen.

    Args:
        allowed: bool, whether each transition is; every label has one to it and one from it.
        trained: whether each allowed transition has a score that is learned (Lample et al. 2016, equation 1).
            Otherwise it is 0: sequences differ by their words' scores alone (He et al. 2017, section 2.2).
    """

    def __init__(self, *, allowed: Transitions, trained: bool) -> None:
        super().__init__()
        for name, values in allowed._asdict().items():
            scores = torch.empty(values.shape).uniform_(-0.1, 0.1) if trained else torch.zeros(values.shape)
            self.register_parameter(name, nn.Parameter(scores, requires_grad=trained))
            self.register_buffer(f"{name}_allowed", values)

    def transitions(self, dtype: torch.dtype = torch.float32) -> Transitions:
        """The scores of all transitions; -inf for those that are forbidden."""
        pairs = ((getattr(self, name), getattr(self, f"{name}_allowed")) for name in Transitions._fields)
        return Transitions(*(scores.to(dtype).masked_fill(~allowed, -torch.inf) for scores, allowed in pairs))

    def log_likelihood(self, scores_BTV: Tensor, labels_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B,) float32, the log-probability of each sentence's labels in nats.

        Args:
            scores_BTV: the words' scores for each label.
            labels_BT: allowed sequences of labels; ignored where the mask is false.
            mask_BT: bool, true for words, which come before the padding; every sentence has at least one.
        """
        # The two terms grow with the sentence, their difference need not: float32 would lose its digits.
        dtype = torch.float32 if scores_BTV.device.type == "mps" else torch.float64
        scores_BTV, transitions = scores_BTV.to(dtype), self.transitions(dtype)
        gold_B = _path_score(scores_BTV, labels_BT.masked_fill(~mask_BT, 0), mask_BT, transitions)
        return (gold_B - log_partition(scores_BTV, mask_BT, transitions)).float()

    def best_paths(self, scores_BTV: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) the most probable allowed labels of each sentence; 0 in the padding."""
        return viterbi(scores_BTV.float(), mask_BT, self.transitions())


def log_partition(scores_BTV: Tensor, mask_BT: Tensor, transitions: Transitions) -> Tensor:
    """(B,) the logarithm of the sum over all sequences of labels, by the forward algorithm.

    Args:
        scores_BTV: the words' scores for each label, in float64 where the device has it, as every CPU.
        mask_BT: bool, true for words, which come before the padding; every sentence has at least one.
        transitions: their scores, -inf if forbidden.
    """
    # An accelerator would have to wait for the spread to be read.
    if scores_BTV.device.type == "cpu" and float(_spread(scores_BTV, transitions)) < _WIDEST:
        return _LogPartition.apply(scores_BTV, mask_BT, *transitions)  # type: ignore[no-any-return]
    return _log_partition_of_any_scores(scores_BTV, mask_BT, transitions)


@torch.no_grad()
def viterbi(scores_BTV: Tensor, mask_BT: Tensor, transitions: Transitions) -> Tensor:
    """(B, T) the labels with the highest score of each sentence; 0 in the padding. Arguments as above."""
    best_BV = scores_BTV[:, 0] + transitions.start
    stay_V = torch.arange(best_BV.shape[1], device=best_BV.device)
    from_columns_VV = transitions.between.T.contiguous()  # the maximum over the last dimension is faster
    previous = []
    for scores_BV, mask_B in zip(scores_BTV.unbind(1)[1:], mask_BT.unbind(1)[1:], strict=True):
        reached_BV, previous_BV = (best_BV[:, None] + from_columns_VV).max(dim=2)
        best_BV = torch.where(mask_B[:, None], reached_BV + scores_BV, best_BV)
        previous.append(torch.where(mask_B[:, None], previous_BV, stay_V))
    label_B1 = (best_BV + transitions.end).argmax(dim=1, keepdim=True)
    path = [label_B1]
    for previous_BV in reversed(previous):
        path.append(previous_BV.gather(1, path[-1]))
    return torch.cat(path[::-1], dim=1).masked_fill(~mask_BT, 0)


def _path_score(scores_BTV: Tensor, labels_BT: Tensor, mask_BT: Tensor, transitions: Transitions) -> Tensor:
    """(B,) the score of one sequence of labels for each sentence."""
    words_BT = scores_BTV.gather(2, labels_BT[..., None])[..., 0]
    steps_BT = transitions.between[labels_BT[:, :-1], labels_BT[:, 1:]]
    last_B1 = labels_BT.gather(1, mask_BT.sum(dim=1, keepdim=True) - 1)
    inner_B = words_BT.masked_fill(~mask_BT, 0).sum(dim=1) + steps_BT.masked_fill(~mask_BT[:, 1:], 0).sum(
        dim=1
    )
    return transitions.start[labels_BT[:, 0]] + inner_B + transitions.end[last_B1[:, 0]]


@torch.no_grad()
def _spread(scores_BTV: Tensor, transitions: Transitions) -> Tensor:
    """The largest difference between the scores of a word's labels, and between those of transitions."""
    lowest_BT, highest_BT = scores_BTV.aminmax(dim=2)
    allowed = torch.cat([values[values.isfinite()] for values in transitions])
    return (highest_BT - lowest_BT).max() + allowed.max() - allowed.min()


def _log_partition_of_any_scores(scores_BTV: Tensor, mask_BT: Tensor, transitions: Transitions) -> Tensor:
    """`log_partition` in logarithms throughout: for differences between scores that no exponent can hold."""
    start_V, between_VV, end_V = (values.clamp_min(_NEVER) for values in transitions)
    total_BV = start_V + scores_BTV[:, 0]
    for scores_BV, mask_B in zip(scores_BTV.unbind(1)[1:], mask_BT.unbind(1)[1:], strict=True):
        reached_BV = (total_BV[..., None] + between_VV).logsumexp(dim=1) + scores_BV
        total_BV = torch.where(mask_B[:, None], reached_BV, total_BV)
    return (total_BV + end_V).logsumexp(dim=1)


class _LogPartition(torch.autograd.Function):
    """The forward algorithm in probabilities that are scaled to a sum of 1 at every word (Rabiner 1989,
    section V.A), and its gradient, the marginal probabilities, by the backward algorithm.

    A step is then a product of matrices instead of B * V * V exponentials and logarithms. Where a word's
    scores differ by more than exponents hold, it is not exact.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, scores_BTV: Tensor, mask_BT: Tensor, start_V: Tensor, between_VV: Tensor, end_V: Tensor
    ) -> Tensor:
        top_BT = scores_BTV.amax(dim=2)
        tops = [values.max() for values in (start_V, between_VV, end_V)]
        first_V, step_VV, last_V = (
            (values - top).exp() for values, top in zip((start_V, between_VV, end_V), tops, strict=True)
        )
        words_TBV = (scores_BTV - top_BT[..., None]).exp_().transpose(0, 1).contiguous()
        forward_TBV, scales_TB1 = torch.empty_like(words_TBV), torch.empty_like(words_TBV[..., :1])
        reached_BV = first_V.expand_as(words_TBV[0])
        for t, words_BV in enumerate(words_TBV.unbind(0)):
            joint_BV = reached_BV * words_BV
            scale_B1 = torch.sum(joint_BV, dim=1, keepdim=True, out=scales_TB1[t])
            reached_BV = torch.div(joint_BV, scale_B1, out=forward_TBV[t]) @ step_VV
        length_B = mask_BT.sum(dim=1)
        is_last_TB = (mask_BT & (mask_BT.cumsum(dim=1) == length_B[:, None])).T
        end_B = (forward_TBV * is_last_TB[..., None]).sum(dim=0) @ last_V
        words_BT = (scales_TB1[..., 0].T.log() + top_BT).masked_fill(~mask_BT, 0)
        ctx.save_for_backward(
            words_TBV, scales_TB1, forward_TBV, step_VV, is_last_TB[..., None] * (last_V / end_B[:, None])
        )
        return words_BT.sum(dim=1) + end_B.log() + tops[0] + (length_B - 1) * tops[1] + tops[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_B: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        words_TBV, scales_TB1, forward_TBV, step_VV, ends_TBV = ctx.saved_tensors
        scaled_TBV = words_TBV / scales_TB1
        after_TBV = torch.empty_like(words_TBV)  # of all that comes after each word, given its label
        backward_VV, after_BV = step_VV.T.contiguous(), ends_TBV[-1]
        after_TBV[-1] = after_BV
        for t in range(len(words_TBV) - 1, 0, -1):
            torch.addmm(ends_TBV[t - 1], scaled_TBV[t] * after_TBV[t], backward_VV, out=after_TBV[t - 1])
        marginals_TBV = forward_TBV * after_TBV * gradient_B[:, None]
        entered_TBV = scaled_TBV[1:] * after_TBV[1:] * gradient_B[:, None]
        steps_VV = step_VV * (forward_TBV[:-1].flatten(0, 1).T @ entered_TBV.flatten(0, 1))
        ends_V = (forward_TBV * ends_TBV * gradient_B[:, None]).sum(dim=(0, 1))
        return marginals_TBV.transpose(0, 1), None, marginals_TBV[0].sum(dim=0), steps_VV, ends_V
