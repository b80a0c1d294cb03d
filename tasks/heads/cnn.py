"""A convolutional network over a fixed number of words, as in many tutorials on ELMo vectors.

Shape legend: B windows, T words of the longest one, P and E sizes of the vectors, C filters, X pairs of
positions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Size
from tasks.heads.text_head import TextHead, refuse_injection


@REGISTRY.register("head", "cnn")
class CnnHead(TextHead):
    """Convolution, relu, convolution, relu, max-pooling of width 2, flattening, a linear layer with relu.

    A window is padded with zeros to `num_words`; the convolutions read this padding and add none themselves.
    The dropout of 0.5 at the end of the tutorials' network is the classifier's `task.dropout`.

    Args:
        input_size, injected_size: P and E; E must be 0, as the head has no recurrent layer.
        num_words: largest number of words in a window.
        num_filters: C, of each convolution.
        width: number of words that a filter covers.
        hidden_size: size of the linear layer.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        num_words: Size,
        num_filters: Size = 64,
        width: Size = 3,
        hidden_size: Size = 64,
    ) -> None:
        super().__init__()
        refuse_injection("cnn", injected_size)
        if num_words < 2 * width:
            raise InputError(
                f"head.num_words: expected at least {2 * width}, twice head.width, got {num_words}"
            )
        self.num_words = self.max_words = num_words
        self.width = width
        self.num_positions = (num_words - 2 * (width - 1)) // 2
        self.convolutions = nn.Sequential(
            nn.Conv1d(input_size, num_filters, width),
            nn.ReLU(),
            nn.Conv1d(num_filters, num_filters, width),
            nn.ReLU(),
            nn.MaxPool1d(2),
        )
        self.hidden = nn.Linear(num_filters * self.num_positions, hidden_size)
        self.output_size = hidden_size

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        features_BCX = self.convolutions(self._filled_up(vectors_BTP, mask_BT).transpose(1, 2))
        rest = self.num_positions - features_BCX.shape[-1]
        return F.relu(self.hidden(F.pad(features_BCX, (0, rest), mode="replicate").flatten(1)))

    def _filled_up(self, vectors_BTP: Tensor, mask_BT: Tensor) -> Tensor:
        """Pad with zeros to `num_words`, or only until a pooled position depends on zeros alone.

        All later positions have the same value: `forward` replicates it instead of computing it.
        """
        longest = int(mask_BT.sum(dim=1).max())
        if longest > self.num_words:
            raise InputError(
                f"head.num_words: expected windows of at most {self.num_words} words, got {longest}"
            )
        length = min(self.num_words, longest + longest % 2 + 2 * self.width)
        return F.pad(vectors_BTP[:, :length], (0, 0, 0, max(0, length - vectors_BTP.shape[1])))
