"""Schemes of tags: what they mean, and how tags that break them are read."""

from __future__ import annotations

import random
from itertools import product

import pytest

from elmo.errors import InputError
from tasks.sources.tagged.schemes import (
    DataScheme,
    Scheme,
    Span,
    convert,
    count_broken,
    may_follow,
    spans_of,
    tags_of,
    to_bio,
)

SCHEMES: tuple[Scheme, ...] = ("bio", "iob1", "bioul")


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("bio", "B-a I-a B-a O B-b B-c I-c"),
        ("iob1", "I-a I-a B-a O I-b I-c I-c"),
        ("bioul", "B-a L-a U-a O U-b B-c L-c"),
    ],
)
def test_each_scheme_writes_and_reads_the_same_spans(scheme: Scheme, tags: str) -> None:
    spans = [Span("a", 0, 2), Span("a", 2, 3), Span("b", 4, 5), Span("c", 5, 7)]
    assert spans_of(tags.split(), scheme=scheme) == spans
    assert tags_of(spans, 7, scheme=scheme) == tags.split()
    assert count_broken(tags.split(), scheme=scheme) == 0
    for target in SCHEMES:
        assert spans_of(convert(tags.split(), source=scheme, target=target), scheme=target) == spans


@pytest.mark.parametrize(
    ("scheme", "tags", "expected", "num_broken"),
    [
        ("bio", "I-a I-a O I-b", "B-a I-a O B-b", 2),
        ("bio", "B-a I-b I-b I-a", "B-a B-b I-b B-a", 2),
        ("iob1", "B-a I-a O B-b", "B-a I-a O B-b", 2),
        ("bioul", "I-a L-a", "B-a I-a", 1),
        ("bioul", "B-a I-a", "B-a I-a", 1),  # not ended
        ("bioul", "B-a U-a I-a L-b", "B-a B-a B-a B-b", 3),
        ("bioes", "B-a E-a S-b", "B-a I-a B-b", 0),
        ("bio", "B-creative-work I-creative-work", "B-creative-work I-creative-work", 0),
        ("bio", "B I O", "B I O", 0),  # one type of span, without a name
        ("brackets", "(a*) (b* * *) *", "B-a B-b I-b I-b O", 0),
        ("brackets", "(a* * (b* *", "B-a I-a B-b I-b", 2),  # neither is closed
        ("brackets", "* *) (b*)", "O O B-b", 1),
        ("brackets", "(a) (b* *)", "B-a B-b I-b", 0),  # as OntoNotes writes names of one word
    ],
)
def test_tags_that_break_a_scheme_are_repaired_and_counted(
    scheme: DataScheme, tags: str, expected: str, num_broken: int
) -> None:
    assert to_bio(tags.split(), scheme=scheme) == (expected.split(), num_broken)


def test_tags_without_spans_stay_as_they_are() -> None:
    assert to_bio(["NN", "-LRB-", "I-x"], scheme="none") == (["NN", "-LRB-", "I-x"], 0)
    assert may_follow("NN", "I-x", scheme="none")


@pytest.mark.parametrize(
    ("scheme", "tag", "message"),
    [
        (
            "bio",
            "NN",
            r"'NN' is no tag of data\.scheme=bio .*data\.scheme=none is for tags that are no spans",
        ),
        ("bio", "L-a", r"'L-a' is no tag of data\.scheme=bio; bioul has it"),
        ("bioul", "", "'' is no tag of data.scheme=bioul"),
        ("bioul", "o", "'o' is no tag of"),
        ("brackets", "", r"'' is no tag of data\.scheme=brackets"),
        ("brackets", "(a*))", r"'\(a\*\)\)' is no tag of data\.scheme=brackets"),
    ],
)
def test_a_tag_of_another_scheme_is_told(scheme: DataScheme, tag: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_bio([tag], scheme=scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_allowed_paths_are_exactly_the_taggings_of_spans(scheme: Scheme) -> None:
    prefixes = "BIUL" if scheme == "bioul" else "BI"
    tags = ["O", *(f"{prefix}-{label}" for prefix in prefixes for label in "ab")]
    for tagging in product(tags, repeat=3):
        rewritten = convert(tagging, source=scheme, target=scheme)
        assert (rewritten == list(tagging)) == (count_broken(tagging, scheme=scheme) == 0), tagging


def test_a_conversion_keeps_the_spans_of_any_tags() -> None:
    choices = random.Random(1)
    for _ in range(200):
        tags = choices.choices(["O", "B-a", "I-a", "B-b", "I-b"], k=8)
        for target in SCHEMES:
            assert spans_of(convert(tags, source="bio", target=target), scheme=target) == spans_of(tags)


def test_spans_are_not_made_of_tags_without_scheme() -> None:
    with pytest.raises(ValueError, match="no spans to convert from none to bio"):
        convert(["NN"], source="none", target="bio")
