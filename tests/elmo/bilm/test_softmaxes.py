"""The softmaxes against torch's own losses, numpy, and the distribution that candidates are drawn from.

Shape legend: D = 2 directions, N tokens, P vector size, V vocabulary, S candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.softmaxes import cross_entropy
from elmo.bilm.softmaxes.adaptive import AdaptiveSoftmax
from elmo.bilm.softmaxes.cross_entropy import summed_loss
from elmo.bilm.softmaxes.full import FullSoftmax
from elmo.bilm.softmaxes.sampled import SampledSoftmax, log_expected_count, log_uniform_candidates
from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.text.characters import TypeTable

V, P, N = 23, 6, 12


def make_full(*, input_size: int = P, num_types: int = V) -> FullSoftmax:
    softmax = FullSoftmax(input_size=input_size, num_types=num_types)
    oracle.widen(softmax)
    return softmax


def make_sampled(*, num_samples: int = 8, sparse: bool = False, num_types: int = V) -> SampledSoftmax:
    softmax = SampledSoftmax(input_size=P, num_types=num_types, num_samples=num_samples, sparse=sparse)
    oracle.widen(softmax)
    return softmax


def make_adaptive(
    *, cutoffs: tuple[int, ...] = (5, 12), shrink: float = 2.0, num_types: int = V
) -> AdaptiveSoftmax:
    softmax = AdaptiveSoftmax(input_size=P, num_types=num_types, cutoffs=cutoffs, shrink=shrink)
    oracle.widen(softmax)
    return softmax


SOFTMAXES: dict[str, Callable[[], nn.Module]] = {
    "full": make_full,
    "sampled": make_sampled,
    "adaptive": make_adaptive,
}


def vectors_and_targets(*, num_tokens: int = N, num_types: int = V, seed: int = 3) -> tuple[Tensor, Tensor]:
    """(2, N, P) vectors that want a gradient, and (2, N) targets from all over the vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    vectors_DNP = torch.randn(2, num_tokens, P, generator=generator)
    targets_DN = torch.randperm(2 * num_tokens, generator=generator).view(2, num_tokens) % num_types
    return vectors_DNP.requires_grad_(), targets_DN


def loss_of(softmax: Any, vectors_DNP: Tensor, targets_DN: Tensor, *, seed: int = 0) -> Tensor:
    """The loss of a batch whose plan is drawn from a seed."""
    loss: Tensor = softmax(vectors_DNP, softmax.plan(targets_DN.numpy(), np.random.default_rng(seed)))
    return loss


