"""Linear classifiers of a word's tag, and of a random one: `probe=tags`.

Shape legend: N words, S sentences, K classifiers side by side, R seeds, L layers, P size of a vector.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from elmo.errors import InputError
from elmo.registry import REGISTRY
from elmo.values import LearningRate, Length, NotNegative, Range, Size
from experiments.probe.kinds.classifiers import (
    NO_CLASS,
    AllClassifiers,
    Classifiers,
    Fitting,
    LayerClassifiers,
    MixClassifiers,
    Standardization,
    Words,
    fit,
    predict,
)
from experiments.probe.kinds.probe import Material, Probe, Report, Score, View, layer_name
from tasks.sources.shared.fraction import draw
from tasks.sources.shared.split import SPLITS
from tasks.sources.tagged.source import TaggedSentence, TaggedSource

_TASK, _CONTROL = 0, 1  # of the classifiers side by side


@REGISTRY.register("probe", "tags")
class TagProbe(Probe):
    """Softmax regression on each layer, on all of them beside each other, and on their learned mix.

    Beside each classifier, one of the same kind learns the control task of Hewitt and Liang (2019): each word
    has a random tag, the same wherever it stands, drawn from the tags of the training words. Selectivity is
    the accuracy minus that of the control: what a classifier that is strong enough to learn words by heart
    finds beyond that.

    Args:
        num_seeds: number of repetitions, each with batches and random tags of its own.
        l2: strengths of the L2 penalty, of which the best on dev is chosen for each view, with the first
            seed.
        num_steps, num_evaluations, batch_size, learning_rate: see `Fitting`.
    """

    def __init__(
        self,
        *,
        num_seeds: Annotated[int, Range(1, 100)],
        l2: Annotated[list[NotNegative], Length(1, 20)],
        num_steps: Size,
        num_evaluations: Annotated[int, Range(1, 1000)],
        batch_size: Size,
        learning_rate: LearningRate,
    ) -> None:
        self.num_seeds, self.l2 = num_seeds, l2
        self.fitting = Fitting(
            num_steps=num_steps,
            num_evaluations=num_evaluations,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )

    def check(self, source: Any) -> None:
        if not isinstance(source, TaggedSource):
            raise InputError("data: probe=tags needs a tag for each word; choose such data, as data=ewt")
        if source.has_predicates:
            raise InputError(
                "data: these tags are about one word of the sentence, which no vector knows of; choose data"
                " whose tags belong to the words alone"
            )
        source.check_examples()

    def describe(self, source: Any, *, seed: int) -> dict[str, Any]:
        return {
            split: source.describe_examples(split) | source.describe_cut(split, seed=seed) for split in SPLITS
        }

    def read(self, source: Any, *, seed: int) -> Material:
        splits: dict[str, list[TaggedSentence]] = {
            split: list(source.read_examples(split, seed=seed)) for split in SPLITS
        }
        for split, sentences in splits.items():
            if not sentences:
                raise InputError(f"data.{split}: no sentence")
        return TagMaterial(splits, probe=self, seed=seed)


class TagMaterial(Material):
    """Tagged sentences in three splits, and random tags for the control task."""

    unit = "test sentences"
    compared = ("accuracy", "selectivity")
    pictured = ("accuracy", "selectivity")

    def __init__(self, splits: Mapping[str, Sequence[TaggedSentence]], *, probe: TagProbe, seed: int) -> None:
        self.sentences = {split: [each.words for each in sentences] for split, sentences in splits.items()}
        self._probe, self._seed = probe, seed
        self._words = {split: [w for each in part for w in each.words] for split, part in splits.items()}
        self._tags = {split: [t for each in part for t in each.tags] for split, part in splits.items()}
        self._counts = Counter(self._tags["train"])
        self._classes = {tag: number for number, (tag, _) in enumerate(self._counts.most_common())}
        lengths = [len(sentence) for sentence in self.sentences["test"]]
        self._sentence_N = np.repeat(np.arange(len(lengths)), lengths)
        known = set(self._words["train"])
        self._is_unseen_N = np.array([word not in known for word in self._words["test"]])
        self.facts = {
            **{f"{split} words": len(words) for split, words in self._words.items()},
            "tags": len(self._classes),
            "test words not in train": int(self._is_unseen_N.sum()),
            "test words with a tag that train lacks": sum(
                tag not in self._classes for tag in self._tags["test"]
            ),
            "tags that broke the scheme": sum(each.repaired for part in splits.values() for each in part),
        }

    def baseline(self) -> View:
        """Each word has its most frequent tag of the training text, an unseen one that of all words."""
        seen: dict[str, Counter[str]] = {}
        for word, tag in zip(self._words["train"], self._tags["train"], strict=True):
            seen.setdefault(word, Counter())[tag] += 1
        usual = self._counts.most_common(1)[0][0]
        likeliest = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
        right_N = np.array(
            [
                likeliest.get(word, usual) == tag
                for word, tag in zip(self._words["test"], self._tags["test"], strict=True)
            ]
        )
        return View("most frequent tag", None, self._accuracies(right_N[None]), is_baseline=True)

    def measure(
        self, vectors: Mapping[str, np.ndarray], *, device: torch.device, report: Report
    ) -> list[View]:
        standardized = Standardization(vectors["train"], device=device)
        num_layers, rounds = vectors["train"].shape[1], 1 + self._probe.num_seeds
        l2 = self._best_l2(vectors, standardized, _part(report, 0, rounds))
        right: dict[str, list[np.ndarray]] = {name: [] for name in l2}
        facts: dict[str, list[dict[str, Any]]] = {name: [] for name in l2}
        for number in range(self._probe.num_seeds):
            seed = self._seed + number
            parts = {
                split: Words(vectors[split], classes_KN)
                for split, classes_KN in self._task_and_control(seed).items()
            }
            views = self._classifiers(num_layers, standardized, 2)
            fit(
                views,
                parts["train"],
                parts["dev"],
                strengths={name: [chosen, chosen] for name, chosen in l2.items()},
                fitting=self._probe.fitting,
                standardized=standardized,
                seed=seed,
                report=_part(report, 1 + number, rounds),
            )
            for name, right_KN in predict(views, parts["test"], standardized).items():
                right[name].append(right_KN.numpy())
                facts[name].append(views[name].facts(_TASK))
        return [
            View(
                name,
                place if place < num_layers else None,
                self._scores(np.stack(right[name])),
                {"l2": l2[name], **{key: [each[key] for each in facts[name]] for key in facts[name][0]}},
            )
            for place, name in enumerate(l2)
        ]

    def _best_l2(
        self, vectors: Mapping[str, np.ndarray], standardized: Standardization, report: Report
    ) -> dict[str, float]:
        """The strength of the penalty that is best on dev, by the view's name."""
        strengths = self._probe.l2
        views = self._classifiers(vectors["train"].shape[1], standardized, len(strengths))
        if len(strengths) == 1:
            return dict.fromkeys(views, strengths[0])
        train, dev = (
            Words(vectors[split], self._of_task(split).expand(len(strengths), -1))
            for split in ("train", "dev")
        )
        scores = fit(
            views,
            train,
            dev,
            strengths=dict.fromkeys(views, strengths),
            fitting=self._probe.fitting,
            standardized=standardized,
            seed=self._seed,
            report=report,
        )
        return {name: strengths[int(scores_K.argmax())] for name, scores_K in scores.items()}

    def _classifiers(
        self, num_layers: int, standardized: Standardization, num_classifiers: int
    ) -> dict[str, Classifiers]:
        """New classifiers by the view's name; the layers come first."""
        sizes = {"num_classifiers": num_classifiers, "num_classes": len(self._classes)}
        covariance = standardized.covariance
        views: dict[str, Classifiers] = {
            layer_name(layer): LayerClassifiers(layer, covariance, num_layers=num_layers, **sizes)
            for layer in range(num_layers)
        }
        if num_layers > 1:
            views["all layers"] = AllClassifiers(covariance, **sizes)
            views["mix"] = MixClassifiers(covariance, num_layers=num_layers, **sizes)
        return views

    def _of_task(self, split: str) -> Tensor:
        return torch.tensor([self._classes.get(tag, NO_CLASS) for tag in self._tags[split]])

    def _task_and_control(self, seed: int) -> dict[str, Tensor]:
        """(2, N) the class of each word in the task, and its random one, of each split."""
        ends = list(accumulate(self._counts[tag] for tag in self._classes))
        of_word: dict[str, int] = {}
        for words in self._words.values():
            for word in words:
                if word not in of_word:
                    of_word[word] = bisect_right(ends, draw(seed, word) * ends[-1] >> 64)
        return {
            split: torch.stack([self._of_task(split), torch.tensor([of_word[word] for word in words])])
            for split, words in self._words.items()
        }

    def _scores(self, right_RKN: np.ndarray) -> dict[str, Score]:
        task_RN, control_RN = right_RKN[:, _TASK], right_RKN[:, _CONTROL]
        return {
            **self._accuracies(task_RN),
            "control accuracy": self._score(control_RN),
            "selectivity": self._score(task_RN.astype(np.int64) - control_RN),
        }

    def _accuracies(self, right_RN: np.ndarray) -> dict[str, Score]:
        scores = {"accuracy": self._score(right_RN)}
        if self._is_unseen_N.any():
            scores["unseen words"] = self._score(right_RN, self._is_unseen_N)
        return scores

    def _score(self, hits_RN: np.ndarray, counted_N: np.ndarray | None = None) -> Score:
        """The score of hits at words, summed for each sentence, over the words that are counted."""
        counted = np.ones(hits_RN.shape[1]) if counted_N is None else counted_N.astype(np.float64)
        number = len(self.sentences["test"])

        def per_sentence(values_N: np.ndarray) -> np.ndarray:
            return np.bincount(self._sentence_N, values_N, minlength=number)

        return Score(np.stack([per_sentence(hits_N * counted) for hits_N in hits_RN]), per_sentence(counted))


def _part(report: Report, number: int, total: int) -> Report:
    """What reports the progress of one of several equal parts of the work."""
    return lambda done: report((number + done) / total)
