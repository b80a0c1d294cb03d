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
_EVERY_TIME_THE_SAME = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


@contextmanager
def picture(path: Path, *, size: tuple[float, float], texts: Iterable[str] = ()) -> Iterator[Figure]:
    """Draw a picture: yields an empty figure, which is written as a PNG when the block ends.

    Args:
        path: of the file, which is written atomically.
        size: width and height in inches.
        texts: what will be written in the picture, besides English.
    """
    with fonts_for(texts, where=path):
        figure = empty_figure(size)
        yield figure
        save_figure(figure, path)


@contextmanager
def fonts_for(texts: Iterable[str], *, where: Path) -> Iterator[None]:
    """Within the block, characters that the usual font lacks are taken from other installed fonts.

    If no font has them, boxes stand in their places, and one warning names them.

    Args:
        texts: what will be written in pictures, besides English.
        where: the pictures' path, for the warning.
    """
    import matplotlib  # takes a second to import

    fonts, absent = _fonts_for({character for text in texts for character in text if character.isprintable()})
    if absent:
        LOG.warning(
            "%s: no installed font has %s; boxes stand for them. Fonts such as Noto draw every script",
            where,
            " ".join(sorted(absent)[:20]) + " ..." * (len(absent) > 20),
        )
    with (
        # Fonts as TrueType, as publishers refuse a PDF's usual type 3.
        matplotlib.rc_context({"font.family": fonts, "pdf.fonttype": 42, "svg.hashsalt": "fixed"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # said above, once
        logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells every table of every font
        yield


def empty_figure(size: tuple[float, float]) -> Figure:
    """A figure of a width and height in inches, which no global state of matplotlib holds."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def save_figure(figure: Figure, path: Path, *, resolution: int = _RESOLUTION) -> None:
    """Write a figure atomically, in the format of the path's ending; the file holds no date.

    Args:
        figure: what is drawn.
        path: of the file.
        resolution: of a PNG, in dots per inch.
    """
    kind = path.suffix.removeprefix(".")
    with atomic_write(path) as aside:
        figure.savefig(aside, format=kind, dpi=resolution, metadata=_EVERY_TIME_THE_SAME.get(kind))


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
