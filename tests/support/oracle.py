"""A float64 numpy oracle of the ELMo encoder: one sentence after the other, plain loops, weights in the
official layout.

Shape legend: T tokens of a sentence with its markers, E character embedding, F filters in all, P projection,
    H cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

Weights = dict[str, np.ndarray]  # official dataset name -> float64 array
LstmState = tuple[np.ndarray, np.ndarray]  # h (P,), c (H,) of one direction of one layer

BEGIN_ROW = [258, 256, 259] + [260] * 47
END_ROW = [258, 257, 259] + [260] * 47


@dataclass(frozen=True)
class Options:
    """What the weights do not say."""

    activation: str
    cell_clip: float | None
    projection_clip: float | None
    skip_connected: bool


def widen(module: nn.Module, *, std: float = 1.0, seed: int = 0) -> None:
    """Redraw every parameter from a wide normal, biases too, so that gates saturate and clips bite."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * std)


def official_weights(module: nn.Module) -> Weights:
    """The parameters of a `CharCnnLstm` as the datasets of an official file."""
    given = {name: p.detach().double().numpy().copy() for name, p in module.named_parameters()}
    weights = cnn_weights(
        {name.removeprefix("words."): w for name, w in given.items() if name.startswith("words.")}
    )
    for layer in range(_count(given, "context.layers.", ".kernel")):
        for direction in (0, 1):
            cell = cell_name(direction, layer)
            weights[f"{cell}/W_0"] = given[f"context.layers.{layer}.kernel"][direction]
            weights[f"{cell}/B"] = given[f"context.layers.{layer}.bias"][direction]
            if f"context.layers.{layer}.projection" in given:
                weights[f"{cell}/W_P_0"] = given[f"context.layers.{layer}.projection"][direction]
    return weights


def cnn_weights(given: Mapping[str, np.ndarray]) -> Weights:
    """The parameters of a `CharCnn`, by name, as the datasets of an official file."""
    embedding = given["embedding"]
    weights = {"char_embed": embedding}
    for i in range(_count(given, "convolutions.")):
        kernel = given[f"convolutions.{i}"]
        weights[f"CNN/W_cnn_{i}"] = kernel.reshape(1, -1, embedding.shape[1], kernel.shape[1])
        weights[f"CNN/b_cnn_{i}"] = given[f"convolution_biases.{i}"]
    for k in range(_count(given, "highways.", ".carry.weight")):
        for gate in ("carry", "transform"):
            weights[f"CNN_high_{k}/W_{gate}"] = given[f"highways.{k}.{gate}.weight"].T
            weights[f"CNN_high_{k}/b_{gate}"] = given[f"highways.{k}.{gate}.bias"]
    if "projection.weight" in given:
        weights["CNN_proj/W_proj"] = given["projection.weight"].T
        weights["CNN_proj/b_proj"] = given["projection.bias"]
    return weights


def cell_name(direction: int, layer: int) -> str:
    return f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"


def character_row(word: str) -> list[int]:
    """The 50 character ids of a word."""
    row = [258]
    for byte in word.encode("utf-8", "surrogatepass"):
        if len(row) < 49:
            row.append(byte)
    row.append(259)
    while len(row) < 50:
        row.append(260)
    return row


def word_vector(row: Sequence[int], weights: Weights, activation: str) -> np.ndarray:
    """(P,) the context-free vector of one row of characters."""
    maxima = []
    for i in range(_count(weights, "CNN/W_cnn_")):
        kernel_WEN = weights[f"CNN/W_cnn_{i}"][0]
        width = len(kernel_WEN)
        scores = []
        for start in range(len(row) - width + 1):
            embedded_WE = weights["char_embed"][list(row[start : start + width])]
            scores.append(np.tensordot(embedded_WE, kernel_WEN, axes=2) + weights[f"CNN/b_cnn_{i}"])
        maxima.append(np.max(scores, axis=0))
    x = np.concatenate(maxima)
    x = np.maximum(x, 0) if activation == "relu" else np.tanh(x)
    for k in range(_count(weights, "CNN_high_", "/W_carry")):
        gate = _sigmoid(x @ weights[f"CNN_high_{k}/W_carry"] + weights[f"CNN_high_{k}/b_carry"])
        transformed = x @ weights[f"CNN_high_{k}/W_transform"] + weights[f"CNN_high_{k}/b_transform"]
        x = gate * np.maximum(transformed, 0) + (1 - gate) * x
    if "CNN_proj/W_proj" in weights:
        x = x @ weights["CNN_proj/W_proj"] + weights["CNN_proj/b_proj"]
    return x


