"""The arithmetic that a biLM's definition asks for, whatever an implementation saves of it."""

from __future__ import annotations

from elmo.bilm.char_cnn import CharCnn
from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.lstm import LstmLayer
from elmo.io.loading import Encoder
from elmo.text.characters import MAX_CHARACTERS


def operations_per_word(encoder: Encoder) -> int:
    """Floating-point operations of the matrix products for one word, a multiplication and an addition each.

    Nothing is saved: every word is spelled anew, in all its 50 characters. Markers are not counted.
    """
    products = sum(2 * _lstm_products(layer) for layer in encoder.bilstm.lstm_layers())  # of both directions
    if isinstance(encoder, CharCnnLstm):
        products += _cnn_products(encoder.char_cnn)
    return 2 * products


def weights_per_step(encoder: Encoder) -> int:
    """Weights that every LSTM step of both directions has to read: those of what the step before gave out.

    The others can be read once for a whole sentence.
    """
    layers = encoder.bilstm.lstm_layers()
    return sum(2 * (_lstm_products(layer) - layer.kernel[0, : layer.input_size].numel()) for layer in layers)


def _lstm_products(layer: LstmLayer) -> int:
    """Multiplications of one direction of a layer, as many as it has weights in its matrices."""
    matrices = [layer.kernel] if layer.projection is None else [layer.kernel, layer.projection]
    return sum(matrix[0].numel() for matrix in matrices)


def _cnn_products(cnn: CharCnn) -> int:
    embedding_size = cnn.embedding.shape[1]
    convolutions = sum(
        (MAX_CHARACTERS - width + 1) * width * embedding_size * number for width, number in cnn.filters
    )
    linears = [*cnn.highways.parameters()] + ([] if cnn.projection is None else [cnn.projection.weight])
    return convolutions + sum(weight.numel() for weight in linears if weight.dim() == 2)
