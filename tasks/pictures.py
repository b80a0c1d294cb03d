"""Pictures of a run: PNG files whose words are drawn in any script that an installed font has."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from elmo.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG = logging.getLogger(__name__)
_RESOLUTION = 120  # dots per inch


@contextmanager
def picture(path: Path, *, size: tuple[float, float], texts: Iterable[str] = ()) -> Iterator[Figure]:
    """Draw a picture: yields an empty figure, which is written as a PNG when the block ends.

    Characters that the usual font lacks are taken from other installed fonts. If no font has them, boxes
    stand in their places, and one warning names them.

    Args:
        path: of the file, which is written atomically.
        size: width and height in inches.
        texts: what will be written in the picture, besides English.
    """
    import matplotlib  # takes a second to import
    from matplotlib.figure import Figure

    fonts, absent = _fonts_for({character for text in texts for character in text if character.isprintable()})
    if absent:
        LOG.warning(
            "%s: no installed font has %s; boxes stand for them. Fonts such as Noto draw every script",
            path,
            " ".join(sorted(absent)[:20]) + " ..." * (len(absent) > 20),
        )
    with matplotlib.rc_context({"font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # said above, once
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        with atomic_write(path) as aside:
            figure.savefig(aside, format="png", dpi=_RESOLUTION)


def literal(text: str) -> str:
    """A text for a picture: dollar signs are escaped, as matplotlib expects a formula between two of them."""
    return text.replace("$", r"\$")


def _fonts_for(characters: set[str]) -> tuple[list[str], set[str]]:
    """The usual font and those that are needed beside it, and the characters that no font has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    usual = FontProperties()
    fonts, absent = [usual.get_name()], characters - _characters_of(findfont(usual))
    upright = [entry for entry in fontManager.ttflist if (entry.style, entry.weight) == ("normal", 400)]
    for entry in sorted(upright, key=lambda entry: entry.name) if absent else []:
        found = absent & _characters_of(entry.fname)
        if found and "Last Resort" not in entry.name:  # which has a box for every character
            fonts.append(entry.name)
            absent -= found
    return fonts, absent


def _characters_of(font_path: str) -> set[str]:
    from matplotlib.font_manager import get_font

    return set(map(chr, get_font(font_path).get_charmap()))
