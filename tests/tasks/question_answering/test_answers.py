"""From raw passages to words and windows, from gold answers to words, and from scores back to raw text.

Shape legend: B windows, T words.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elmo.registry import REGISTRY
from elmo.text.tokenizers.words import WordsTokenizer
from tasks.heads.span_head import SpanScores
from tasks.question_answering.baselines import most_similar_sentences
from tasks.question_answering.decoding import NO_ANSWER, FoundAnswer, best_spans, merge_windows, span_losses
from tasks.question_answering.examples import QuestionExamples, QuestionReader, target_of
from tasks.question_answering.word_matches import match_features
from tasks.sources.questions.source import Answer, Passage, Question
from tasks.supervised.located_text import LocatedText, find_sentences, locate_words, window_ranges

PENN = WordsTokenizer(split_contractions=True)
CONTEXT = "Don't panic.  The U.S. won (3\u20131)!\n\n\u201cÉcole\u201d 😀 e\u0301t\u00e9."


def located(text: str) -> LocatedText:
    return locate_words(text, PENN, language="en")


def reader_of(window_words: int = 400, window_stride: int = 200) -> QuestionReader:
    return QuestionReader(
        tokenizer=PENN, language="en", window_words=window_words, window_stride=window_stride
    )


def read(
    context: str, *answers: Answer, question: str = "What?", window_words: int = 400
) -> QuestionExamples:
    passage = Passage("a.json: data[0]", context, (Question("q1", question, answers),))
    return reader_of(window_words, max(window_words // 2, 1)).read([passage])


def scores_of(start: list[list[float]], end: list[list[float]], no_answer: list[float]) -> SpanScores:
    return SpanScores(torch.tensor(start), torch.tensor(end), torch.tensor(no_answer))


@pytest.mark.parametrize(
    "node",
    [
        {"type": "whitespace"},
        {"type": "words", "split_contractions": True},
        {"type": "moses", "language": "en"},
        {"type": "spacy", "language": "en"},
    ],
    ids=lambda node: node["type"],
)
def test_words_are_the_characters_at_their_places(node: dict[str, object]) -> None:
    pytest.importorskip({"moses": "sacremoses", "spacy": "spacy"}.get(str(node["type"]), "torch"))
    REGISTRY.discover("elmo.text.tokenizers")
    text = locate_words(CONTEXT, REGISTRY.build("tokenizer", node), language="en")
    assert [CONTEXT[a:b] for a, b in zip(text.starts, text.ends, strict=True)] == text.words
    assert "".join(text.words) == "".join(CONTEXT.split())


def test_sentences_are_tokenized_one_by_one() -> None:
    text = located("He won. Did he?\n\nYes")
    assert text.sentence_starts == [0, 3, 6]
    assert text.sentences(0, 7) == [["He", "won", "."], ["Did", "he", "?"], ["Yes"]]
    assert text.sentences(1, 5) == [["won", "."], ["Did", "he"]]


@given(st.text(alphabet="abA. \n\t!?\u00a0\u2028\u0301é😀", max_size=60))
def test_sentences_of_any_text_cover_all_but_white_space_in_order(text: str) -> None:
    places = list(find_sentences(text, language="en"))
    assert [bound for place in places for bound in place] == sorted(
        bound for place in places for bound in place
    )
    assert "".join("".join(text[a:b].split()) for a, b in places) == "".join(text.split())


def test_a_blank_text_has_no_words() -> None:
    text = located(" \n ")
    assert (text.words, len(text.starts), text.sentence_starts) == ([], 0, [])


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        (0, 5, (0, 1)),  # Don't: do n't
        (6, 11, (2, 2)),
        (7, 9, (2, 2)),  # within panic
        (4, 8, (1, 2)),  # two words in part
        (11, 15, (3, 4)),  # ". T"
        (12, 14, None),  # white space
        (0, 99, (0, 18)),
    ],
)
def test_the_words_of_some_characters_are_those_that_overlap(
    start: int, end: int, span: tuple[int, int] | None
) -> None:
    assert located(CONTEXT).span(start, end) == span


@pytest.mark.parametrize(
    ("num_words", "ranges"),
    [
        (0, []),
        (1, [(0, 1)]),
        (10, [(0, 10)]),
        (11, [(0, 10), (4, 11)]),
        (14, [(0, 10), (4, 14)]),
        (15, [(0, 10), (4, 14), (8, 15)]),
    ],
)
def test_windows_begin_at_every_stride_until_all_words_are_in_one(
    num_words: int, ranges: list[tuple[int, int]]
) -> None:
    assert window_ranges(num_words, window_words=10, window_stride=4) == ranges


def test_an_answer_is_looked_for_where_all_of_it_is() -> None:
    assert target_of((5, 6), 0, 10) == (5, 6)
    assert target_of((5, 6), 4, 7) == (1, 2)
    assert target_of((5, 6), 0, 6) is None
    assert target_of((5, 6), 6, 9) is None
    assert target_of((5, 6), 7, 9) == (NO_ANSWER, NO_ANSWER)
    assert target_of(None, 0, 10) == (NO_ANSWER, NO_ANSWER)


def test_every_window_of_a_long_passage_is_a_pair() -> None:
    context = " ".join(f"w{i}" for i in range(20))
    examples = read(context, Answer("w11 w12", context.index("w11")), window_words=10)
    targets = [(pair.start, pair.target) for pair in examples.pairs]
    assert targets == [(0, (NO_ANSWER, NO_ANSWER)), (5, (6, 7)), (10, (1, 2))]
    batch = examples.batch([2, 1])
    assert batch.first_B.tolist() == [1, 6]
    assert batch.passages.windows[0] == [[f"w{i}" for i in range(10, 20)]]
    assert batch.questions.windows == [[["What", "?"]]] * 2
    assert batch.ids == ["q1", "q1"]


def test_a_part_of_an_answer_is_nothing_to_learn_from() -> None:
    context = " ".join(f"w{i}" for i in range(15))
    examples = read(context, Answer("w4 w5", context.index("w4")), window_words=10)
    assert [pair.target for pair in examples.pairs] == [(4, 5), None]
    assert examples.batch([0, 1]).is_known_B.tolist() == [True, False]
    assert len(examples.learnable().pairs) == 1


def test_a_gold_answer_becomes_the_words_of_its_place_not_of_its_text() -> None:
    examples = read("one two one two", Answer("two", 12))
    assert examples.questions[0].span == (3, 3)
    assert examples.unusable == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("two", 6), "the passage has 'wo ' there"),
        (Answer("two", -3), "the passage has '' there"),
        (Answer("two", 99), "the passage has '' there"),
        (Answer("", 0), "an empty answer"),
        (Answer("  ", 3), "an empty answer"),
        (Answer("one  two three", 0), "no window contains all of it; raise task.window_words"),
    ],
)
def test_an_unusable_answer_is_listed_and_not_learned_from(answer: Answer, reason: str) -> None:
    examples = read("one  two three", answer, window_words=2)
    (unusable,) = examples.unusable
    assert (unusable.passage, unusable.question, unusable.text) == ("a.json: data[0]", "q1", answer.text)
    assert unusable.reason.startswith(reason)
    assert examples.learnable().pairs == []
    assert examples.golds() == {"q1": (answer.text,)}
    assert examples.facts({"one"})["unusable answers"] == 1


def test_the_first_usable_gold_answer_is_learned() -> None:
    examples = read("one two three", Answer("two", 0), Answer("three", 8), Answer("one", 0))
    assert (examples.questions[0].span, len(examples.unusable)) == ((2, 2), 1)


def test_answers_that_are_not_whole_words_are_counted() -> None:
    examples = read("wonderful", Answer("wonder", 0))
    assert examples.facts(["wonderful", "What", "?"]) == {
        "passages": 1,
        "questions": 1,
        "words": 3,
        "types": 3,
        "questions whose answer is not whole words": 1,
    }


@pytest.mark.parametrize(("context", "question"), [("", "What?"), ("one", " \n")])
def test_a_blank_passage_or_question_has_no_pairs(context: str, question: str) -> None:
    examples = read(context, question=question)
    assert (len(examples), examples.pairs) == (1, [])


def test_a_long_question_is_read_whole() -> None:
    examples = read("one two", question="Why? " * 300, window_words=2)
    assert sum(map(len, examples.questions[0].window)) == 600


def test_words_of_both_texts_are_marked_as_they_are_in_lower_case_and_by_stem() -> None:
    passage = [["The", "cities", "Won"], ["!"]]
    question = [["which", "City", "won", "the"]]
    found = match_features([passage, [["x"]]], [question, [["y"]]])
    expected = [[0, 1, 1], [0, 0, 1], [0, 1, 1], [0, 0, 0]]  # the, citi-, won, !
    assert found.tolist() == [expected, [[0, 0, 0]] * 4]
    assert match_features([question], [passage]).tolist() == [[[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 1]]]


def test_spans_and_no_answer_share_one_distribution() -> None:
    generator = np.random.default_rng(1)
    start, end, none = generator.normal(size=4), generator.normal(size=4), 0.7
    total = np.exp(none) + sum(np.exp(start[i] + end[j]) for i in range(4) for j in range(4))
    scores = SpanScores(*(torch.tensor(np.array([v, v])) for v in (start, end, none)))
    losses = span_losses(scores, torch.tensor([1, NO_ANSWER]), torch.tensor([2, NO_ANSWER]))
    np.testing.assert_allclose(losses, [-np.log(np.exp(start[1] + end[2]) / total), np.log(total) - none])


def test_padding_has_no_part_in_the_loss() -> None:
    inf = math.inf
    long = scores_of([[1, 2, -inf]], [[3, 4, -inf]], [0.5])
    short = scores_of([[1, 2]], [[3, 4]], [0.5])
    first, last = torch.tensor([0]), torch.tensor([1])
    torch.testing.assert_close(span_losses(long, first, last), span_losses(short, first, last))


@pytest.mark.parametrize("max_answer_words", [1, 2, 3, 9])
def test_the_best_spans_are_those_of_all_that_are_allowed(max_answer_words: int) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = SpanScores(
        torch.randn(2, 6, generator=generator), torch.randn(2, 6, generator=generator), torch.zeros(2)
    )
    best = best_spans(scores, num_best=4, max_answer_words=max_answer_words)
    for row in range(2):
        allowed = [(i, j) for i in range(6) for j in range(i, min(6, i + max_answer_words))]
        allowed.sort(key=lambda span: -float(scores.start[row, span[0]] + scores.end[row, span[1]]))
        assert list(zip(best.first[row].tolist(), best.last[row].tolist(), strict=True)) == allowed[:4]
        losses = span_losses(scores, best.first[:, 0], best.last[:, 0])
        torch.testing.assert_close(best.log_probability[:, 0], -losses)


def merged(context: str, *windows: tuple[int, SpanScores]) -> tuple[list[FoundAnswer], float]:
    rows = []
    for offset, scores in windows:
        best = best_spans(scores, num_best=3, max_answer_words=2)
        rows.append((offset, type(best)(*(tensor[0] for tensor in best))))
    return merge_windows(context, located(context), rows, num_best=3)


def spike(place: tuple[int, int], size: int, height: float) -> SpanScores:
    start, end = torch.zeros(1, size), torch.zeros(1, size)
    start[0, place[0]] = end[0, place[1]] = height
    return SpanScores(start, end, torch.zeros(1))


def test_an_answer_is_the_raw_text_from_its_first_word_to_its_last() -> None:
    answers, _ = merged(CONTEXT, (0, spike((7, 8), 12, 9.0)))
    place = CONTEXT.index("(3")
    assert (answers[0].text, answers[0].start, answers[0].end) == ("(3", place, place + 2)
    assert 0.9 < answers[0].probability < 1


def test_windows_compete_by_probability_and_share_their_spans() -> None:
    context = "a b c d e f"
    unsure, sure = (0, spike((1, 1), 4, 3.0)), (2, spike((2, 3), 4, 6.0))
    answers, no_answer = merged(context, unsure, sure)
    alone, no_answer_alone = merged(context, sure)
    assert (answers[0].text, answers[0]) == ("e f", alone[0])
    assert no_answer == no_answer_alone < merged(context, unsure)[1]
    places = [(answer.start, answer.end) for answer in answers]
    assert len(set(places)) == len(places) == 3


def test_a_question_without_windows_has_no_answer() -> None:
    assert merged("") == ([], 1.0)


def test_a_window_of_fewer_spans_than_wanted_gives_what_it_has() -> None:
    answers, _ = merged("a b", (0, spike((0, 0), 2, 1.0)))
    assert [answer.text for answer in answers] == ["a", "a b", "b"]
    assert len(merged("a", (0, spike((0, 0), 1, 1.0)))[0]) == 1


def test_what_gold_words_decode_to_is_the_gold_answer() -> None:
    context = "He was born in Žilina (now Slovakia) — in 1,931.5 A.D.; he can't swim."
    for text in ("Žilina", "Slovakia", "1,931.5", "can't", "born in Žilina (now Slovakia)"):
        (question,) = read(context, Answer(text, context.index(text))).questions
        assert question.span is not None
        size = len(located(context).words)
        best = best_spans(spike(question.span, size, 20.0), num_best=1, max_answer_words=size)
        row = type(best)(*(tensor[0] for tensor in best))
        found = merge_windows(context, located(context), [(0, row)], num_best=1)
        assert found.best[0].text == text


def test_of_sentences_as_similar_the_first_is_the_baselines_whatever_the_order_of_sets() -> None:
    for number in range(20):  # sums of floats in another order are other numbers
        counts = {f"w{number}x{place}": place for place in range(1, 9)}
        other = {f"v{number}x{place}": place for place in range(1, 9)}
        sentences = [
            " ".join([word for word, count in words.items() for _ in range(count)]) + "."
            for words in (counts, other)
        ]
        context = "\n\n".join(sentences)
        examples = read(context, question=" ".join([*other, *counts]))
        assert most_similar_sentences(examples)["q1"].text == sentences[0]
