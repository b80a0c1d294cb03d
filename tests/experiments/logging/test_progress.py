"""Progress and tables: speeds by the clock, few plain lines, no control codes where there is no terminal."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from experiments.logging.progress import Cell, Speed, make_progress, summary_table


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def test_without_a_terminal_a_line_comes_every_ten_seconds_and_at_the_end() -> None:
    clock, file = Clock(), io.StringIO()
    with make_progress("auto", title="training", file=file, clock=clock) as progress:
        for second in range(1, 26):
            clock.now = 100.0 + second
            progress.update(step=second * 2, tokens=second * 1000, loss=6.0, fraction=second / 100)
    assert file.getvalue().splitlines() == [
        "training:  10%, step 20, 10,000 tokens, 1,000 tokens/s, loss 6.000, 1:30 left",
        "training:  20%, step 40, 20,000 tokens, 1,000 tokens/s, loss 6.000, 1:20 left",
        "training:  25%, step 50, 25,000 tokens, 1,000 tokens/s, loss 6.000, 1:15 left",
    ]


def test_a_transient_display_says_nothing_of_what_was_short() -> None:
    clock, file = Clock(), io.StringIO()
    with make_progress("plain", title="scoring dev", transient=True, file=file, clock=clock) as progress:
        for second in (9, 12, 15):
            clock.now = 100.0 + second
            progress.update(fraction=second / 15)
    assert file.getvalue() == "scoring dev:  80%, 0:03 left\n"


def test_a_bar_runs_within_another(terminal: Terminal) -> None:
    with make_progress("rich", title="training", file=terminal) as outer:
        outer.update(fraction=0.25, tokens=100)
        with make_progress("rich", title="scoring dev", file=terminal) as inner:
            inner.update(fraction=0.5)
        outer.update(fraction=0.5, tokens=200)
    shown = terminal.getvalue()
    assert 0 < shown.index("scoring dev") < shown.rindex("training")
    assert "200 tokens" in shown[shown.rindex("training") :]


def test_a_preparation_shows_its_sentences() -> None:
    clock, file = Clock(), io.StringIO()
    with make_progress("plain", title="preparing train", file=file, clock=clock) as progress:
        clock.now += 2
        progress.update(tokens=600_000, sentences=25_000, fraction=0.5)
    expected = "preparing train:  50%, 600,000 tokens, 25,000 sentences, 300,000 tokens/s, 0:02 left\n"
    assert file.getvalue() == expected


def test_speed_is_that_of_the_last_half_minute_and_of_this_process() -> None:
    clock, file = Clock(), io.StringIO()
    progress = make_progress(
        "plain", title="training", start_tokens=1_000_000, start_fraction=0.5, file=file, clock=clock
    )
    for second, tokens in ((60, 1_000_000), (70, 1_002_000), (90, 1_006_000)):  # a minute of nothing at first
        clock.now = 100.0 + second
        progress.update(tokens=tokens, fraction=tokens / 2_000_000)
    progress.close()
    assert "200 tokens/s, 1:22:50 left" in file.getvalue().splitlines()[-1]


def test_a_speed_needs_no_more_memory_the_more_often_it_is_told() -> None:
    clock = Clock()
    speed = Speed(start_tokens=0, start_fraction=0.0, clock=clock)
    tracemalloc.start()
    for tokens in range(1, 100_001):
        clock.now += 0.0001
        speed.add(tokens, tokens / 200_000)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    assert speed.tokens_per_second() == pytest.approx(10_000)
    assert speed.seconds_left() == pytest.approx(10)


def test_no_progress_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with make_progress("none", title="training") as progress:
        progress.update(tokens=1, fraction=1.0)
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_a_bar_is_drawn(terminal: Terminal) -> None:
    with make_progress("auto", title="training [x]", file=terminal) as progress:
        progress.update(step=7, tokens=640, loss=5.25, fraction=0.25)
    shown = terminal.getvalue()
    assert "training [x]" in shown
    assert "25%" in shown
    assert "step 7, 640 tokens" in shown
    assert "\x1b[" in shown


ROWS: list[list[Cell]] = [["forward", 112.345, 41_000], ["bigram [bold]", 137.0, None]]


def test_a_table_without_a_terminal_is_aligned_plain_text() -> None:
    file = io.StringIO()
    summary_table(ROWS, columns=["model", "perplexity", "tokens"], title="held-out", file=file)
    assert file.getvalue() == (
        "held-out\n"
        "model          perplexity  tokens\n"
        "forward             112.3  41,000\n"
        "bigram [bold]       137.0\n"
    )  # fmt: skip


def test_a_table_on_a_terminal_has_the_same_cells(terminal: Terminal) -> None:
    summary_table(ROWS, columns=["model", "perplexity", "tokens"], file=terminal)
    for text in ("model", "112.3", "41,000", "bigram [bold]", "137.0"):
        assert text in terminal.getvalue()
