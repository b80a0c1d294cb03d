"""Nearest senses worked by hand, and folds that never share a document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from elmo.errors import InputError
from experiments.probe.kinds.probe import View
from experiments.probe.kinds.sense_words import SenseWords
from experiments.probe.kinds.senses import SenseMaterial, SenseProbe
from tasks.sources.senses.sense_files import SenseFiles
from tasks.sources.senses.source import SenseSentence, SenseTag


def sentence(document: str, *senses: tuple[str, str, str]) -> SenseSentence:
    """A sentence of an untagged word, and then words with lemma, tag and sense."""
    tags = tuple(SenseTag(i, *sense) for i, sense in enumerate(senses, start=1))
    return SenseSentence(f"made:{document}", document, ("the", *(tag.lemma for tag in tags)), tags)


PLAY_1, PLAY_2, PLAY_N = ("play", "V", "play.1"), ("play", "V", "play.2"), ("play", "N", "play.7")
ONE = ("sit", "V", "sit.1")
# Two documents: each is the test set once, with the other one as training text.
SENTENCES = [
    sentence("a", PLAY_1, PLAY_1, PLAY_2),
    sentence("a", ONE),
    sentence("b", PLAY_1, PLAY_2, PLAY_2),
    sentence("b", ("new", "A", "new.1"), PLAY_N),
]


def material(
    sentences: list[SenseSentence], *, num_folds: int = 2, standardized: bool = False
) -> SenseMaterial:
    words = SenseWords(sentences, num_folds=num_folds, seed=1)
    return SenseMaterial(sentences, words, standardized=standardized)


def vectors(*, num_layers: int = 2) -> np.ndarray:
    """(12, L, 2) of all words of SENTENCES: layer 0 is the same for all, layer 1 tells play.1 from play.2."""
    first, second, other = (2.0, 0.1), (0.1, 1.0), (1.0, 1.0)
    layer = [other, first, first, second, other, other, other, first, second, first, other, other, other]
    vectors_NLP = np.ones((13, num_layers, 2), dtype=np.float16)
    vectors_NLP[:, -1] = layer  # the ninth word is a play.2 that looks like play.1
    return vectors_NLP


def measured(vectors_NLP: np.ndarray, **options: bool) -> dict[str, View]:
    found = material(SENTENCES, **options)
    (part,) = found.sentences
    views = found.measure({part: vectors_NLP}, device=torch.device("cpu"), report=lambda done: None)
    return {view.name: view for view in [*views, found.baseline()]}


def test_the_nearest_sense_is_found_by_hand() -> None:
    views = measured(vectors())
    assert list(views) == ["layer 0", "layer 1", "average", "most frequent sense"]
    # All five play as verbs are told by layer 1 but the one of document b that looks like play.1. Its mean of
    # play.2 lies between both, yet play.2 of a is nearer to it. Neither sit nor new is in the other document;
    # play as a noun gets the lemma's most frequent sense, which is wrong.
    assert views["layer 1"].scores["ambiguous"].hits_RU.tolist() == [[3, 2]]
    assert views["layer 1"].scores["ambiguous"].totals_U.tolist() == [3, 3]
    assert views["layer 1"].scores["accuracy"].hits_RU.tolist() == [[3, 2]]
    assert views["layer 1"].scores["accuracy"].totals_U.tolist() == [4, 5]
    # of vectors that are all equal the first sense comes out
    assert views["layer 0"].scores["ambiguous"].hits_RU.tolist() == [[2, 1]]
    # b knows play.2 best, a play.1
    assert views["most frequent sense"].scores["ambiguous"].hits_RU.tolist() == [[1, 1]]
    assert views["layer 1"].scores["V"].totals_U.tolist() == [4, 3]


def test_a_cosine_does_not_see_the_length_and_standardised_vectors_tell_more() -> None:
    long = vectors() * np.float16(100)
    assert measured(long)["layer 1"].scores["accuracy"].hits_RU.tolist() == [[3, 2]]
    shifted = vectors() + np.float16(50)  # all point the same way
    assert measured(shifted)["layer 1"].scores["ambiguous"].hits_RU.sum() <= 5
    assert measured(shifted, standardized=True)["layer 1"].scores["ambiguous"].hits_RU.tolist() == [[3, 2]]


def test_words_that_training_cannot_help_with_are_counted() -> None:
    facts = material(SENTENCES).facts
    assert facts["words with a sense"] == 9
    assert facts["documents"] == 2
    assert facts["lemma unseen in training, no answer"] == 2  # sit, new
    assert facts["lemma seen as another part of speech, its most frequent sense"] == 1  # play as a noun
    assert facts["sense unseen in training"] == 3
    assert facts["ambiguous in training"] == 6


def test_a_lemma_with_one_sense_is_right_where_it_is_known() -> None:
    views = material([sentence("a", ONE), sentence("b", ONE)]).baseline()
    assert views.scores["accuracy"].value == 100
    assert "ambiguous" not in views.scores  # there is no such word


def test_folds_never_share_a_document_and_test_each_word_once() -> None:
    sentences = [sentence(f"d{i % 23}", PLAY_1) for i in range(60)]
    words = SenseWords(sentences, num_folds=5, seed=1)
    document = np.array([each.document for each in sentences])
    seen = []
    for fold in words.folds():
        assert not set(document[fold.train]) & set(document[fold.test])
        assert len(fold.train) + len(fold.test) == 60
        assert len(set(document[fold.test])) in (4, 5)
        seen += fold.test.tolist()
    assert sorted(seen) == list(range(60))
    order = [set(document[fold.test]) for fold in words.folds()]
    shuffled = SenseWords(sentences[::-1], num_folds=5, seed=1)
    document = document[::-1]
    assert order == [set(document[fold.test]) for fold in shuffled.folds()]


def test_too_few_documents_and_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("# a\nplay\tplay\tV\tplay.1\n\n# empty\n\n# untagged\nthe\t\t\t\n")
    probe = SenseProbe(num_folds=2, standardized=True)
    source = SenseFiles(files=str(path))
    probe.check(source)
    with pytest.raises(InputError, match=r"data: 1 documents with senses, fewer than probe\.num_folds=2"):
        probe.read(source, seed=1)
    with pytest.raises(InputError, match="probe=senses needs words with their senses"):
        probe.check(object())
