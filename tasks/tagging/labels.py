"""The labels that a tagger predicts for words, and which of them may follow each other.

Shape legend: V labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import torch

from elmo.errors import InputError
from tasks.sources.tagged.schemes import OUTSIDE, Span, convert, may_follow, spans_of
from tasks.tagging.crf import Transitions

LabelScheme: TypeAlias = Literal["none", "bio", "bioul"]


class LabelSet:
    """The labels of words: tags as they are, or those of a scheme for the spans of some types.

    A scheme's labels are complete, so that every span of a type can be predicted, however rare it is.

    Args:
        names: the V labels.
        scheme: of the labels; `none`: tags are no spans.
    """

    def __init__(self, names: Sequence[str], *, scheme: LabelScheme) -> None:
        self.names, self.scheme = list(names), scheme
        self._ids = {name: index for index, name in enumerate(self.names)}

    @classmethod
    def of_tags(cls, sentences: Iterable[Sequence[str]], *, scheme: LabelScheme) -> LabelSet:
        """The labels for the tags of training sentences, in BIO if they are spans.

        Raises:
            InputError: the tags are all the same, or without a span.
        """
        if scheme == "none":
            tags = sorted({tag for sentence in sentences for tag in sentence})
            if len(tags) < 2:
                only = f"only the tag {tags[0]!r}" if tags else "no word"
                raise InputError(f"data: the training sentences have {only}; a tagger needs two tags")
            return cls(tags, scheme=scheme)
        types = sorted({span.label for sentence in sentences for span in spans_of(sentence)})
        if not types:
            raise InputError("data: the training sentences have no span, only words outside of spans")
        letters = scheme.upper().replace("O", "")
        names = [f"{letter}-{type_}" if type_ else letter for type_ in types for letter in letters]
        return cls([OUTSIDE, *names], scheme=scheme)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_spans(self) -> bool:
        return self.scheme != "none"

    def ids(self, tags: Sequence[str]) -> list[int]:
        """The indices of the labels of some tags, which are in BIO if they are spans."""
        names = convert(tags, source="bio" if self.has_spans else "none", target=self.scheme)
        return [self._ids[name] for name in names]

    def tags(self, ids: Iterable[int]) -> list[str]:
        """The tags of some labels, in BIO if they are spans."""
        names = [self.names[index] for index in ids]
        return convert(names, source=self.scheme, target="bio" if self.has_spans else "none")

    def types(self) -> set[str]:
        """The labels of spans, or the tags if these are no spans."""
        if not self.has_spans:
            return set(self.names)
        return {span.label for name in self.names for span in spans_of([name], scheme=self.scheme)}

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """The spans of a sentence's tags; if tags are no spans, each word is one of its own."""
        if self.has_spans:
            return spans_of(tags)
        return [Span(tag, place, place + 1) for place, tag in enumerate(tags)]

    def allowed(self) -> Transitions:
        """Bool tensors, whether each label may stand first, follow each other one, and stand last."""

        def may(first: str | None, second: str | None) -> bool:
            return may_follow(first, second, scheme=self.scheme)

        return Transitions(
            start=torch.tensor([may(None, name) for name in self.names]),
            between=torch.tensor([[may(first, second) for second in self.names] for first in self.names]),
            end=torch.tensor([may(name, None) for name in self.names]),
        )