def run_lstm(
    inputs_TP: Sequence[np.ndarray],
    weights: Weights,
    cell: str,
    *,
    cell_clip: float | None,
    projection_clip: float | None,
    state: LstmState,
) -> tuple[list[np.ndarray], LstmState]:
    """One direction of one layer over one sequence in its reading order: outputs h and the last (h, c)."""
    h, c = state
    outputs = []
    for x in inputs_TP:
        z = np.concatenate([x, h]) @ weights[f"{cell}/W_0"] + weights[f"{cell}/B"]
        size = len(z) // 4
        i, j, f, o = z[:size], z[size : 2 * size], z[2 * size : 3 * size], z[3 * size :]
        c = _sigmoid(f + 1) * c + _sigmoid(i) * np.tanh(j)
        if cell_clip is not None:
            c = np.minimum(np.maximum(c, -cell_clip), cell_clip)
        h = _sigmoid(o) * np.tanh(c)
        if (
            f"{cell}/W_P_0" in weights
        ):  # TensorFlow's cell clips what it projects, and nothing without a projection
            h = h @ weights[f"{cell}/W_P_0"]
            if projection_clip is not None:
                h = np.minimum(np.maximum(h, -projection_clip), projection_clip)
        outputs.append(h)
    return outputs, (h, c)


def zero_states(weights: Weights) -> list[list[LstmState]]:
    """For each layer and direction, a state of zeros."""
    states: list[list[LstmState]] = []
    for layer in range(_count(weights, "RNN_0/", "/W_0")):
        states.append([])
        for direction in (0, 1):
            cell = cell_name(direction, layer)
            num_cells = len(weights[f"{cell}/B"]) // 4
            size = weights[f"{cell}/W_P_0"].shape[1] if f"{cell}/W_P_0" in weights else num_cells
            states[-1].append((np.zeros(size), np.zeros(num_cells)))
    return states


def encode(
    words: Sequence[str],
    weights: Weights,
    options: Options,
    states: list[list[LstmState]] | None = None,
) -> tuple[np.ndarray, list[list[LstmState]]]:
    """(L, T, 2 P) layers of one sentence with its markers, and each layer and direction's state after it."""
    rows = [BEGIN_ROW, *(character_row(word) for word in words), END_ROW]
    vectors = [word_vector(row, weights, options.activation) for row in rows]
    reading = [vectors, vectors[::-1]]
    layers = [_side_by_side(reading)]
    last: list[list[LstmState]] = []
    for layer, before in enumerate(zero_states(weights) if states is None else states):
        last.append([])
        for direction in (0, 1):
            outputs, after = run_lstm(
                reading[direction],
                weights,
                cell_name(direction, layer),
                cell_clip=options.cell_clip,
                projection_clip=options.projection_clip,
                state=before[direction],
            )
            if options.skip_connected and layer > 0:
                outputs = [h + x for h, x in zip(outputs, reading[direction], strict=True)]
            reading[direction] = outputs
            last[-1].append(after)
        layers.append(_side_by_side(reading))
    return np.stack(layers), last


def _side_by_side(reading: list[list[np.ndarray]]) -> np.ndarray:
    """(T, 2 P) in the order of the text, from the two directions in their reading orders."""
    forward, backward = reading[0], reading[1][::-1]
    return np.stack([np.concatenate(pair) for pair in zip(forward, backward, strict=True)])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _count(names: Mapping[str, np.ndarray], prefix: str, suffix: str = "") -> int:
    return sum(name.startswith(prefix) and name.endswith(suffix) for name in names)


def assert_near(actual: torch.Tensor, expected: np.ndarray) -> None:
    """Equal to the oracle within 1e-10 (float64) or 1e-5 (float32), relative to the largest value."""
    tolerance = 1e-10 if actual.dtype == torch.float64 else 1e-5
    assert actual.shape == expected.shape
    largest = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(
        actual.detach().double().numpy(), expected, rtol=0, atol=tolerance * float(largest)
    )
