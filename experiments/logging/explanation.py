"""Words coloured by their contribution to a prediction: in the terminal, and as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TextIO

from rich.console import Console
from rich.text import Text

Saliencies = Sequence[
    tuple[str, float]
]  # words with their contributions for (> 0) or against (< 0) a prediction

# The same two hues in both places, blue and orange: told apart by nearly all who see colours differently.
_FOR = ("#dbeafe", "#93c5fd", "#60a5fa")  # of the terminal, with black letters; for saliencies from weak
_AGAINST = ("#ffedd5", "#fdba74", "#fb923c")  # to strong
_STEPS = (0.1, 0.4, 0.7)  # of the strongest saliency, from where a word has the next colour

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_PAGE_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --for: 37 99 235; --against: 234 88 12 }}
body {{ font: 1rem/1.8 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.3rem }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 0 }}
p {{ margin: .2rem 0; overflow-wrap: anywhere }}
span {{ border-radius: .2em; padding: .1em .15em }}
.for {{ background: rgb(var(--for) / calc(var(--strength) * .6)) }}
.against {{ background: rgb(var(--against) / calc(var(--strength) * .6)) }}
.against {{ border-bottom: 2px dotted rgb(var(--against) / var(--strength)) }}
</style>
</head>
<body>
<h1>{title}</h1>
<p><span class="for" style="--strength:1">speaks for the prediction</span>
<span class="against" style="--strength:1">speaks against it</span>
The stronger the colour, the more of it, within a text. A word's tooltip has its number.</p>
"""
_PAGE_END = "</body>\n</html>\n"


class TerminalExplanations:
    """Prints words on their colours; where there are none, as in a file, with numbers: `great(+0.53)`."""

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file, highlight=False, soft_wrap=True)
        # Sixteen colours have no weak orange.
        self._numbered = self._console.no_color or self._console.color_system in (None, "standard")
        self._console.print(_legend(numbered=self._numbered), end="\n\n")

    def add(self, title: str, saliencies: Saliencies) -> None:
        """Print a prediction's title and words."""
        self._console.print(Text(printable(title), style="bold"))
        self._console.print(coloured(saliencies, numbered=self._numbered), end="\n\n")


class ExplanationPage:
    """Writes a page of HTML that needs nothing else, prediction after prediction; `close` ends it."""

    def __init__(self, file: TextIO, *, title: str) -> None:
        self._file = file
        self._head = _PAGE_HEAD.format(title=escape(printable(title)))  # not written before there is more

    def add(self, title: str, saliencies: Saliencies) -> None:
        """Write a prediction's title and words; a browser shows them even before the page has its end."""
        self._write(f'<h2>{escape(printable(title))}</h2>\n<p dir="auto">{_spans(saliencies)}</p>\n')

    def close(self) -> None:
        """Write the page's end."""
        self._write(_PAGE_END)

    def _write(self, text: str) -> None:
        self._file.write(self._head + text)
        self._file.flush()
        self._head = ""


def coloured(saliencies: Saliencies, *, numbered: bool) -> Text:
    """The words for a terminal, each on its colour, if `numbered` with the saliencies that have one."""
    text = Text()
    for (word, saliency), strength in zip(saliencies, _strengths(saliencies), strict=True):
        style = _style(strength)
        number = f"({saliency:+.3g})" if numbered and style else ""
        text.append(" " if text else "").append(f"{printable(word)}{number}", style=style)
    return text


def _legend(*, numbered: bool) -> Text:
    return Text.assemble(
        ("speaks for the prediction" + "(+)" * numbered, _style(1.0)),
        " ",
        ("speaks against it" + "(-)" * numbered, _style(-1.0)),
    )


def _spans(saliencies: Saliencies) -> str:
    return " ".join(
        f'<span class="{"for" if saliency >= 0 else "against"}" style="--strength:{abs(strength):.2f}" '
        f'title="{saliency:+.3g}">{escape(printable(word))}</span>'
        for (word, saliency), strength in zip(saliencies, _strengths(saliencies), strict=True)
    )


def printable(text: str) -> str:
    """A text without control characters and unpaired surrogates."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _strengths(saliencies: Saliencies) -> list[float]:
    """Saliencies as shares of the text's strongest, -1 to 1."""
    strongest = max((abs(saliency) for _, saliency in saliencies), default=0.0) or 1.0
    return [saliency / strongest for _, saliency in saliencies]


def _style(strength: float) -> str:
    step = sum(abs(strength) >= start for start in _STEPS)
    return f"black on {(_FOR if strength > 0 else _AGAINST)[step - 1]}" if step else ""
