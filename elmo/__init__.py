"""ELMo in PyTorch: the character-based bidirectional language model of Peters et al. (2018), as a library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elmo.version import __version__

if TYPE_CHECKING:
    from elmo.bilm.mixes import ScalarMix
    from elmo.inference.embedder import ElmoEmbedder
    from elmo.inference.module import Elmo, batch_to_ids

__all__ = ["Elmo", "ElmoEmbedder", "ScalarMix", "__version__", "batch_to_ids"]

_HOMES = {
    "Elmo": "elmo.inference.module",
    "ElmoEmbedder": "elmo.inference.embedder",
    "ScalarMix": "elmo.bilm.mixes",
    "batch_to_ids": "elmo.inference.module",
}


def __getattr__(name: str) -> Any:
    # imported on first use: worker processes import the tokenizers in this package without importing torch
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
