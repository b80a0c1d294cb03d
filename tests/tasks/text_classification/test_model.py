"""The classifier over real representations and heads: windows, texts, gradients at the words.

Shape legend: B windows, N texts, V labels, T words of the longest window, P size of a word's vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elmo.registry import REGISTRY
from tasks.encoders.token_encoder import TokenEncoder
from tasks.heads.span_head import Words
from tasks.supervised.representation import Representation, Window, WindowBatch
from tasks.text_classification.model import Classifier, logits_of_windows

P, V = 4, 3
WINDOWS: list[Window] = [
    [["a", "fine", "film"], ["really"]],
    [["dull"]],
    [["never", "mind"], ["the"], ["plot"]],
    [["a", "plot"]],
    [["fine"], ["fine"]],
]
TEXT_OF_WINDOW = torch.tensor([0, 1, 0, 0, 2])
BILSTM = {"type": "bilstm", "hidden_size": 3, "num_layers": 1, "dropout": 0.0, "pooling": ["max", "mean"]}


class ByInitial(TokenEncoder):
    """A learned vector for each initial, whether or not it calls itself contextual and so joins elsewhere."""

    def __init__(self, *, is_contextual: bool) -> None:
        super().__init__()
        self.num_layers, self.size, self.is_contextual = 1, P, is_contextual
        self.table = nn.Embedding(128, P)

    def forward(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        vectors = torch.zeros(1, len(sentences), max(map(len, sentences)), P, dtype=self.table.weight.dtype)
        for row, sentence in enumerate(sentences):
            vectors[0, row, : len(sentence)] = self.table(torch.tensor([ord(word[0]) for word in sentence]))
        return vectors


def classifier(node: dict[str, Any] = BILSTM, *, dropout: float = 0.0) -> Classifier:
    torch.manual_seed(0)
    representation = Representation(
        parts={name: ByInitial(is_contextual=name == "context") for name in ("words", "context")},
        mix={"type": "top", "dropout": 0.0},
        injection="output" if node["type"] == "bilstm" else "input",
        word_dropout=0.0,
    )
    sizes = {"input_size": representation.input_size, "injected_size": representation.injected_size}
    model = Classifier(
        representation=representation,
        head=REGISTRY.build("head", node, **sizes),
        num_labels=V,
        dropout=dropout,
    )
    nn.init.normal_(model.window_attention.query)
    return model.double()


def test_a_text_of_one_window_is_the_heads_vector_through_the_linear_layer() -> None:
    model = classifier()
    words = model.representation(WindowBatch(windows=[WINDOWS[1], WINDOWS[4]]))
    expected = model.linear(model.head(words.vectors, words.mask, words.injected))
    actual = model(WindowBatch(windows=[WINDOWS[1], WINDOWS[4]]), torch.arange(2), 2)
    assert actual.shape == (2, V)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_a_text_is_the_same_in_every_batch_and_order_of_windows() -> None:
    model = classifier()
    together = model(WindowBatch(windows=WINDOWS), TEXT_OF_WINDOW, 3)
    order = [3, 4, 2, 1, 0]
    shuffled = WindowBatch(windows=[WINDOWS[i] for i in order])
    torch.testing.assert_close(model(shuffled, TEXT_OF_WINDOW[order], 3), together, rtol=0, atol=1e-12)
    for text in range(3):
        own = [i for i in range(len(WINDOWS)) if TEXT_OF_WINDOW[i] == text]
        alone = model(
            WindowBatch(windows=[WINDOWS[i] for i in own]), torch.zeros(len(own), dtype=torch.long), 1
        )
        torch.testing.assert_close(alone[0], together[text], rtol=0, atol=1e-12)


def test_windows_may_be_encoded_some_at_a_time() -> None:
    model = classifier()
    pieces = [WindowBatch(windows=WINDOWS[:2]), WindowBatch(windows=WINDOWS[2:])]
    windows = torch.cat([model.encode(model.represent(piece)) for piece in pieces])
    expected = model(WindowBatch(windows=WINDOWS), TEXT_OF_WINDOW, 3)
    torch.testing.assert_close(model.score(windows, TEXT_OF_WINDOW, 3), expected, rtol=0, atol=1e-12)


def test_gradients_at_the_words_are_those_of_a_linear_model() -> None:
    model = classifier({"type": "pooled", "pooling": ["mean"], "hidden_size": None}).eval()
    words = model.represent(WindowBatch(windows=WINDOWS[:2]))
    vectors = words.vectors.detach().requires_grad_()
    logits = model.classify(words._replace(vectors=vectors), torch.arange(2), 2)
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), vectors)
    expected = torch.zeros(2, 4, 2 * P, dtype=torch.float64)
    expected[0], expected[1, 0] = model.linear.weight[2] / 4, model.linear.weight[2]  # of 4 words and of 1
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("kind", ["bilstm", "bcn"])
def test_gradients_at_the_words_exist_in_single_precision_evaluation(kind: str) -> None:
    model = classifier(BILSTM if kind == "bilstm" else {"type": "bcn", "hidden_size": 3}).float().eval()
    words = model.represent(WindowBatch(windows=WINDOWS))
    vectors = words.vectors.detach().requires_grad_()
    logits = model.classify(words._replace(vectors=vectors), TEXT_OF_WINDOW, 3)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), vectors)
    assert torch.equal(gradient.any(dim=-1), words.mask)


def test_a_classifier_learns_with_all_its_parameters_and_is_what_is_loaded() -> None:
    model = classifier().float()
    batch, labels = WindowBatch(windows=WINDOWS), torch.tensor([2, 0, 1])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch, TEXT_OF_WINDOW, 3), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert [
        name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])
    ] == []
    other = classifier().float()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(batch, TEXT_OF_WINDOW, 3), model(batch, TEXT_OF_WINDOW, 3))


def test_dropout_is_on_the_texts_vectors_while_training() -> None:
    model = classifier(dropout=0.5)
    windows = torch.ones(1, model.head.output_size, dtype=torch.float64).expand(200, -1)
    model.linear = nn.Identity()  # type: ignore[assignment]
    dropped = model.score(windows, torch.arange(200), 200)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(model.eval().score(windows, torch.arange(200), 200), windows)


def test_windows_are_made_as_they_are_read_and_give_the_same_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.text_classification.model._WINDOWS_AT_ONCE", 2)
    model = classifier().eval()
    num_made, ahead = 0, []
    encode = model.encode

    def windows(number: int) -> Iterator[Window]:
        nonlocal num_made
        for text, window in zip(TEXT_OF_WINDOW.tolist(), WINDOWS, strict=True):
            if text == number:
                num_made += 1
                yield window

    def watch(words: Words) -> Tensor:
        ahead.append(num_made)
        return encode(words)

    monkeypatch.setattr(model, "encode", watch)
    logits = logits_of_windows(model, [windows(number) for number in range(3)])
    assert ahead == [2, 4, 5]
    expected = model(WindowBatch(WINDOWS), TEXT_OF_WINDOW, 3)
    torch.testing.assert_close(logits, expected.detach().float())
