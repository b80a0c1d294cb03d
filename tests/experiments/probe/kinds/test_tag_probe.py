"""Linear classifiers of tags on made-up vectors: what a layer has is found, what it lacks is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.probe.kinds.classifiers import MixClassifiers, Standardization
from experiments.probe.kinds.probe import View
from experiments.probe.kinds.tags import TagMaterial, TagProbe
from tasks.sources.tagged.source import TaggedSentence, TaggedSource

TAGS = ["A", "B", "C"]
SIZE = 6


def probe(**options: Any) -> TagProbe:
    usual = {"num_seeds": 2, "l2": [0.0, 1.0], "num_steps": 150, "num_evaluations": 5}
    return TagProbe(**{**usual, "batch_size": 64, "learning_rate": 0.05, **options})


def sentences(number: int, *, seed: int, num_types: int = 40) -> list[TaggedSentence]:
    """Sentences of five words, whose tags have nothing to do with the words."""
    generator = np.random.default_rng(seed)
    return [
        TaggedSentence(
            f"made:{i}",
            tuple(f"w{word}" for word in generator.integers(0, num_types, 5)),
            tuple(TAGS[tag] for tag in generator.integers(0, 3, 5)),
        )
        for i in range(number)
    ]


def vectors_of(part: list[TaggedSentence], *, seed: int, num_layers: int = 2) -> np.ndarray:
    """(N, L, P): layer 0 is noise, the others carry the tag in three correlated dimensions of six."""
    generator = np.random.default_rng(seed)
    tags = np.array([TAGS.index(tag) for sentence in part for tag in sentence.tags])
    vectors_NLP = generator.normal(size=(len(tags), num_layers, SIZE))
    vectors_NLP[:, 1:, :3] += 6 * np.eye(3)[tags][:, None]
    vectors_NLP[:, :, 3:] += 50 * vectors_NLP[:, :, 2:3]  # nearly constant directions, wide and narrow ones
    return vectors_NLP.astype(np.float16)


SPLITS = {"train": sentences(120, seed=1), "dev": sentences(40, seed=2), "test": sentences(60, seed=3)}


@pytest.fixture(scope="module")
def views() -> dict[str, View]:
    material = TagMaterial(SPLITS, probe=probe(), seed=1)
    vectors = {split: vectors_of(part, seed=9 + i) for i, (split, part) in enumerate(SPLITS.items())}
    done: list[float] = []
    found = material.measure(vectors, device=torch.device("cpu"), report=done.append)
    assert done == sorted(done) and done[-1] == 1
    return {view.name: view for view in [*found, material.baseline()]}


def test_the_layer_that_carries_the_tag_is_found(views: dict[str, View]) -> None:
    assert list(views) == ["layer 0", "layer 1", "all layers", "mix", "most frequent tag"]
    assert [views[name].layer for name in views] == [0, 1, None, None, None]
    accuracy = {name: view.scores["accuracy"].value for name, view in views.items()}
    assert accuracy["layer 1"] > 95
    assert accuracy["layer 0"] < 50
    assert accuracy["all layers"] > 95 and accuracy["mix"] > 90
    # vectors without the word cannot tell its random tag: nearly all of the accuracy is selective
    assert views["layer 1"].scores["control accuracy"].value < 55
    assert views["layer 1"].scores["selectivity"].value > 40


def test_the_mix_learns_to_weigh_the_layer_that_helps(views: dict[str, View]) -> None:
    for weights in views["mix"].facts["layer weights"]:  # of each seed
        assert sum(weights) == pytest.approx(1)
        assert weights[1] > weights[0]


def test_a_strong_penalty_is_not_chosen_where_it_hurts(views: dict[str, View]) -> None:
    assert views["layer 1"].facts["l2"] == 0.0


def test_scores_are_shares_of_words_summed_over_sentences(views: dict[str, View]) -> None:
    score = views["layer 1"].scores["accuracy"]
    assert score.hits_RU.shape == (2, 60)  # two seeds, sixty sentences
    assert score.totals_U.tolist() == [5] * 60
    assert score.value == pytest.approx(100 * score.hits_RU.sum() / (2 * 300))
    task, control, selectivity = (
        views["mix"].scores[name].hits_RU for name in ("accuracy", "control accuracy", "selectivity")
    )
    np.testing.assert_array_equal(selectivity, task - control)


def test_the_control_task_is_learned_by_heart_where_vectors_tell_the_words() -> None:
    """One-hot vectors of words separate any tags of words: the control's accuracy is 100 %."""
    splits = {
        split: [
            each._replace(tags=tuple("A" if int(w[1:]) % 2 else "B" for w in each.words)) for each in part
        ]
        for split, part in SPLITS.items()
    }
    vectors = {
        split: np.eye(40, dtype=np.float16)[[int(w[1:]) for each in part for w in each.words]][:, None]
        for split, part in splits.items()
    }
    material = TagMaterial(splits, probe=probe(num_seeds=1, l2=[0.0]), seed=1)
    (view,) = material.measure(vectors, device=torch.device("cpu"), report=lambda done: None)
    assert view.name == "layer 0"  # of a model with one layer
    assert view.scores["accuracy"].value == 100
    assert view.scores["control accuracy"].value == 100
    assert view.scores["selectivity"].value == 0


