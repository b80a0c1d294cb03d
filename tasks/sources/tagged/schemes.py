"""Schemes that write spans of words, such as names of persons, as a tag for each word.

`bio` (also called IOB2): `B-PER` begins a span, `I-PER` goes on with it, `O` is outside of all spans. `iob1`
(Ramshaw and Marcus 1995): the same, but `B-` stands only where a span follows another one of its label.
`bioul` (Ratinov and Roth 2009): `L-` is the last word of a span, `U-` the only one; `E-` and `S-` (BIOES) are
other names of these two. `brackets` (the CoNLL tables of OntoNotes): `(PER*` begins a span, `*)` ends it, `*`
is any other word; the star may be missing. With `none`, tags are no spans, such as parts of speech.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from elmo.errors import InputError, shown

Scheme: TypeAlias = Literal["none", "bio", "iob1", "bioul"]
DataScheme: TypeAlias = Literal["none", "bio", "iob1", "bioul", "bioes", "brackets"]  # read only

OUTSIDE = "O"
_PREFIXES = {"bio": "BI", "iob1": "BI", "bioul": "BIUL"}
_BRACKETS = re.compile(r"(?=.)(?:\(([^()*]+))?\*?(\))?")
_OTHER_NAMES = {"E": "L", "S": "U"}


class Span(NamedTuple):
    """A labelled span: the words from `start` to before `end`."""

    label: str
    start: int
    end: int


class _Tag(NamedTuple):
    prefix: str  # B, I, L, U or O
    label: str


_OUTSIDE = _Tag(OUTSIDE, "")


def spans_of(tags: Sequence[str], *, scheme: Scheme = "bio") -> list[Span]:
    """The spans of tags in order; tags that break the scheme are read as the CoNLL script conlleval does.

    A word goes on with the span before it if both tags have one label, the first is `B-` or `I-` and the
    second `I-` or `L-`. Every other word with a label begins a span.

    Raises:
        InputError: a tag is none of the scheme.
    """
    spans: list[Span] = []
    before = _OUTSIDE
    for position, tag in enumerate(tags):
        if tag == OUTSIDE:
            before = _OUTSIDE
            continue
        prefix, label = _parse(tag, scheme)
        if prefix in "IL" and before.prefix in "BI" and before.label == label:
            spans[-1] = Span(label, spans[-1].start, position + 1)
        else:
            spans.append(Span(label, position, position + 1))
        before = _Tag(prefix, label)
    return spans


def tags_of(spans: Iterable[Span], num_words: int, *, scheme: Scheme) -> list[str]:
    """The tags of a sentence's words; spans are in order and have no word in common."""
    tags = [OUTSIDE] * num_words
    before = Span("", 0, 0)
    for span in spans:
        prefixes = ["I"] * (span.end - span.start)
        if scheme != "iob1" or (before.end == span.start and before.label == span.label):
            prefixes[0] = "B"
        if scheme == "bioul":
            prefixes[-1] = "L" if len(prefixes) > 1 else "U"
        tags[span.start : span.end] = [_write(prefix, span.label) for prefix in prefixes]
        before = span
    return tags


def convert(tags: Sequence[str], *, source: Scheme, target: Scheme) -> list[str]:
    """Tags of one scheme in another one; all that broke the first are in order in the second.

    Raises:
        InputError: a tag is none of its scheme.
    """
    if (source == "none") != (target == "none"):
        raise ValueError(f"no spans to convert from {source} to {target}")
    return (
        list(tags) if source == "none" else tags_of(spans_of(tags, scheme=source), len(tags), scheme=target)
    )


def to_bio(tags: Sequence[str], *, scheme: DataScheme) -> tuple[list[str], int]:
    """Tags of a data set in BIO, and how many broke its scheme; with `none` the tags as they are.

    Raises:
        InputError: a tag is none of the scheme.
    """
    if scheme == "none":
        return list(tags), 0
    if scheme == "brackets":
        spans, num_broken = _spans_of_brackets(tags)
        return tags_of(spans, len(tags), scheme="bio"), num_broken
    written: Scheme = "bioul" if scheme == "bioes" else scheme
    num_broken = count_broken(tags, scheme=written)
    if scheme == "bio" and not num_broken:
        return list(tags), 0
    return convert(tags, source=written, target="bio"), num_broken


def may_follow(first: str | None, second: str | None, *, scheme: Scheme) -> bool:
    """Whether a scheme lets a tag follow another one; None: before the first word, after the last one."""
    if scheme == "none":
        return True
    before, tag = (_OUTSIDE if tag is None else _parse(tag, scheme) for tag in (first, second))
    is_open = before.prefix in "BI"
    if scheme == "bio":
        return tag.prefix != "I" or (is_open and before.label == tag.label)
    if scheme == "iob1":
        return tag.prefix != "B" or (is_open and before.label == tag.label)
    return (tag.prefix in "IL" and before.label == tag.label) if is_open else tag.prefix in "BUO"


def count_broken(tags: Sequence[str], *, scheme: Scheme) -> int:
    """The number of tags that may not follow the one before them, or not end the sentence."""
    around = [None, *tags, None]
    return sum(not may_follow(first, second, scheme=scheme) for first, second in pairwise(around))


def _spans_of_brackets(tags: Sequence[str]) -> tuple[list[Span], int]:
    """The spans of brackets, and how many of these do not fit together.

    A span ends where another one begins, and at the end of the sentence, even if it was not closed; a bracket
    that closes nothing is left out.
    """
    spans: list[Span] = []
    start, label, num_broken = -1, "", 0

    def close(end: int) -> None:
        nonlocal start
        spans.append(Span(label, start, end))
        start = -1

    for position, tag in enumerate(tags):
        found = _BRACKETS.fullmatch(tag)
        if found is None:
            raise InputError(f"{shown(tag)} is no tag of data.scheme=brackets ((label*, *, *) or (label*))")
        opened, closed = found.groups()
        if opened:
            if start >= 0:
                close(position)
                num_broken += 1
            start, label = position, opened
        if closed and start >= 0:
            close(position + 1)
        elif closed:
            num_broken += 1
    if start >= 0:
        close(len(tags))
        num_broken += 1
    return spans, num_broken


@lru_cache(maxsize=1 << 12)
def _parse(tag: str, scheme: Scheme) -> _Tag:
    """A tag's parts; InputError if it is none of the scheme."""
    if tag == OUTSIDE:
        return _OUTSIDE
    prefix, _, label = tag.partition("-")
    if scheme == "bioul":
        prefix = _OTHER_NAMES.get(prefix, prefix)
    if len(prefix) != 1 or prefix not in _PREFIXES[scheme]:
        raise InputError(f"{shown(tag)} is no tag of data.scheme={scheme}{_advice(prefix, scheme)}")
    return _Tag(prefix, label)


def _advice(prefix: str, scheme: Scheme) -> str:
    if scheme != "bioul" and prefix in ("L", "U", "E", "S"):
        return "; bioul has it"
    forms = ", ".join(f"{letter}-label" for letter in _PREFIXES[scheme])
    return f" ({forms} or O); data.scheme=none is for tags that are no spans"


def _write(prefix: str, label: str) -> str:
    return f"{prefix}-{label}" if label else prefix
