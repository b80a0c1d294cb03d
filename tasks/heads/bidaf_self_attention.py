"""The question answering model of Clark and Gardner (2018), with which Peters et al. (2018) tested ELMo.

Shape legend: B pairs of passage and question, T words of the longest passage, Q words of the longest
question, P size of a word's input, C of its context vector, H hidden size of one direction, S of a linear
layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elmo.registry import REGISTRY
from elmo.values import Dropout, Size
from tasks.heads.attention import TrilinearSimilarity, variational_dropout
from tasks.heads.no_answer import NoAnswerScore
from tasks.heads.pooling import AttentionPooling, masked_softmax
from tasks.heads.recurrent import Cell, RecurrentLayer
from tasks.heads.span_head import SpanHead, SpanScores, Words


@REGISTRY.register("head", "bidaf_self_attention")
class BidafSelfAttention(SpanHead):
    """Simple and Effective Multi-Paragraph Reading Comprehension, section 3, as Peters et al. (2018) used it.

    Passage and question share the first recurrent layer; injected vectors are concatenated to its output.
    Then follow bidirectional attention (Seo et al. 2017), a linear layer, a residual block of a second
    recurrent layer and self-attention, and one recurrent layer each for the start and the end.

    Args:
        input_size: P.
        injected_size: size of the vectors that are concatenated to the first recurrent layer's output, or 0.
        cell: of the recurrent layers; the paper uses the GRU.
        hidden_size: H, hidden size of a recurrent layer in one direction.
        linear_size: S, size of the linear layers with relu.
        dropout: before and after recurrent layers, with one mask for all words of a text, during training.
        variational: the same dropout also on the recurrent connections, as Gal and Ghahramani (2016) have it.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        cell: Cell,
        hidden_size: Size,
        linear_size: Size,
        dropout: Dropout,
        variational: bool = False,
    ) -> None:
        super().__init__()

        def recurrent_layer(size: int) -> RecurrentLayer:
            return RecurrentLayer(
                cell=cell,
                input_size=size,
                hidden_size=hidden_size,
                recurrent_dropout=dropout if variational else 0.0,
            )

        context_size = 2 * hidden_size + injected_size
        self.context = recurrent_layer(input_size)
        self.similarity = TrilinearSimilarity(size=context_size)
        self.matched = nn.Linear(4 * context_size, linear_size)
        self.self_context = recurrent_layer(linear_size)
        self.self_similarity = TrilinearSimilarity(size=2 * hidden_size)
        self.self_matched = nn.Linear(6 * hidden_size, linear_size)
        self.start_layer = recurrent_layer(linear_size)
        self.start_score = nn.Linear(2 * hidden_size, 1)
        self.end_layer = recurrent_layer(linear_size + 2 * hidden_size)
        self.end_score = nn.Linear(2 * hidden_size, 1)
        self.pooling = AttentionPooling(size=linear_size)
        self.no_answer = NoAnswerScore(
            start_size=2 * hidden_size, end_size=2 * hidden_size, pair_size=linear_size
        )
        self.dropout = dropout

    def forward(self, passage: Words, question: Words) -> SpanScores:
        words_BTS = torch.relu(self.matched(self._attended(passage, question)))
        words_BTS = self._dropped(words_BTS + self._self_attended(words_BTS, passage.mask))
        return self._pointed(words_BTS, passage.mask)

    def _read(self, words: Words) -> Tensor:
        """(B, T, C) context vectors of the words."""
        read_BTH = self._dropped(self.context(self._dropped(words.vectors), words.mask))
        return read_BTH if words.injected is None else torch.cat([read_BTH, words.injected], dim=2)

    def _attended(self, passage: Words, question: Words) -> Tensor:
        """(B, T, 4 C): for each passage word h, its attention c over the question, h * c, and q * c.

        q is the question-to-passage attention: the mean of the passage words, weighted by the softmax of
        their largest similarity to a question word.
        """
        h_BTC, question_BQC = self._read(passage), self._read(question)
        similarity_BTQ = self.similarity(h_BTC, question_BQC)
        asked_B1Q = question.mask[:, None]
        c_BTC = masked_softmax(similarity_BTQ, asked_B1Q) @ question_BQC
        best_BT = similarity_BTQ.masked_fill(~asked_B1Q, torch.finfo(similarity_BTQ.dtype).min).amax(dim=2)
        q_B1C = masked_softmax(best_BT, passage.mask)[:, None] @ h_BTC
        return torch.cat([h_BTC, c_BTC, h_BTC * c_BTC, q_B1C * c_BTC], dim=2)

    def _self_attended(self, words_BTS: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T, S) from each word x, its attention c over the other words, and x * c."""
        x_BTH = self._dropped(self.self_context(self._dropped(words_BTS), mask_BT))
        itself_TT = torch.eye(mask_BT.shape[1], dtype=torch.bool, device=mask_BT.device)
        others_BTT = mask_BT[:, None] & ~itself_TT
        c_BTH = masked_softmax(self.self_similarity(x_BTH, x_BTH), others_BTT) @ x_BTH
        return torch.relu(self.self_matched(torch.cat([x_BTH, c_BTH, x_BTH * c_BTH], dim=2)))

    def _pointed(self, words_BTS: Tensor, mask_BT: Tensor) -> SpanScores:
        start_BTH = self.start_layer(words_BTS, mask_BT)
        end_BTH = self.end_layer(torch.cat([words_BTS, start_BTH], dim=2), mask_BT)
        start_BT, end_BT = self.start_score(start_BTH).squeeze(2), self.end_score(end_BTH).squeeze(2)
        no_answer_B = self.no_answer(
            start=(start_BT, start_BTH),
            end=(end_BT, end_BTH),
            pair_BP=self.pooling(words_BTS, mask_BT),
            mask_BT=mask_BT,
        )
        return SpanScores(
            start_BT.masked_fill(~mask_BT, -torch.inf), end_BT.masked_fill(~mask_BT, -torch.inf), no_answer_B
        )

    def _dropped(self, vectors_BTP: Tensor) -> Tensor:
        return variational_dropout(vectors_BTP, self.dropout, self.training)
