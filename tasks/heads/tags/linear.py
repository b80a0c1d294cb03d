"""The simplest head for tagging: the words' vectors as they are.

Shape legend: B sentences, T words of the longest one, P and E sizes of the vectors.
"""

from __future__ import annotations

from torch import Tensor, nn

from elmo.registry import REGISTRY
from elmo.values import Dropout, Size
from tasks.heads.tags.tag_head import TagHead
from tasks.heads.text_head import refuse_injection


@REGISTRY.register("head", "linear")
class LinearHead(TagHead):
    """The words' vectors, optionally through a linear layer with relu; each label is a linear function of it.

    Args:
        input_size, injected_size: P and E; E must be 0, as the head has no recurrent layer.
        hidden_size: size of the relu layer; None: no layer.
        dropout: on the relu layer's outputs, during training; without the layer, the words' own dropout does.
        crf: learn scores of neighbouring labels, too.
    """

    def __init__(
        self,
        *,
        input_size: int,
        injected_size: int,
        hidden_size: Size | None = None,
        dropout: Dropout = 0.5,
        crf: bool = False,
    ) -> None:
        super().__init__()
        refuse_injection("linear", injected_size, others="head=bilstm_crf")
        self.crf = crf
        self.hidden: nn.Module = nn.Identity()
        self.output_size = hidden_size or input_size
        if hidden_size is not None:
            self.hidden = nn.Sequential(nn.Linear(input_size, hidden_size), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, vectors_BTP: Tensor, mask_BT: Tensor, injected_BTE: Tensor | None) -> Tensor:
        return self.hidden(vectors_BTP)
