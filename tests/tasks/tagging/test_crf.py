"""The linear-chain CRF beside a sum and a maximum over all sequences of labels.

Shape legend: B sentences, T words of the longest one, V labels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from unittest import mock

import pytest
import torch
from torch import Tensor

from tasks.tagging.crf import LinearChainCrf, Transitions, log_partition, viterbi

B, T, V = 4, 5, 3
LENGTHS = (5, 1, 3, 2)


def everything_allowed(num_labels: int = V) -> Transitions:
    shapes = [(num_labels,), (num_labels, num_labels), (num_labels,)]
    return Transitions(*(torch.ones(shape, dtype=torch.bool) for shape in shapes))


def of_bio() -> Transitions:
    """Of the labels O, B-x, I-x."""
    allowed = everything_allowed()
    allowed.start[2] = allowed.between[0, 2] = False
    return allowed


def of_bioul() -> Transitions:
    """Of the labels O, B-x, I-x, L-x: no label but L-x ends a span of several words."""
    before, after = [True, True, False, False], [True, False, False, True]
    inside = [False, False, True, True]
    between = [before, inside, inside, before]
    return Transitions(*(torch.tensor(values) for values in (before, between, after)))


def crf_and_scores(allowed: Transitions, *, factor: float = 1.0) -> tuple[LinearChainCrf, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    crf = LinearChainCrf(allowed=allowed, trained=True)
    for parameter in crf.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    scores_BTV = factor * torch.randn(B, T, len(allowed.start), generator=generator, dtype=torch.float64)
    mask_BT = torch.arange(T) < torch.tensor(LENGTHS)[:, None]
    return crf, scores_BTV, mask_BT


def paths_of(scores_TV: Tensor, transitions: Transitions) -> dict[tuple[int, ...], float]:
    """The score of every sequence of labels, added up number by number; -inf for a forbidden one."""
    start, between, end = (values.tolist() for values in transitions)
    words = scores_TV.tolist()
    found = {}
    for path in itertools.product(range(len(start)), repeat=len(words)):
        steps = [between[i][j] for i, j in itertools.pairwise(path)]
        found[path] = sum(
            [start[path[0]], end[path[-1]], *steps, *(w[i] for w, i in zip(words, path, strict=True))]
        )
    return found


def brute_log_sum(values: Iterable[float]) -> float:
    values = list(values)
    return max(values) + math.log(sum(math.exp(value - max(values)) for value in values))


@pytest.mark.parametrize("allowed", [everything_allowed(), of_bio(), of_bioul()], ids=["any", "bio", "bioul"])
@pytest.mark.parametrize("factor", [1.0, 20.0, 1000.0])
def test_the_likelihood_and_the_best_path_are_those_of_all_paths(allowed: Transitions, factor: float) -> None:
    crf, scores_BTV, mask_BT = crf_and_scores(allowed, factor=factor)
    transitions = crf.transitions(torch.float64)
    best_BT = crf.best_paths(scores_BTV, mask_BT)
    for row, length in enumerate(LENGTHS):
        paths = paths_of(scores_BTV[row, :length], transitions)
        total = brute_log_sum(paths.values())
        expected = max(paths, key=lambda path: paths[path])
        assert best_BT[row].tolist() == [*expected, *[0] * (T - length)]
        ours = log_partition(scores_BTV[row : row + 1], mask_BT[row : row + 1], transitions)
        assert ours.item() == pytest.approx(total, rel=1e-12)
        likelihood = crf.log_likelihood(scores_BTV, best_BT, mask_BT)[row].item()
        assert likelihood == pytest.approx(paths[expected] - total, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("allowed", [everything_allowed(), of_bio(), of_bioul()], ids=["any", "bio", "bioul"])
def test_the_gradient_is_that_of_the_forward_algorithm_in_logarithms(allowed: Transitions) -> None:
    crf, scores_BTV, mask_BT = crf_and_scores(allowed)
    weights_B = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)

    def gradients(scores_BTV: Tensor) -> list[Tensor]:
        scores_BTV = scores_BTV.clone().requires_grad_()
        total = (log_partition(scores_BTV, mask_BT, crf.transitions(torch.float64)) * weights_B).sum()
        return list(torch.autograd.grad(total, [scores_BTV, *crf.parameters()]))

    ours = gradients(scores_BTV)
    with mock.patch("tasks.tagging.crf._WIDEST", 0.0):
        expected = gradients(scores_BTV)
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert ours[0].isfinite().all()
    assert (ours[0][~mask_BT] == 0).all()
    torch.testing.assert_close(ours[0].sum(dim=2), mask_BT * weights_B[:, None])  # marginals sum to 1


def test_the_gradient_at_the_words_is_the_marginal_probability_of_each_label() -> None:
    crf, scores_BTV, mask_BT = crf_and_scores(of_bio())
    scores_BTV.requires_grad_()
    log_partition(scores_BTV, mask_BT, crf.transitions(torch.float64)).sum().backward()
    for row, length in enumerate(LENGTHS):
        paths = paths_of(scores_BTV[row, :length].detach(), crf.transitions(torch.float64))
        total = brute_log_sum(paths.values())
        expected_TV = torch.zeros(length, V, dtype=torch.float64)
        for path, score in paths.items():
            expected_TV[torch.arange(length), torch.tensor(path)] += math.exp(score - total)
        torch.testing.assert_close(scores_BTV.grad[row, :length], expected_TV)


def test_what_stands_in_the_padding_changes_nothing() -> None:
    crf, scores_BTV, mask_BT = crf_and_scores(of_bioul())
    labels_BT = crf.best_paths(scores_BTV, mask_BT)
    other_BTV = torch.where(mask_BT[..., None], scores_BTV, 50.0 * torch.rand(scores_BTV.shape))
    torch.testing.assert_close(crf.best_paths(other_BTV, mask_BT), labels_BT)
    torch.testing.assert_close(
        crf.log_likelihood(other_BTV, labels_BT + 7 * ~mask_BT, mask_BT),
        crf.log_likelihood(scores_BTV, labels_BT, mask_BT),
    )


def test_without_training_only_the_words_and_the_rules_count() -> None:
    crf = LinearChainCrf(allowed=of_bio(), trained=False)
    assert not any(parameter.requires_grad for parameter in crf.parameters())
    scores_1TV = torch.tensor([[[0.0, 1.0, 5.0], [1.0, 0.0, 3.0], [0.0, 0.0, 9.0]]])
    everywhere_1T = torch.ones(1, 3, dtype=torch.bool)
    assert crf.best_paths(scores_1TV, everywhere_1T).tolist() == [[1, 2, 2]]  # I first is forbidden
    free = LinearChainCrf(allowed=everything_allowed(), trained=False)
    assert free.best_paths(scores_1TV, everywhere_1T).tolist() == [[2, 2, 2]]


def test_under_autocast_the_result_is_that_of_full_precision() -> None:
    crf, scores_BTV, mask_BT = crf_and_scores(of_bio())
    scores_BTV, labels_BT = scores_BTV.bfloat16(), crf.best_paths(scores_BTV, mask_BT)
    expected = crf.log_likelihood(scores_BTV, labels_BT, mask_BT)
    with torch.autocast("cpu", torch.bfloat16):
        actual = crf.log_likelihood(scores_BTV, labels_BT, mask_BT)
        assert torch.equal(crf.best_paths(scores_BTV, mask_BT), labels_BT)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


def test_a_sentence_of_ten_thousand_words_does_not_overflow() -> None:
    num_words, crf = 10_000, LinearChainCrf(allowed=of_bio(), trained=True)
    scores_1TV = (30 * torch.randn(1, num_words, V)).requires_grad_()
    everywhere_1T = torch.ones(1, num_words, dtype=torch.bool)
    best_1T = crf.best_paths(scores_1TV, everywhere_1T)
    likelihood = crf.log_likelihood(scores_1TV, best_1T, everywhere_1T)
    likelihood.sum().backward()
    assert -num_words < likelihood.item() < 0
    assert scores_1TV.grad is not None
    assert scores_1TV.grad.isfinite().all()
    assert viterbi(scores_1TV.detach(), everywhere_1T, crf.transitions()).shape == (1, num_words)


def test_a_step_reads_nothing_back_from_a_device() -> None:
    crf, scores_BTV, mask_BT = crf_and_scores(of_bio())
    crf = crf.to("meta")  # refuses to tell any value
    scores_BTV = scores_BTV.to("meta").requires_grad_()
    labels_BT = torch.zeros(B, T, dtype=torch.long, device="meta")
    crf.log_likelihood(scores_BTV, labels_BT, mask_BT.to("meta")).sum().backward()
    assert scores_BTV.grad is not None
    assert crf.best_paths(scores_BTV.detach(), mask_BT.to("meta")).shape == (B, T)
