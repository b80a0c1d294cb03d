"""Explanations of predictions: each word on the colour of its saliency, nothing of a text becomes markup."""

from __future__ import annotations

import io
from html.parser import HTMLParser

from experiments.logging.explanation import ExplanationPage, TerminalExplanations, coloured

SALIENCIES = [("A", 0.01), ("great", 0.5), ("dull", -0.25), ("film", 0.1), ("<b>&\x1b", -0.5)]


class Page(HTMLParser):
    """The tags of a page, their attributes, and the texts of its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.links: list[str] = []
        self._attributes: dict[str, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._attributes = dict(attrs)
        self.links += [name for name in self._attributes if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["span"]:
            self.words.append((data, self._attributes))
        elif self.open[-1:] in (["h2"], ["h1"]):
            self.titles.append(data)


def page_of(*titles: str) -> str:
    file = io.StringIO()
    page = ExplanationPage(file, title="runs/<mine>")
    for title in titles:
        page.add(title, SALIENCIES)
    page.close()
    return file.getvalue()


def test_a_page_has_every_word_with_its_hue_strength_and_number() -> None:
    page = Page(page_of("line 1: label positive"))
    legend, words = page.words[:2], page.words[2:]
    assert [word for word, _ in legend] == ["speaks for the prediction", "speaks against it"]
    assert [word for word, _ in words] == ["A", "great", "dull", "film", "<b>&\ufffd"]
    assert [attributes["class"] for _, attributes in words] == ["for", "for", "against", "for", "against"]
    strengths = ["0.02", "1.00", "0.50", "0.20", "1.00"]  # shares of 0.5
    assert [attributes["style"] for _, attributes in words] == [f"--strength:{each}" for each in strengths]
    numbers = [attributes["title"] for _, attributes in words]
    assert numbers == ["+0.01", "+0.5", "-0.25", "+0.1", "-0.5"]


def test_a_page_is_whole_needs_nothing_else_and_follows_the_readers_light() -> None:
    text = page_of("line 1", "line 2: <script>alert(1)</script>")
    page = Page(text)
    assert page.titles == ["runs/<mine>", "line 1", "line 2: <script>alert(1)</script>"]
    assert page.open == [] and page.links == []
    assert "<script" not in text and "url(" not in text and "http" not in text
    assert "color-scheme: light dark" in text


def test_a_page_without_predictions_is_one() -> None:
    assert Page(page_of()).titles == ["runs/<mine>"]


def test_a_page_is_empty_until_there_is_a_prediction() -> None:
    file = io.StringIO()
    page = ExplanationPage(file, title="run")
    assert file.getvalue() == ""
    page.add("line 1", [])
    assert file.getvalue().endswith('<h2>line 1</h2>\n<p dir="auto"></p>\n')


def test_the_terminals_colours_are_of_the_sign_and_stronger_with_the_saliency() -> None:
    text = coloured(SALIENCIES, numbered=False)
    assert text.plain == "A great dull film <b>&\ufffd"
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles == {
        "great": "black on #60a5fa",
        "dull": "black on #fdba74",  # half of the strongest
        "film": "black on #dbeafe",  # a fifth
        "<b>&\ufffd": "black on #fb923c",
    }


def test_without_colours_numbers_stand_behind_the_words_that_matter() -> None:
    file = io.StringIO()
    TerminalExplanations(file).add("line 1: [label]", [*SALIENCIES, ("[b]", 0.0)])
    assert file.getvalue() == (
        "speaks for the prediction(+) speaks against it(-)\n\n"
        "line 1: [label]\n"
        "A great(+0.5) dull(-0.25) film(+0.1) <b>&\ufffd(-0.5) [b]\n\n"
    )


def test_saliencies_of_nothing_colour_nothing() -> None:
    assert coloured([("a", 0.0), ("b", 0.0)], numbered=True).plain == "a b"
    assert coloured([], numbered=False).plain == ""
