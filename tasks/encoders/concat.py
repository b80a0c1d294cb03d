"""Several encoders whose vectors are concatenated."""

from __future__ import annotations

from typing import Any

from torch import nn

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.encoders.elmo import ElmoEncoder
from tasks.encoders.parts import build_part, for_each_part


@REGISTRY.register("encoder", "concat")
class ConcatEncoder(nn.Module):
    """Several named encoders; the model mixes the layers of each and concatenates the results.

    Args:
        parts: the config nodes of at least two encoders, by a name of your choice. At most one may be a biLM,
            as `init_from` has the weights of one.

    Attributes:
        parts: the encoders, in the same order.
    """

    def __init__(self, *, parts: dict[str, Any]) -> None:
        super().__init__()
        if len(parts) < 2:
            raise InputError(f"encoder.parts: expected at least two, got {', '.join(parts) or 'none'}")
        for name in parts:
            if not str(name).isidentifier() or hasattr(nn.ModuleDict, str(name)):
                raise InputError(f"encoder.parts.{name}: expected another name, of letters, digits and _")
        self.parts = nn.ModuleDict(for_each_part(parts, build_part))
        bilms = [name for name, part in self.parts.items() if isinstance(part, ElmoEncoder)]
        if len(bilms) > 1:
            raise InputError(
                f"encoder.parts.{bilms[1]}: a second biLM besides {bilms[0]}; at most one is possible"
            )