def gradients_of(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    gradients = torch.autograd.grad(loss, tensors)
    return [gradient.to_dense() if gradient.is_sparse else gradient for gradient in gradients]


def use_blocks(monkeypatch: pytest.MonkeyPatch, values: int, most_tokens: int) -> None:
    """Of so many scores, and for pieces of at most so many tokens where the classes do not fit into one."""
    monkeypatch.setattr(cross_entropy, "BLOCK_VALUES", values)
    monkeypatch.setattr(cross_entropy, "FEWEST_TOKENS", 1)
    monkeypatch.setattr(cross_entropy, "MOST_TOKENS", most_tokens)
    monkeypatch.setattr(cross_entropy, "MOST_BLOCKS", 1)


# 23 classes and 24 tokens: all in one block; pieces of 5 tokens, of one; blocks of 1, 2 and 11 classes
BLOCKS = [(2**20, 2048), (5 * V + 3, 2048), (V, 2048), (V - 1, 7), (8, 4), (3, 3)]


@pytest.mark.parametrize(("values", "most_tokens"), BLOCKS)
def test_full_is_cross_entropy_with_all_its_gradients(
    values: int, most_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_blocks(monkeypatch, values, most_tokens)
    softmax = make_full().double()
    vectors, targets = vectors_and_targets()
    vectors = vectors.detach().double().requires_grad_()
    parameters = (vectors, softmax.weight, softmax.bias)
    scores = F.linear(vectors.flatten(0, 1), softmax.weight, softmax.bias)
    expected = F.cross_entropy(scores, targets.flatten())
    loss = loss_of(softmax, vectors, targets)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    for actual, wanted in zip(
        gradients_of(3 * loss, *parameters), gradients_of(3 * expected, *parameters), strict=True
    ):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("values", [2**20, 2**16])
def test_single_precision_is_as_exact_as_that_of_plain_cross_entropy(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_blocks(monkeypatch, values, most_tokens=100)
    generator = torch.Generator().manual_seed(0)
    shapes = [(130, 16), (3000, 16), (3000,)]
    given = [torch.randn(s, generator=generator).requires_grad_() for s in shapes]
    targets = torch.randint(3000, (130,), generator=generator)
    exact = [one.detach().double().requires_grad_() for one in given]
    expected = F.cross_entropy(F.linear(*exact), targets, reduction="sum")
    loss = summed_loss(*given, targets)
    logs = cross_entropy.log_probabilities(*(one.detach() for one in given), targets)
    pairs = [(loss, expected), (-logs.double().sum(), expected)]
    pairs += zip(gradients_of(loss, *given), gradients_of(expected, *exact), strict=True)
    for actual, wanted in pairs:
        assert (actual.double() - wanted).norm() < 1e-6 * wanted.norm()


def test_full_stays_finite_where_exponentials_do_not() -> None:
    softmax = make_full()
    vectors, targets = vectors_and_targets()
    vectors = (vectors * 1e4).detach().requires_grad_()
    loss = loss_of(softmax, vectors, targets)
    scores = F.linear(vectors.flatten(0, 1), softmax.weight, softmax.bias)
    torch.testing.assert_close(loss, F.cross_entropy(scores, targets.flatten()))
    assert all(gradient.isfinite().all() for gradient in gradients_of(loss, vectors, softmax.weight))


@pytest.mark.parametrize(("values", "most_tokens"), [(2**20, 2048), (7, 5), (6, 2)])
def test_the_summed_loss_has_the_gradients_of_finite_differences(
    values: int, most_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_blocks(monkeypatch, values, most_tokens)
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (7, 3), (7,)]
    given = [
        torch.randn(s, generator=generator, dtype=torch.float64).mul_(2).requires_grad_() for s in shapes
    ]
    targets = torch.tensor([6, 0, 2, 2, 5])
    assert torch.autograd.gradcheck(lambda v, w, b: summed_loss(v, w, b, targets), given)


def test_no_tokens_have_no_loss() -> None:
    weight, bias = torch.randn(V, P, requires_grad=True), torch.zeros(V)
    none = torch.zeros(0, dtype=torch.int64)
    loss = summed_loss(torch.zeros(0, P), weight, bias, none)
    assert loss.item() == 0
    assert not gradients_of(loss, weight)[0].any()
    assert cross_entropy.log_probabilities(torch.zeros(0, P), weight, bias, none).shape == (0,)


@pytest.mark.parametrize(("values", "most_tokens"), [BLOCKS[0], *BLOCKS[3:5]])
@pytest.mark.parametrize("name", SOFTMAXES)
def test_probabilities_of_the_vocabulary_sum_to_one(
    name: str, values: int, most_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_blocks(monkeypatch, values, most_tokens)
    softmax = SOFTMAXES[name]()
    contexts = torch.randn(2, 3, P, generator=torch.Generator().manual_seed(0))
    logs = softmax.log_probabilities(contexts.repeat_interleave(V, dim=1), torch.arange(V).repeat(2, 3))
    assert logs.shape == (2, 3 * V) and not logs.requires_grad
    totals = logs.view(2, 3, V).exp().sum(dim=2)
    torch.testing.assert_close(totals, torch.ones(2, 3), rtol=1e-5, atol=1e-5)
    assert logs.std() > 1  # not the uniform distribution


@pytest.mark.parametrize("name", ["full", "sampled"])
def test_probabilities_are_those_of_the_full_softmax(name: str) -> None:
    softmax = SOFTMAXES[name]()
    vectors, targets = vectors_and_targets()
    scores = F.linear(vectors, softmax.weight, softmax.bias.flatten())
    expected = torch.log_softmax(scores, dim=2).gather(2, targets[..., None]).squeeze(2)
    torch.testing.assert_close(softmax.log_probabilities(vectors, targets), expected.detach())


@pytest.mark.parametrize("name", ["full", "adaptive"])
def test_exact_losses_are_the_mean_of_minus_the_log_probabilities(name: str) -> None:
    softmax = SOFTMAXES[name]()
    vectors, targets = vectors_and_targets()
    loss = loss_of(softmax, vectors, targets)
    assert loss.item() == pytest.approx(-softmax.log_probabilities(vectors, targets).mean().item(), rel=1e-5)


@pytest.mark.parametrize("name", SOFTMAXES)
def test_gradients_reach_the_vectors_and_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    softmax = SOFTMAXES[name]()
    vectors, targets = vectors_and_targets()
    loss_of(softmax, vectors, targets).backward()
    assert vectors.grad is not None and vectors.grad.abs().sum(dim=2).gt(0).all()
    for parameter_name, parameter in softmax.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", SOFTMAXES)
def test_one_step_of_an_encoder_under_it_moves_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    encoder = CharCnnLstm(
        character_embedding_size=3,
        filters=[[1, 4], [2, 5]],
        num_highways=1,
        cell_size=8,
        projection_size=P,
        num_layers=2,
    )
    model = nn.ModuleDict({"encoder": encoder, "softmax": SOFTMAXES[name]()})
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    characters = TypeTable.from_words(["one", "two", "three"]).characters(np.arange(5), widest_filter=2)
    layers, _ = encoder.run_packed(
        torch.from_numpy(characters), torch.arange(2 * N).view(2, N) % 5, [4, 4, 3, 1]
    )
    loss = loss_of(model["softmax"], layers[-1], vectors_and_targets()[1])
    torch.optim.SGD(model.parameters(), lr=0.1).zero_grad()
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert [key for key, p in model.named_parameters() if torch.equal(p, before[key])] == []


@pytest.mark.parametrize("name", SOFTMAXES)
def test_bf16_is_close_to_fp32_and_used(name: str) -> None:
    softmax = SOFTMAXES[name]()
    vectors, targets = vectors_and_targets()
    exact = loss_of(softmax, vectors, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rough = loss_of(softmax, vectors, targets)
    assert rough.dtype == torch.float32
    assert 0 < abs(rough.item() - exact.item()) < 0.02 * exact.item()
    for actual, expected in zip(
        gradients_of(rough, vectors, *softmax.parameters()),
        gradients_of(exact, vectors, *softmax.parameters()),
        strict=True,
    ):
        assert (actual - expected).abs().max() < 0.05 * expected.abs().max()
    logs = softmax.log_probabilities(vectors, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rough_logs = softmax.log_probabilities(vectors, targets)
    assert rough_logs.dtype == torch.float32
    assert 0 < abs((rough_logs - logs).mean()) < 0.02 * logs.mean().abs()


@pytest.mark.parametrize("cutoffs", [(5, 12), (1,), (4, 22)])
def test_adaptive_is_torchs_own_with_the_same_weights(cutoffs: tuple[int, ...]) -> None:
    softmax = make_adaptive(cutoffs=cutoffs).double()
    torchs = nn.AdaptiveLogSoftmaxWithLoss(P, V, cutoffs, div_value=2.0, head_bias=True).double()
    with torch.no_grad():
        torchs.head.weight.copy_(softmax.head_weight)
        torchs.head.bias.copy_(softmax.head_bias)
        for index, (into_cluster, within_cluster) in enumerate(torchs.tail):
            into_cluster.weight.copy_(softmax.projections[index])
            within_cluster.weight.copy_(softmax.weights[index])
            softmax.biases[index].zero_()  # torch has none there
    vectors, targets = vectors_and_targets()
    vectors = vectors.detach().double().requires_grad_()
    loss, expected = loss_of(softmax, vectors, targets), torchs(vectors.flatten(0, 1), targets.flatten()).loss
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    ours = [softmax.head_weight, softmax.head_bias, *softmax.projections, *softmax.weights]
    theirs = [torchs.head.weight, torchs.head.bias, *(t[0].weight for t in torchs.tail)]
    theirs += [tail[1].weight for tail in torchs.tail]
    for actual, wanted in zip(
        gradients_of(loss, vectors, *ours), gradients_of(expected, vectors, *theirs), strict=True
    ):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("num_types", "bounds"), [(4, []), (2000, []), (2001, [2000]), (30_000, [2000, 10_000])]
)
def test_adaptive_fits_its_clusters_to_the_vocabulary_and_says_so(num_types: int, bounds: list[int]) -> None:
    softmax = AdaptiveSoftmax(input_size=P, num_types=num_types, cutoffs=None, shrink=2.0)
    assert softmax.bounds == [*bounds, num_types]
    told = None if len(bounds) == 2 else f"adaptive with {len(bounds) or 'no'} of 2 clusters"
    assert (softmax.notice is None) == (told is None)
    assert (softmax.notice or "").startswith(told or "")


def test_adaptive_without_clusters_is_a_full_softmax() -> None:
    softmax = AdaptiveSoftmax(input_size=P, num_types=V, cutoffs=None, shrink=2.0)
    oracle.widen(softmax)
    full = FullSoftmax(input_size=P, num_types=V)
    full.load_state_dict({"weight": softmax.head_weight.detach(), "bias": softmax.head_bias.detach()})
    vectors, targets = vectors_and_targets()
    torch.testing.assert_close(
        loss_of(softmax, vectors, targets), loss_of(full, vectors, targets), rtol=0, atol=0
    )
    torch.testing.assert_close(
        softmax.log_probabilities(vectors, targets), full.log_probabilities(vectors, targets)
    )


@pytest.mark.parametrize(
    ("num_types", "num_samples", "notice"),
    [
        (4, 2, "2 samples, half of the vocabulary, instead of 8,192"),
        (16_383, 8_191, "8,191 samples, half of the vocabulary, instead of 8,192"),
        (16_384, 8_192, None),
    ],
)
def test_sampled_draws_at_most_half_of_the_vocabulary_and_says_so(
    num_types: int, num_samples: int, notice: str | None
) -> None:
    softmax = SampledSoftmax(input_size=2, num_types=num_types, num_samples=None, sparse=False)
    assert (softmax.num_samples, softmax.notice) == (num_samples, notice)


def test_adaptive_drops_cutoffs_beyond_the_vocabulary_and_never_shrinks_to_nothing() -> None:
    softmax = make_adaptive(cutoffs=(2, 10, V, 2000), shrink=4.0)
    assert [len(weight) for weight in (softmax.head_weight, *softmax.weights)] == [2 + 2, 8, V - 10]
    assert [projection.shape for projection in softmax.projections] == [(1, P), (1, P)]


def test_adaptive_clusters_without_targets_get_no_gradient_and_do_no_harm() -> None:
    softmax = make_adaptive()
    vectors, _ = vectors_and_targets()
    targets = torch.arange(N).remainder(5).repeat(2, 1)
    loss = loss_of(softmax, vectors, targets)
    assert loss.item() == pytest.approx(-softmax.log_probabilities(vectors, targets).mean().item(), rel=1e-5)
    loss.backward()
    assert not any(weight.grad.any() for weight in softmax.weights)
    assert softmax.head_weight.grad[:5].any(dim=1).all()


def numpy_sampled_loss(
    softmax: SampledSoftmax, vectors_DNP: Tensor, targets_DN: Tensor, draws: list[tuple[np.ndarray, int]]
) -> float:
    """Token by token: the target against the candidates that are not the target, each less log Q."""
    weight, bias = softmax.weight.detach().double().numpy(), softmax.bias.detach().double().numpy().flatten()
    num_types = len(weight)
    losses = []
    for vectors, targets, (candidates, tries) in zip(
        vectors_DNP.detach().double().numpy(), targets_DN.tolist(), draws, strict=True
    ):
        for vector, target in zip(vectors, targets, strict=True):
            kept = [target] + [k for k in candidates.tolist() if k != target]
            chances = [math.log((k + 2) / (k + 1)) / math.log(num_types + 1) for k in kept]
            scores = [
                vector @ weight[k] + bias[k] - math.log(1 - (1 - p) ** tries)
                for k, p in zip(kept, chances, strict=True)
            ]
            losses.append(math.log(sum(math.exp(s - scores[0]) for s in scores)))
    return sum(losses) / len(losses)


def draws_of_a_plan(softmax: SampledSoftmax, seed: int) -> list[tuple[np.ndarray, int]]:
    rng = np.random.default_rng(seed)
    return [log_uniform_candidates(len(softmax.weight), softmax.num_samples, rng) for _ in range(2)]


@pytest.mark.parametrize("num_samples", [1, 5, 20, V - 1])
def test_sampled_loss_is_the_target_against_candidates_of_its_direction_without_accidental_hits(
    num_samples: int,
) -> None:
    softmax = make_sampled(num_samples=num_samples)
    vectors, targets = vectors_and_targets()
    draws = draws_of_a_plan(softmax, seed=5)
    if num_samples > 1:
        assert not np.array_equal(draws[0][0], draws[1][0])  # each direction has its own
        assert any(np.isin(t, c).any() for t, (c, _) in zip(targets, draws, strict=True))  # there are hits
    loss = loss_of(softmax, vectors, targets, seed=5)
    assert loss.item() == pytest.approx(numpy_sampled_loss(softmax, vectors, targets, draws), rel=1e-5)


def test_sampled_targets_without_any_other_candidate_cost_nothing_and_stay_finite() -> None:
    softmax = make_sampled(num_samples=1)
    draws = draws_of_a_plan(softmax, seed=1)
    vectors, _ = vectors_and_targets()
    targets = torch.stack([torch.from_numpy(candidates.repeat(N)) for candidates, _ in draws])
    loss = loss_of(softmax, vectors, targets, seed=1)
    assert loss.item() == 0
    assert all(g.isfinite().all() for g in gradients_of(loss, vectors, softmax.weight, softmax.bias))


def test_sampled_sparse_gradients_are_the_dense_ones_and_hold_the_rows_used() -> None:
    vectors, targets = vectors_and_targets(num_types=5)
    found: list[list[Tensor]] = []
    for sparse in (False, True):
        softmax = make_sampled(num_samples=4, sparse=sparse)
        candidates = {k for ids, _ in draws_of_a_plan(softmax, seed=2) for k in ids.tolist()}
        loss_of(softmax, vectors, targets, seed=2).backward()
        gradients = [parameter.grad for parameter in (softmax.weight, softmax.bias)]
        assert all(gradient.is_sparse == sparse for gradient in gradients)
        used = sorted(candidates | set(targets.flatten().tolist()))
        assert len(used) < V
        if sparse:
            assert all(g.coalesce().indices().flatten().tolist() == used for g in gradients)
        else:
            assert gradients[0].any(dim=1).nonzero().flatten().tolist() == used
        found.append([gradient.to_dense() if sparse else gradient for gradient in gradients])
    for dense, sparse_one in zip(*found, strict=True):
        torch.testing.assert_close(dense, sparse_one)


def test_sampled_sparse_gradients_say_that_their_rows_are_distinct_and_add_up() -> None:
    vectors, targets = vectors_and_targets()
    sparse, dense = (make_sampled(sparse=sparse, num_types=200) for sparse in (True, False))
    for seed in (1, 2):
        for softmax in (sparse, dense):
            loss_of(softmax, vectors, targets, seed=seed).backward()
        for ours, theirs in zip(sparse.parameters(), dense.parameters(), strict=True):
            rows = ours.grad._indices()[0].tolist()
            assert ours.grad.is_coalesced() and rows == sorted(set(rows))
            torch.testing.assert_close(ours.grad.to_dense(), theirs.grad)


def test_static_plans_have_one_shape_and_their_unused_rows_no_gradient() -> None:
    softmax, plain = (make_sampled(num_samples=30, sparse=True, num_types=400) for _ in range(2))
    softmax.is_static = True
    shapes = set()
    for seed in range(5):
        vectors, targets = vectors_and_targets(num_types=10 + 70 * seed, seed=seed)
        rng = np.random.default_rng(seed)
        plan = softmax.plan(targets.numpy(), rng)
        shapes.add(str({name: tuple(tensor.shape) for name, tensor in plan.items()}))
        assert plan["rows"].tolist() == sorted(set(plan["rows"].tolist())) and plan["rows"].max() < 400
        loss, expected = softmax(vectors, plan), loss_of(plain, vectors, targets, seed=seed)
        torch.testing.assert_close(loss, expected, rtol=0, atol=0)
        ours = gradients_of(loss, vectors, *softmax.parameters())
        for mine, theirs in zip(ours, gradients_of(expected, vectors, *plain.parameters()), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert len(shapes) == 1
    assert make_sampled(num_samples=22).can_be_static  # more rows than words: all words are rows
    few = make_sampled(num_samples=22)
    few.is_static = True
    plan = few.plan(vectors_and_targets()[1].numpy(), np.random.default_rng(0))
    assert plan["rows"].tolist() == list(range(V))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", SOFTMAXES)
def test_a_step_asks_the_device_for_no_value(name: str, sparse: bool) -> None:
    """A tensor of the meta device has none: reading one, or a shape that depends on one, is an error."""
    softmax = make_sampled(sparse=sparse) if name == "sampled" else SOFTMAXES[name]()
    vectors, targets = vectors_and_targets()
    plan = softmax.plan(targets.numpy(), np.random.default_rng(0))
    on_meta = softmax.to("meta")
    vectors = vectors.detach().to("meta").requires_grad_()
    loss = on_meta(vectors, {name: tensor.to("meta") for name, tensor in plan.items()})
    loss.backward()
    assert loss.shape == () and vectors.grad.shape == vectors.shape
    for parameter in on_meta.parameters():
        assert parameter.grad.is_meta and parameter.grad.shape == parameter.shape
        assert parameter.grad.is_sparse == (sparse and name == "sampled")


def test_sampled_loss_comes_nearer_to_the_full_loss_with_more_candidates() -> None:
    softmax = make_sampled(num_types=40)
    vectors, targets = vectors_and_targets(num_tokens=40, num_types=40)
    full = -softmax.log_probabilities(vectors, targets).mean().item()
    errors = []
    for softmax.num_samples in (3, 12, 39):
        with torch.no_grad():
            losses = [loss_of(softmax, vectors, targets, seed=seed).item() for seed in range(40)]
        errors.append(abs(np.mean(losses) - full) / full)
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.02


def test_processes_that_share_a_batch_have_the_same_rows_and_together_its_loss() -> None:
    softmax = make_sampled(num_samples=6, sparse=True, num_types=200)
    vectors, targets = vectors_and_targets(num_types=200)
    whole = softmax.plan(targets.numpy(), np.random.default_rng(1))
    parts = [slice(0, 5), slice(5, N)]
    plans = [
        softmax.plan(targets[:, part].numpy(), np.random.default_rng(1), all_targets_DM=targets.numpy())
        for part in parts
    ]
    assert all(torch.equal(plan["rows"], whole["rows"]) for plan in plans)
    loss = sum(
        softmax(vectors[:, part], plan) * len(range(N)[part]) / N
        for part, plan in zip(parts, plans, strict=True)
    )
    expected = softmax(vectors, whole)
    torch.testing.assert_close(loss, expected)
    wanted = (vectors, softmax.weight)
    for ours, theirs in zip(gradients_of(loss, *wanted), gradients_of(expected, *wanted), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("num_types", "num_samples"), [(1000, 64), (50, 49), (2, 1), (5, 3)])
def test_candidates_are_distinct_ids_of_the_vocabulary(num_types: int, num_samples: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids, tries = log_uniform_candidates(num_types, num_samples, rng)
        assert ids.dtype == np.int64 and len(np.unique(ids)) == len(ids) == num_samples
        assert ids.min() >= 0 and ids.max() < num_types
        assert tries >= num_samples


def test_the_same_seed_draws_the_same_candidates_and_the_next_draw_differs() -> None:
    rng = np.random.default_rng(7)
    ids, tries = log_uniform_candidates(1000, 50, rng)
    others, _ = log_uniform_candidates(1000, 50, rng)
    again, tries_again = log_uniform_candidates(1000, 50, np.random.default_rng(7))
    assert np.array_equal(ids, again) and tries == tries_again
    assert not np.array_equal(ids, others)


def test_single_candidates_are_log_uniform() -> None:
    rng = np.random.default_rng(0)
    num_types, num_draws = 9, 6000
    counts = np.zeros(num_types)
    for _ in range(num_draws):
        ids, tries = log_uniform_candidates(num_types, 1, rng)
        assert tries == 1
        counts[ids.item()] += 1
    chances = np.log((np.arange(num_types) + 2) / (np.arange(num_types) + 1)) / np.log(num_types + 1)
    deviations = (counts / num_draws - chances) / np.sqrt(chances * (1 - chances) / num_draws)
    assert chances.sum() == pytest.approx(1)
    assert np.abs(deviations).max() < 4  # standard errors


def test_the_expected_count_is_how_often_a_word_is_among_the_candidates() -> None:
    rng = np.random.default_rng(0)
    num_types, num_draws = 30, 4000
    included, expected = np.zeros(num_types), np.zeros(num_types)
    for _ in range(num_draws):
        ids, tries = log_uniform_candidates(num_types, 10, rng)
        included[ids] += 1
        expected += np.exp(log_expected_count(np.arange(num_types), tries, num_types))
    assert included[0] > 5 * included[-1]
    assert included / num_draws == pytest.approx(expected / num_draws, rel=0, abs=0.03)


def test_the_tries_are_the_draws_until_the_last_candidate() -> None:
    rng = np.random.default_rng(0)
    found = [log_uniform_candidates(3, 2, rng)[1] for _ in range(3000)]
    chances = np.log(np.array([2, 3 / 2, 4 / 3])) / np.log(4)
    # until a second word has come up: 2 draws unless the second one repeats the first
    assert np.mean(np.array(found) == 2) == pytest.approx(1 - (chances**2).sum(), abs=0.03)
    assert np.mean(np.array(found) == 3) == pytest.approx((chances**2 * (1 - chances)).sum(), abs=0.03)


def test_expected_counts_keep_their_precision_for_rare_words() -> None:
    rare, tries, num_types = 793_470, 3, 793_471
    chance = math.log1p(1 / (rare + 1)) / math.log(num_types + 1)
    log_q = log_expected_count(np.array([rare]), tries, num_types).item()
    assert log_q == pytest.approx(math.log(tries * chance), rel=1e-6)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"type": "sampled", "num_samples": V, "sparse": False}, f"num_samples: .* {V} words, got {V}"),
        (
            {"type": "sampled", "num_samples": 0, "sparse": False},
            "num_samples: expected at least 1 or null, got 0",
        ),
        ({"type": "adaptive", "cutoffs": [], "shrink": 2.0}, r"cutoffs.* got \[\]"),
        ({"type": "adaptive", "cutoffs": [V], "shrink": 2.0}, f"cutoffs.* {V} words"),
        ({"type": "adaptive", "cutoffs": [9, 4], "shrink": 2.0}, r"cutoffs.* got \[9, 4\]"),
        ({"type": "adaptive", "cutoffs": [4, 4], "shrink": 2.0}, r"cutoffs.* got \[4, 4\]"),
        ({"type": "adaptive", "cutoffs": [0, 4], "shrink": 2.0}, r"cutoffs\[0\]: expected at least 1, got 0"),
        ({"type": "adaptive", "cutoffs": [4], "shrink": 0.5}, "shrink: expected at least 1, got 0.5"),
    ],
)
def test_arguments_that_make_no_softmax_are_told(node: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        REGISTRY.build("softmax", node, input_size=P, num_types=V)
    assert "\n" not in str(caught.value)


def test_a_large_vocabulary_is_scored_for_many_tokens_at_once_in_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading the weights of 793,471 words for every five tokens would take hours per evaluation."""
    shapes: list[tuple[int, int]] = []

    def scores_of(inputs_KP: Tensor, weight_CP: Tensor, bias_C: Tensor) -> Tensor:
        shapes.append((len(inputs_KP), len(weight_CP)))
        return torch.zeros(len(inputs_KP), len(weight_CP))

    monkeypatch.setattr(cross_entropy, "scores_of", scores_of)
    num_types, num_tokens = 793_471, 5000
    weight, bias = torch.zeros(num_types, 1), torch.zeros(num_types)
    targets = torch.arange(num_tokens)
    logs = cross_entropy.log_probabilities(torch.zeros(num_tokens, 1), weight[:9000], bias[:9000], targets)
    torch.testing.assert_close(logs, torch.full((num_tokens,), -math.log(9000)))
    assert {tokens for tokens, _ in shapes} == {2048, 5000 - 2 * 2048}
    assert max(tokens * classes for tokens, classes in shapes) <= 2**20  # values: 4 MiB
    pieces, num_classes = cross_entropy._pieces(num_tokens, weight)
    assert (pieces[0].stop, num_classes) == (2048, 512)
    pieces, num_classes = cross_entropy._pieces(num_tokens, weight[:20_000])
    assert (pieces[0].stop, num_classes) == (256, 20_000)


def vectors_of(softmax: Any, ids: list[int]) -> Tensor:
    """(n, P + 1) the vector and the bias that each word's score is made of, within its head or cluster."""
    found = []
    for index in ids:
        cluster = sum(index >= cutoff for cutoff in softmax.bounds[:-1])
        if cluster == 0:
            found.append(torch.cat([softmax.head_weight[index], softmax.head_bias[index, None]]))
        else:
            row = index - softmax.bounds[cluster - 1]
            vector = softmax.weights[cluster - 1][row] @ softmax.projections[cluster - 1]
            found.append(torch.cat([vector, softmax.biases[cluster - 1][row, None]]))
    return torch.stack(found).detach()


def test_rows_are_taken_over_by_an_adaptive_softmax_as_far_as_its_clusters_allow() -> None:
    # 18 of 23 words are the same: ids 5 to 22 there are 0 to 17 here
    own, other = make_adaptive(), make_adaptive()
    oracle.widen(other)
    theirs = torch.arange(5, V)
    assert own.take_rows(other, theirs - 5, theirs) == V - 5
    assert torch.equal(own.projections[0], other.projections[0])
    assert torch.equal(own.head_weight[-2:], other.head_weight[-2:])  # of the two clusters, as classes
    taken, given = vectors_of(own, list(range(V - 5))), vectors_of(other, list(range(5, V)))
    torch.testing.assert_close(taken[:5], given[:5])  # from a cluster into the head
    torch.testing.assert_close(taken[5:7], given[5:7])  # within the same cluster
    torch.testing.assert_close(taken[12:], given[12:])
    torch.testing.assert_close(taken[:, -1], given[:, -1])
    # from the last cluster into the first: the difference is one that this cluster cannot express
    difference = (taken - given)[7:12, :-1]
    assert difference.abs().max() > 0.01
    torch.testing.assert_close(difference @ own.projections[0].T, torch.zeros(5, 3), rtol=0, atol=1e-5)


def test_rows_of_a_full_softmax_are_taken_over_by_their_principal_components() -> None:
    own, other = make_adaptive(), make_full()
    ids = torch.arange(V)
    assert own.take_rows(other, ids, ids) == V
    taken = vectors_of(own, ids.tolist())
    torch.testing.assert_close(taken[:5, :-1], other.weight[:5].detach())
    torch.testing.assert_close(taken[:, -1], other.bias.detach())
    for start, stop, size in ((5, 12, 3), (12, V, 1)):
        lost = (taken[start:stop, :-1] - other.weight[start:stop].detach()).square().sum()
        values = torch.linalg.svdvals(other.weight[start:stop].detach())
        torch.testing.assert_close(lost, values[size:].square().sum())  # Eckart and Young: the least there is


def test_other_words_and_softmaxes_without_rows_are_left_as_they_are() -> None:
    own, other = make_full(), make_sampled()
    before = own.weight.detach().clone()
    assert own.take_rows(other, torch.tensor([3, 4]), torch.tensor([7, 1])) == 2
    assert torch.equal(own.weight[3], other.weight[7]) and torch.equal(own.bias[4], other.bias[1, 0])
    rest = [index for index in range(V) if index not in (3, 4)]
    assert torch.equal(own.weight[rest], before[rest])
    other.rows = list  # type: ignore[method-assign]
    assert own.take_rows(other, torch.arange(V), torch.arange(V)) == 0
