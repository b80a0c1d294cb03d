"""The model of all classification of texts, from the words of their windows to a score for each label.

Shape legend: N texts, B windows of all of them, S size of a window's vector, V labels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from elmo.errors import InputError
from tasks.heads.pooling import WindowAttention
from tasks.heads.span_head import Words
from tasks.heads.text_head import TextHead
from tasks.supervised.representation import Representation, WindowBatch


class Classifier(nn.Module):
    """Representation, head, attention over a text's windows, dropout and a linear layer, one after the other.

    `forward` is `represent` and `classify`; who wants the gradient at the words calls the two. `classify` is
    `encode` and `score`; who has more windows of a text than memory holds encodes a few at a time.

    Args:
        representation: gives the windows' words their vectors.
        head: gives each window its vector.
        num_labels: V.
        dropout: on a text's vector, while training.
    """

    def __init__(
        self, *, representation: Representation, head: TextHead, num_labels: int, dropout: float
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"task.dropout: expected at least 0 and less than 1, got {dropout}")
        self.representation = representation
        self.head = head
        self.window_attention = WindowAttention(size=head.output_size)
        self.linear = nn.Linear(head.output_size, num_labels)
        self.dropout = dropout

    def forward(self, batch: WindowBatch, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits.

        Args:
            batch: the windows; each has one word at least.
            text_of_window_B: 0..N-1, the text that a window is of; every text has one at least.
            num_texts: N.
        """
        return self.classify(self.represent(batch), text_of_window_B, num_texts)

    def represent(self, batch: WindowBatch) -> Words:
        """The vectors of the windows' words."""
        return self.representation(batch)

    def classify(self, words: Words, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits, of words that have their vectors."""
        return self.score(self.encode(words), text_of_window_B, num_texts)

    def encode(self, words: Words) -> Tensor:
        """(B, S) the head's vector of each window."""
        return self.head(words.vectors, words.mask, words.injected)

    def score(self, windows_BS: Tensor, text_of_window_B: Tensor, num_texts: int) -> Tensor:
        """(N, V) logits, of windows that have their vectors."""
        texts_NS = self.window_attention(windows_BS, text_of_window_B, num_texts)
        return self.linear(F.dropout(texts_NS, self.dropout, self.training))
