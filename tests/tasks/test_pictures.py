"""Pictures in scripts that the usual font does not have."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from matplotlib.font_manager import FontEntry, fontManager

from tasks.pictures import picture

STRANGE = "\u2aa1\u2337"  # the usual font has the first, STIXGeneral both
ABSENT = "\u65e5\u672c"


def draw(path: Path, text: str) -> bytes:
    with picture(path, size=(2, 1), texts=[text]) as figure:
        figure.text(0.1, 0.5, text)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def matplotlibs_own_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fonts are installed here, those that come with matplotlib are seen alone."""
    own = [entry for entry in fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)


def test_a_character_that_the_usual_font_lacks_is_drawn_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = draw(tmp_path / "with.png", STRANGE)
    assert caplog.records == []

    def is_stix(entry: FontEntry) -> bool:
        return entry.name.startswith("STIX")

    without = [entry for entry in fontManager.ttflist if not is_stix(entry)]
    monkeypatch.setattr(fontManager, "ttflist", without)
    assert draw(tmp_path / "without.png", STRANGE) != drawn
    assert len(caplog.records) == 1


def test_characters_that_no_font_has_are_named_in_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert draw(tmp_path / "plots" / "words.png", f"{ABSENT} and {ABSENT}").startswith(b"\x89PNG")
    (record,) = caplog.records
    assert record.message.startswith(
        f"{tmp_path}/plots/words.png: no installed font has \u65e5 \u672c; boxes"
    )


def test_a_pdf_embeds_fonts_as_publishers_ask_and_says_nothing_of_their_tables(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        pdf = draw(tmp_path / "words.pdf", "word")
    assert b"/FontFile2" in pdf  # TrueType
    assert b"/Type3" not in pdf
    assert caplog.records == []
