"""The base of every part of a config; a room's own schema file imports it, and is registered in `schema`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class Section:
    """A part of the config, or its root."""

    def disagreements(self) -> Iterable[str]:
        """Faults that types cannot express, each beginning with the key within this section."""
        return ()
