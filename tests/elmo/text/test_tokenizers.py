"""Tokenizers: their words, and the place of each word in the text."""

# ruff: noqa: RUF001 (letters of many languages are the point)

from __future__ import annotations

import pickle
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elmo.errors import InputError
from elmo.text.sentence_splitting import is_language, split_sentences
from elmo.text.tokenizers import Tokenizer
from elmo.text.tokenizers.moses import MosesTokenizer
from elmo.text.tokenizers.spacy import SpacyTokenizer
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from elmo.text.tokenizers.words import WordsTokenizer

NAMES = ["whitespace", "words", "penn", "moses", "spacy"]


@pytest.fixture(scope="module", params=NAMES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "moses":
        pytest.importorskip("sacremoses")
        return MosesTokenizer(language="en")
    if request.param == "spacy":
        pytest.importorskip("spacy")
        return SpacyTokenizer(language="en")
    if request.param == "whitespace":
        return WhitespaceTokenizer()
    return WordsTokenizer(split_contractions=request.param == "penn")


@settings(max_examples=150, deadline=None)
@example("I don't pay $1,000.50 for 😀😀 in the U.S.A... a & b <c> |d|")
@example("𝔘𝔫𝔦 café e\u0301 👩‍👩‍👧 🇫🇷 नमस्ते สวัสดี 你好 می\u200cخواهم")
@example("DOTMULTI a\x01b \x1c \x85 \u200b\ufeff %@%")
@given(st.text(max_size=60))
def test_offsets_are_the_characters_of_each_word(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.tokenize_with_offsets(text)
    assert all(token.text == text[token.start : token.end] for token in tokens)
    assert all(token.text and not token.text.isspace() for token in tokens)
    assert all(one.end <= other.start for one, other in pairwise(tokens))
    covered = "".join(token.text for token in tokens)
    assert "".join(covered.split()) == "".join(
        c for c in "".join(text.split()) if c not in _dropped(tokenizer)
    )


def _dropped(tokenizer: Tokenizer) -> str:
    return "\u200b\ufeff" if isinstance(tokenizer, WordsTokenizer) else ""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_a_batch_gives_the_words_of_each_text(tokenizer: Tokenizer, texts: list[str]) -> None:
    expected = [[token.text for token in tokenizer.tokenize_with_offsets(text)] for text in texts]
    assert tokenizer.tokenize_batch(texts) == expected
    assert [tokenizer.tokenize(text) for text in texts] == expected


def test_a_tokenizer_can_be_sent_to_another_process(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.tokenize("It's here.") == tokenizer.tokenize("It's here.")
    assert copy.fingerprint() == tokenizer.fingerprint()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't; it's l'homme\u2019s.", ["I", "don't", ";", "it's", "l'homme\u2019s", "."]),
        ("$1,000.50, 3.14", ["$", "1,000.50", ",", "3.14"]),
        (
            "The U.S. e-mail... -- 'quoted'",
            ["The", "U.S.", "e", "-", "mail", "...", "--", "'", "quoted", "'"],
        ),
        ("你好，世界 日本カナ 한국어", ["你", "好", "，", "世", "界", "日", "本", "カナ", "한국어"]),
        ("नमस्ते สวัสดีครับ cafe\u0301 می\u200cخواهم", ["नमस्ते", "สวัสดีครับ", "cafe\u0301", "می\u200cخواهم"]),
        ("👩‍👩‍👧 👍🏽 ❤️ 😀😀 🇫🇷🇩🇪", ["👩‍👩‍👧", "👍🏽", "❤️", "😀", "😀", "🇫🇷", "🇩🇪"]),
        ("a\u00a0b\u3000c\u200bd\ufeff", ["a", "b", "c", "d"]),
        ("<S> a_b @x #y", ["<", "S", ">", "a_b", "@", "x", "#", "y"]),
    ],
)
def test_words_of_many_languages(text: str, words: list[str]) -> None:
    assert WordsTokenizer().tokenize(text) == words


def test_whitespace_of_any_kind_separates() -> None:
    assert WhitespaceTokenizer().tokenize(" don't\tstop\u00a0now\u2003. ") == ["don't", "stop", "now", "."]


def test_moses_escapes_nothing() -> None:
    pytest.importorskip("sacremoses")
    tokenizer = MosesTokenizer(language="en")
    words = ["'", "AT", "&", "T", "'", "isn", "'t", "<", "b", ">", "[", "x", "]", "."]
    assert tokenizer.tokenize("' AT&T ' isn't <b> [x].") == words


def test_spacy_splits_by_the_rules_of_the_language() -> None:
    pytest.importorskip("spacy")
    assert SpacyTokenizer(language="en").tokenize("I  can't.") == ["I", "ca", "n't", "."]
    assert SpacyTokenizer(language="fr").tokenize("L'homme.") == ["L'", "homme", "."]
    with pytest.raises(InputError, match=r"tokenizer\.language: spaCy cannot tokenize 'klingon'"):
        SpacyTokenizer(language="klingon")


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Mr. Smith left. He\nran!  Why?", ["Mr. Smith left.", "He ran!", "Why?"]),
        ("en", "A title\n\nThen text.\n", ["A title", "Then text."]),
        ("de", "Am 3. Mai kam er. Gut.", ["Am 3. Mai kam er.", "Gut."]),
        ("zh", "你好。世界！", ["你好。", "世界！"]),
        ("en", " \n\n ", []),
    ],
)
def test_prose_is_split_into_sentences(language: str, text: str, sentences: list[str]) -> None:
    assert split_sentences(text, language=language) == sentences


def test_a_language_is_a_code_of_iso_639() -> None:
    assert all(is_language(code) for code in ("en", "zh", "zh-hans", "gsw"))
    assert not any(is_language(code) for code in ("", "e", "xx", "EN", "english", "klingon", "12", "en_US"))


def test_contractions_are_split_as_in_the_penn_treebank_where_that_is_asked_for() -> None:
    penn = WordsTokenizer(split_contractions=True)
    text = "I don't, can't; film's o'clock we'd've rock 'n' roll DON\u2019T l'homme"
    expected = "I do n't , ca n't ; film 's o'clock we 'd 've rock ' n ' roll DO N\u2019T l'homme"
    assert " ".join(penn.tokenize(text)) == expected
    assert penn.tokenize("do n't 's") == ["do", "n't", "'s"]
    assert WordsTokenizer().tokenize("don't") == ["don't"]


@pytest.mark.parametrize("unit", ["好。", "“", "'' ", "`", "word "])
def test_the_time_of_splitting_is_linear_in_the_length_of_a_line(unit: str) -> None:
    text = unit * (200_000 // len(unit))  # without windows, the first ones take minutes
    start = time.perf_counter()
    sentences = split_sentences(text, language="en")
    assert time.perf_counter() - start < 10
    assert "".join(sentences).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, sentences)) <= 10_000


def test_windows_of_a_long_paragraph_change_no_sentence() -> None:
    sentences = [
        f"He said “Go. {number} times.” Then Mr. Smith left the U.S. for good." for number in range(999)
    ]
    found = split_sentences(" ".join(sentences), language="en")
    assert len(found) > len(sentences) / 2
    assert found == [each for sentence in sentences for each in split_sentences(sentence, language="en")]


def test_a_sentence_without_end_is_cut_between_words() -> None:
    found = split_sentences("abc " * 9000, language="en")
    assert [len(sentence) for sentence in found] == [9999, 9999, 9999, 5999]
