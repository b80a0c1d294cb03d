"""The baseline: each word has the tag that it had most often in the training sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tasks.tagging.examples import TagExamples
from tasks.tagging.figures import tag_scores
from tasks.tagging.labels import LabelSet


def baseline_figures(train: TagExamples, test: TagExamples, labels: LabelSet) -> dict[str, float]:
    """The scores of the baseline on test sentences, in percent."""
    predicted = most_frequent_tags(train, test.sentences())
    scores = tag_scores(test.tags(), predicted, has_spans=labels.has_spans)
    return {f"test/most_frequent_{name}": value for name, value in scores.items()}


def most_frequent_tags(train: TagExamples, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The most frequent tag of each word; of a new word, the most frequent one of all words."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train.tagged:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts[word][tag] += 1
    best = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    usual = sum(counts.values(), Counter()).most_common(1)[0][0]
    return [[best.get(word, usual) for word in words] for words in sentences]