def test_random_tags_are_those_of_words_and_have_the_shares_of_the_tags() -> None:
    tags = ("A",) * 9 + ("B",)
    train = [TaggedSentence(f"t:{i}", tuple(f"w{10 * i + j}" for j in range(10)), tags) for i in range(200)]
    material = TagMaterial({"train": train, "dev": train[:1], "test": train[:2]}, probe=probe(), seed=1)
    first, again, other = (material._task_and_control(seed)["train"][1] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert float((first == 0).float().mean()) == pytest.approx(0.9, abs=0.03)
    assert torch.equal(material._task_and_control(1)["test"][1], first[:20])  # the same words, the same tags


def test_the_baseline_gives_each_word_its_most_frequent_tag() -> None:
    train = [TaggedSentence("t:1", ("play", "play", "play", "the", "the"), ("V", "N", "N", "D", "D"))]
    test = [
        TaggedSentence("e:1", ("play", "the", "new"), ("N", "D", "D")),
        TaggedSentence("e:2", ("x",), ("Z",)),
    ]
    material = TagMaterial({"train": train, "dev": train, "test": test}, probe=probe(), seed=1)
    scores = material.baseline().scores
    assert scores["accuracy"].hits_RU.tolist() == [[2, 0]]  # `new` gets N, the most frequent of all
    assert scores["accuracy"].totals_U.tolist() == [3, 1]
    assert scores["unseen words"].hits_RU.tolist() == [[0, 0]]
    assert scores["unseen words"].totals_U.tolist() == [1, 1]
    assert material.facts["test words with a tag that train lacks"] == 1
    assert material.facts["test words not in train"] == 2


def test_dimensions_are_decorrelated_without_changing_what_can_be_told() -> None:
    standardized = Standardization(vectors_of(SPLITS["train"], seed=9), device=torch.device("cpu"))
    vectors = standardized(vectors_of(SPLITS["train"], seed=9))
    assert vectors.mean(dim=0).abs().max() < 1e-2
    mix = MixClassifiers(standardized.covariance, num_layers=2, num_classifiers=1, num_classes=3)
    features = mix.features(vectors)[0] @ mix.decorrelation_FF
    variances = torch.linalg.eigvalsh((features.T @ features / len(features)).detach())
    assert variances.max() == pytest.approx(1, abs=1e-2)


class NoSentences(TaggedSource):
    """Data without sentences, whose tags are about a predicate."""

    scheme = "none"
    has_predicates = True

    def check_examples(self, splits: Any = ()) -> None:
        """Nothing is missing."""

    def describe_examples(self, split: Any) -> dict[str, Any]:
        return {}

    def examples(self, split: Any) -> Iterator[TaggedSentence]:
        return iter(())


def test_an_empty_split_and_tags_about_a_predicate_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.train: no sentence"):
        probe().read(NoSentences(), seed=1)
    with pytest.raises(InputError, match="these tags are about one word of the sentence"):
        probe().check(NoSentences())


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"type": "sense_files", "files": "x"}, "probe=tags needs a tag for each word"),
        ({"type": "tagged_files", "train": "nowhere.conll"}, "no such file: nowhere.conll"),
    ],
)
def test_data_of_another_kind_is_refused(data: dict[str, Any], fault: str) -> None:
    REGISTRY.discover("tasks.sources")
    with pytest.raises(InputError, match=fault):
        probe().check(REGISTRY.build("data", data))
