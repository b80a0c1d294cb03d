"""The span head: attention over the question and pointers into the passage, as in the reader of DrQA.

Shape legend: B pairs of passage and question, T words of the longest passage, Q of the longest question,
P size of a word's input, R of its encoding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import Depth, Dropout, Size
from tasks.heads.attention import variational_dropout
from tasks.heads.no_answer import NoAnswerScore
from tasks.heads.pooling import AttentionPooling, masked_softmax, weighted_sum
from tasks.heads.recurrent import Cell, RecurrentLayer
from tasks.heads.span_head import SpanHead, SpanScores, Words


@REGISTRY.register("head", "span")
class PointerReader(SpanHead):
    """The reader of Chen et al. (2017), section 3.2, but the end score also depends on the start scores.

    Each passage word's vector is concatenated with its attention over the question's vectors and encoded by
    recurrent layers. The start score compares a word's encoding with one vector of the question; the end
    score compares it with that vector and the mean of the encodings, weighted by start probability.

    Args:
        input_size: P.
        injected_size: size of the vectors that are concatenated to the first recurrent layer's output, as the
            second reads it, or 0.
        cell: of the recurrent layers.
        hidden_size: of a recurrent layer in one direction.
        num_layers: number of recurrent layers for passage and question; the outputs of all are concatenated.
            At least 2 for injected vectors.
        alignment_size: size of the projection in which the words of passage and question are compared.
        dropout: before each recurrent layer and the pointers, with one mask for all words of a text, during
            training.
        variational: the same dropout also on the recurrent connections, as Gal and Ghahramani (2016) have it.

    Raises:
        InputError: no recurrent layer would read the injected vectors.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        cell: Cell,
        hidden_size: Size,
        num_layers: Depth,
        alignment_size: Size,
        dropout: Dropout,
        variational: bool = False,
    ) -> None:
        super().__init__()
        if injected_size and num_layers == 1:
            raise InputError(
                "head.num_layers: 1, but injected vectors are read by the second recurrent layer; give 2 or"
                " more, or use task.injection=input"
            )

        def reader(size: int) -> nn.ModuleList:
            above = 2 * hidden_size  # the output of a layer, which is the input of the one above
            sizes = [size, above + injected_size, *[above] * num_layers][:num_layers]
            return nn.ModuleList(
                RecurrentLayer(
                    cell=cell,
                    input_size=size,
                    hidden_size=hidden_size,
                    recurrent_dropout=dropout if variational else 0.0,
                )
                for size in sizes
            )

        read_size = num_layers * 2 * hidden_size
        self.alignment = nn.Linear(input_size, alignment_size)
        self.passage_reader = reader(2 * input_size)
        self.question_reader = reader(input_size)
        self.question_pooling = AttentionPooling(size=read_size)
        self.start = nn.Linear(read_size, read_size)
        self.end = nn.Linear(2 * read_size, read_size)
        self.no_answer = NoAnswerScore(start_size=read_size, end_size=read_size, pair_size=read_size)
        self.dropout = dropout

    def forward(self, passage: Words, question: Words) -> SpanScores:
        joined_BTP = torch.cat([passage.vectors, self._aligned(passage, question)], dim=2)
        passage_BTR = self._read(self.passage_reader, passage._replace(vectors=joined_BTP))
        question_BQR = self._read(self.question_reader, question)
        question_BR = self.question_pooling(question_BQR, question.mask)

        start_BT = _compared(passage_BTR, self.start(question_BR))
        likely_BR = weighted_sum(masked_softmax(start_BT, passage.mask), passage_BTR)
        end_BT = _compared(passage_BTR, self.end(torch.cat([question_BR, likely_BR], dim=1)))
        no_answer_B = self.no_answer(
            start=(start_BT, passage_BTR),
            end=(end_BT, passage_BTR),
            pair_BP=question_BR,
            mask_BT=passage.mask,
        )
        padding_BT = ~passage.mask
        return SpanScores(
            start_BT.masked_fill(padding_BT, -torch.inf),
            end_BT.masked_fill(padding_BT, -torch.inf),
            no_answer_B,
        )

    def _aligned(self, passage: Words, question: Words) -> Tensor:
        """(B, T, P): for each passage word, the mean of the question's vectors, weighted by similarity."""
        asked_BQA = torch.relu(self.alignment(question.vectors))
        similarity_BTQ = torch.relu(self.alignment(passage.vectors)) @ asked_BQA.transpose(1, 2)
        return masked_softmax(similarity_BTQ, question.mask[:, None]) @ question.vectors

    def _read(self, reader: nn.ModuleList, words: Words) -> Tensor:
        """(B, T, R): the concatenated outputs of all layers; the second also reads the injected vectors.

        The pointers do not read them: with several times the size and the number of the LSTM's values, they
        would decide all dot products of an untrained head.
        """
        outputs: list[Tensor] = []
        vectors = words.vectors
        for layer in reader:
            outputs.append(layer(variational_dropout(vectors, self.dropout, self.training), words.mask))
            vectors = outputs[-1]
            if len(outputs) == 1 and words.injected is not None:
                vectors = torch.cat([vectors, words.injected], dim=2)
        return variational_dropout(torch.cat(outputs, dim=2), self.dropout, self.training)


def _compared(words_BTR: Tensor, query_BR: Tensor) -> Tensor:
    """(B, T), the dot product of each word with its pair's query."""
    return (words_BTR @ query_BR[:, :, None]).squeeze(2)
