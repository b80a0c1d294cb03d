"""The heads of question answering: padding, order, masks, numbers from numpy, and what they refuse.

Shape legend: B pairs, T words of the longest passage, Q of the longest question, P input, E injected size.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
import yaml  # type: ignore[import-untyped]
from places import CONF
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.io.meta_device import build_blank
from elmo.registry import REGISTRY
from tasks.heads.attention import TrilinearSimilarity, variational_dropout
from tasks.heads.bidaf_self_attention import BidafSelfAttention
from tasks.heads.pooling import masked_softmax
from tasks.heads.recurrent import RecurrentLayer
from tasks.heads.span import PointerReader
from tasks.heads.span_head import SpanHead, SpanScores, Words

P, E = 6, 3
HEADS = {
    "span": PointerReader,
    "bidaf_self_attention": BidafSelfAttention,
}
CONF_PATH = CONF / "head"
NODES: dict[str, dict[str, Any]] = {
    "span": {"cell": "lstm", "hidden_size": 4, "num_layers": 2, "alignment_size": 5, "dropout": 0.2},
    "bidaf_self_attention": {"cell": "gru", "hidden_size": 4, "linear_size": 7, "dropout": 0.2},
}
both_heads = pytest.mark.parametrize("name", NODES)


def build(name: str, injected_size: int = E, **changes: Any) -> SpanHead:
    torch.manual_seed(1)
    node = {"type": name, **NODES[name], **changes}
    head = REGISTRY.build("head", node, input_size=P, injected_size=injected_size)
    assert isinstance(head, SpanHead)
    return head.eval()


def words(lengths: list[int], *, padding: int = 0, injected_size: int = E, seed: int = 0) -> Words:
    """Random vectors for texts of these lengths, padded to the longest and then some more."""
    generator = torch.Generator().manual_seed(seed)
    T = max(lengths) + padding
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    vectors = torch.zeros(len(lengths), T, P + injected_size)
    for row, length in enumerate(lengths):
        vectors[row, :length] = torch.randn(length, P + injected_size, generator=generator)
    injected = vectors[..., P:] if injected_size else None
    return Words(vectors[..., :P], mask, injected)


def rows(texts: Words, index: list[int], stop: int | None = None) -> Words:
    injected = None if texts.injected is None else texts.injected[index, :stop]
    return Words(texts.vectors[index, :stop], texts.mask[index, :stop], injected)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@both_heads
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_and_company_change_nothing(name: str, cell: str) -> None:
    head = build(name, cell=cell)
    lengths, asked = [9, 1, 5, 7], [3, 4, 1, 2]
    together = head(words(lengths, padding=3), words(asked, padding=2, seed=1))
    for row, (length, question_length) in enumerate(zip(lengths, asked, strict=True)):
        passage = rows(words(lengths, padding=3), [row], length)
        alone = head(passage, rows(words(asked, padding=2, seed=1), [row], question_length))
        assert_same(together.start[row, :length], alone.start[0])
        assert_same(together.end[row, :length], alone.end[0])
        assert_same(together.no_answer[row], alone.no_answer[0])
        assert together.start[row, length:].eq(-torch.inf).all()
        assert together.end[row, length:].eq(-torch.inf).all()


@both_heads
def test_the_order_of_pairs_does_not_matter(name: str) -> None:
    head, order = build(name), [2, 0, 3, 1]
    passage, question = words([9, 2, 5, 7]), words([3, 4, 1, 2], seed=1)
    scores, permuted = head(passage, question), head(rows(passage, order), rows(question, order))
    for one, other in zip(scores, permuted, strict=True):
        assert_same(other, one[order])


@both_heads
@pytest.mark.parametrize("injected_size", [0, E])
def test_gradients_reach_everything(name: str, injected_size: int) -> None:
    head = build(name, injected_size).train()
    passage = words([5, 3], injected_size=injected_size)
    question = words([2, 4], injected_size=injected_size, seed=1)
    inputs = [
        part for text in (passage, question) for part in (text.vectors, text.injected) if part is not None
    ]
    for part in inputs:
        part.requires_grad_()
    loss_of(head(passage, question)).backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in inputs)


def loss_of(scores: SpanScores) -> Tensor:
    """The pairs' negative log-likelihood of the answer being the first two words, or of there being none."""
    losses = [-torch.log_softmax(scores.start, 1)[:, 0], -torch.log_softmax(scores.end, 1)[:, 1]]
    return (sum(losses, torch.zeros(())) + scores.no_answer.square()).mean()


