"""The HTML report: one file that needs no other, in which every text is escaped."""

from __future__ import annotations

import base64
import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_comparison import sample_comparison, sample_group

from experiments.compare.comparison import Comparison, LeftOut
from experiments.compare.figures.choice import pictures_of
from experiments.compare.figures.html import write_html
from experiments.sweep.record import SweepRecord

STRANGE = "<b>&\"'$ 日本"
VOID = {"meta", "img", "br", "link"}


class Report(HTMLParser):
    """The elements of a page: each must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    path = tmp_path_factory.mktemp("report")
    groups = [
        sample_group(path / "a", {"encoder": STRANGE}, [80.0, 81.0, 82.0]),
        sample_group(path / "b", {"encoder": "word"}, [70.0, 71.0]),
    ]
    return dataclasses.replace(
        sample_comparison(groups),
        warnings=[f"a warning of {STRANGE}"],
        left_out=[LeftOut(Path("runs/<lost>"), "failed: <memory>", 0.1)],
        sweep=SweepRecord("my sweep", "sweep", [], f"Is {STRANGE} better?", {"grid": {"encoder": [STRANGE]}}),
    )


@pytest.fixture(scope="module")
def text(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("html") / "report.html"
    write_html(
        comparison, path, command="python -m experiments.compare sweep='a b'", paragraphs=["n = <five>"]
    )
    return path.read_text(encoding="utf-8")


def test_every_text_is_escaped_and_every_element_closed(text: str) -> None:
    report = Report(text)
    assert "b" not in {tag for tag, _ in report.elements}
    assert "script" not in {tag for tag, _ in report.elements}
    assert f"a warning of {STRANGE}" in report.texts
    assert f"Is {STRANGE} better?" in report.texts
    assert STRANGE in report.texts  # a cell of the table
    assert "n = <five>" in report.texts
    assert "runs/<lost>: failed: <memory>" in report.texts


def test_nothing_is_fetched_from_anywhere(text: str) -> None:
    for tag, attributes in Report(text).elements:
        assert tag not in ("link", "script", "iframe", "object")
        for name in ("src", "href", "srcset", "data", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in text
    assert "http:" not in text
    assert "https:" not in text


def test_it_holds_every_picture_with_its_caption(text: str, comparison: Comparison) -> None:
    images = [attributes for tag, attributes in Report(text).elements if tag == "img"]
    pictures = pictures_of(comparison)
    assert len(images) == len(pictures) >= 4
    for image, picture in zip(images, pictures, strict=True):
        content = base64.b64decode((image["src"] or "").removeprefix("data:image/svg+xml;base64,"))
        assert b"<svg" in content
        assert image["alt"] == f"{picture.title}. {picture.caption}"
    assert images[0]["alt"] and "n = 2 to 3 runs of each group" in images[0]["alt"]


def test_it_says_n_names_both_claims_and_how_to_repeat_it(text: str, comparison: Comparison) -> None:
    texts = Report(text).texts
    assert "n = 5 in 2 groups" in texts
    assert any("This is the claim" in part or "the claim to make about methods" in part for part in texts)
    assert any("says nothing of the methods trained again" in part for part in texts)
    (commands,) = [part for part in texts if part.startswith("python -m experiments.sweep sweep='my sweep'")]
    assert "python -m experiments.rerun run=" in commands
    assert commands.endswith("python -m experiments.compare sweep='a b'")
    assert "80.00" in texts  # the score of a run
    assert any("encoder:" in part for part in texts)  # the sweep's file


def test_one_run_makes_a_report_as_well(tmp_path: Path) -> None:
    alone = sample_comparison([sample_group(tmp_path / "a", {}, [80.0])])
    write_html(alone, tmp_path / "report.html")
    assert "n = 1 in 1 group" in Report((tmp_path / "report.html").read_text(encoding="utf-8")).texts