@both_heads
def test_a_head_learns_where_the_answers_are(name: str) -> None:
    head = build(name, injected_size=0).train()
    passage, question = words([6] * 8, injected_size=0), words([3] * 8, injected_size=0, seed=1)
    targets = torch.tensor([0, 1, 2, 3, 4, 5, 2, 3])
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(60):
        scores = head(passage, question)
        loss = nn.functional.cross_entropy(scores.start, targets)
        loss = loss + nn.functional.cross_entropy(scores.end, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = head.eval()(passage, question)
    assert scores.start.argmax(1).eq(targets).all() and scores.end.argmax(1).eq(targets).all()


@both_heads
def test_one_word_of_each_is_enough(name: str) -> None:
    scores = build(name)(words([1]), words([1], seed=1))
    assert scores.start.shape == scores.end.shape == (1, 1) and scores.no_answer.shape == (1,)
    assert all(part.isfinite().all() for part in scores)


@both_heads
def test_bfloat16_is_near_to_single_precision(name: str) -> None:
    head, passage, question = build(name), words([5, 3]), words([2, 4], seed=1)
    exact = head(passage, question)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = head(passage, question)
        loss = loss_of(rough)
    loss.backward()  # type: ignore[no-untyped-call]
    for one, other in zip(exact, rough, strict=True):
        torch.testing.assert_close(other.float(), one, rtol=0.05, atol=0.05)


@both_heads
def test_dropout_is_for_training_only(name: str) -> None:
    head, passage, question = build(name, dropout=0.5), words([5, 3]), words([2, 4], seed=1)
    assert torch.equal(head(passage, question).start, head(passage, question).start)
    head.train()
    assert not torch.equal(head(passage, question).start, head(passage, question).start)


@both_heads
@pytest.mark.parametrize("injected_size", [0, 512])
def test_an_untrained_head_prefers_no_word(name: str, injected_size: int) -> None:
    """Nor does it with injected vectors that are larger and more than those of its recurrent layers."""
    sizes = {"hidden_size": 96, **({"alignment_size": 64} if name == "span" else {})}
    head = build(name, injected_size, **sizes).eval()
    with torch.no_grad():
        passage = words([40] * 8, injected_size=injected_size)
        scores = head(passage, words([8] * 8, injected_size=injected_size, seed=1))
    for pointer in (scores.start, scores.end):
        assert (-torch.log_softmax(pointer, 1)).mean() < math.log(40) + 0.5


@both_heads
def test_a_head_is_built_without_memory_as_its_yaml_says(name: str) -> None:
    node = yaml.safe_load((CONF_PATH / f"{name}.yaml").read_text(encoding="utf-8"))
    assert node["type"] == name
    assert node.keys() - {"type"} == inspect.signature(HEADS[name]).parameters.keys() - {
        "input_size",
        "injected_size",
    }
    head = build_blank("head", node, input_size=350, injected_size=1024)
    assert {parameter.device.type for parameter in head.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("span", "hidden_size", 0, "head.hidden_size: expected at least 1, got 0"),
        ("span", "num_layers", 0, "head.num_layers: expected at least 1 and at most 100, got 0"),
        ("span", "num_layers", 1, "head.num_layers: 1, but injected vectors are read by the second"),
        ("span", "alignment_size", -1, "head.alignment_size: expected at least 1, got -1"),
        ("span", "dropout", 1.0, "head.dropout: expected at least 0 and less than 1, got 1.0"),
        ("span", "cell", "rnn", "head.cell: unknown choice 'rnn'; one of: gru, lstm"),
        ("bidaf_self_attention", "linear_size", 0, "head.linear_size: expected at least 1, got 0"),
        ("bidaf_self_attention", "dropout", -0.1, "expected at least 0 and less than 1, got -0.1"),
    ],
)
def test_a_head_that_cannot_be_is_refused(name: str, key: str, value: object, message: str) -> None:
    with pytest.raises(InputError) as error:
        build(name, **{key: value})
    assert message in str(error.value)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_recurrent_layer_is_pytorchs_own_of_both_directions(cell: str) -> None:
    layer = RecurrentLayer(cell=cell, input_size=P, hidden_size=4)  # type: ignore[arg-type]
    theirs = (nn.LSTM if cell == "lstm" else nn.GRU)(P, 4, batch_first=True, bidirectional=True)
    theirs.load_state_dict(layer.onward.state_dict(), strict=False)
    of_backward = {f"{key}_reverse": value for key, value in layer.backward_.state_dict().items()}
    theirs.load_state_dict(theirs.state_dict() | of_backward)
    texts = words([5, 1, 3], padding=2)
    packed = nn.utils.rnn.pack_padded_sequence(
        texts.vectors, texts.mask.sum(1), batch_first=True, enforce_sorted=False
    )
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True, total_length=7)
    assert_same(layer(texts.vectors, texts.mask), expected)


def test_a_masked_softmax_is_worked_by_hand() -> None:
    scores = torch.tensor([[0.0, math.log(3.0), 9.0], [5.0, 5.0, 5.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert_same(masked_softmax(scores, mask), torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]))


def test_the_trilinear_similarity_is_the_papers() -> None:
    similarity = TrilinearSimilarity(size=P).double()
    left, right = torch.randn(2, 4, P).double(), torch.randn(2, 3, P).double()
    weights = [
        layer.weight[0].detach().numpy() for layer in (similarity.left, similarity.right, similarity.product)
    ]
    expected = [
        [[np.concatenate([x, y, x * y]) @ np.concatenate(weights) for y in ys] for x in xs]
        for xs, ys in zip(left.numpy(), right.numpy(), strict=True)
    ]
    np.testing.assert_allclose(similarity(left, right).detach().numpy(), expected, rtol=1e-12)


def test_variational_dropout_takes_the_same_values_from_all_words() -> None:
    torch.manual_seed(0)
    dropped = variational_dropout(torch.ones(50, 4, 40), 0.25, training=True)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert dropped.ne(0).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_a_word_does_not_look_at_itself() -> None:
    head = build("bidaf_self_attention")
    assert isinstance(head, BidafSelfAttention)
    one = torch.randn(1, 1, 7)
    nothing = head._self_attended(one, torch.ones(1, 1, dtype=torch.bool))
    x = head.self_context(one, torch.ones(1, 1, dtype=torch.bool))
    expected = torch.relu(head.self_matched(torch.cat([x, torch.zeros(1, 1, 16)], dim=2)))
    assert_same(nothing, expected)
