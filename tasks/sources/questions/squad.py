"""Questions about passages in the format of SQuAD, from the Hugging Face hub or from official JSON files."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from elmo.errors import InputError, shown_with_type
from elmo.registry import REGISTRY
from tasks.sources.questions.source import Answer, Passage, Question, QuestionSource
from tasks.sources.shared.compression import open_decompressed
from tasks.sources.shared.fraction import Fraction
from tasks.sources.shared.hub_access import load_split
from tasks.sources.shared.local_files import BATCH_SIZE
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import parse_json, refuse_half_characters
from tasks.sources.shared.split import SPLITS, Split
from tasks.sources.shared.split_files import SplitFiles

_HUB_SPLITS = {"train": "train", "dev": "train", "test": "validation"}
_TYPE_NAMES = {str: "text", int: "a whole number", list: "a list", dict: "an object"}


@REGISTRY.register("data", "squad")
class SquadSource(QuestionSource):
    """SQuAD 1.1, SQuAD 2.0 or data in their format.

    SQuAD's test questions are not public. The published development set is therefore the `test` split here,
    scored once, and models are selected on a `dev` split of the training data: every n-th article, as a
    whole, so that none of its passages is in the training split.

    Args:
        name: a data set of the hub with the columns id, title, context, question and answers.
        revision: a branch or commit of it; None: the newest.
        train: paths or globs of official JSON files instead of the hub's training data.
        dev: the same for selecting the model; None: every n-th article of the training data.
        test: the same for the final scores.
        dev_every: the period n; not used if `dev` is given.
        language: ISO 639-1 code, for sentence splitting.
        fraction: of the training passages, each with all its questions.
    """

    def __init__(
        self,
        *,
        name: str,
        revision: str | None,
        train: str | list[str] | None,
        dev: str | list[str] | None,
        test: str | list[str] | None,
        dev_every: int,
        language: str,
        fraction: Fraction = 1.0,
    ) -> None:
        if dev_every < 2:
            raise InputError(f"data.dev_every: {dev_every} must be 2 or more")
        self.fraction = fraction
        self.name = name
        self.revision = revision
        self.dev_every = dev_every
        self.language = language
        self._files = SplitFiles(train=train, dev=dev, test=test)

    def check_examples(self, splits: Collection[Split] = SPLITS) -> None:
        origins = {"train" if self._is_taken_off(split) else split for split in splits}
        self._files.find_all([split for split in origins if split in self._files.given])

    def describe_examples(self, split: Split) -> dict[str, Any]:
        files = self._find(split)
        text: dict[str, Any] = {
            "split": split,
            "dev_every": self.dev_every if self._is_taken_off(split) else None,
        }
        if files is not None:
            return text | {"files": files}
        return text | {"name": self.name, "revision": self.revision, "hub_split": _HUB_SPLITS[split]}

    def passages(self, split: Split) -> Iterator[Passage]:
        passages = _refuse_repeated_ids(self._read(split))
        if self._is_taken_off(split):
            return self._choose(passages, split)
        return (passage for _, passage in passages)

    def _is_taken_off(self, split: Split) -> bool:
        """Whether a split is a part of the training data."""
        return split != "test" and "dev" not in self._files.given

    def _find(self, split: Split) -> list[File] | None:
        """The files that contain a split, perhaps with another one; None: it is on the hub."""
        origin: Split = "train" if self._is_taken_off(split) else split
        return self._files.find(origin) if origin in self._files.given else None

    def _read(self, split: Split) -> Iterator[tuple[str, Passage]]:
        """All passages of the files or the hub split that contain a split, with their articles' titles."""
        files = self._find(split)
        if files is not None:
            return itertools.chain.from_iterable(map(_read_file, files))
        return _read_rows(self._hub_rows(_HUB_SPLITS[split]), f"{self.name}:{_HUB_SPLITS[split]}")

    def _hub_rows(self, split: str) -> Iterator[dict[str, Any]]:
        advice = "official files will do: data.train=... data.test=..."
        data = load_split(self.name, config=None, revision=self.revision, split=split, advice=advice)
        for batch in data.iter(batch_size=BATCH_SIZE):
            for values in zip(*batch.values(), strict=True):
                yield dict(zip(batch, values, strict=True))

    def _choose(self, titled: Iterable[tuple[str, Passage]], split: Split) -> Iterator[Passage]:
        """The passages of every n-th article for `dev`, the others for `train`."""
        numbers: dict[str, int] = {}
        for title, passage in titled:
            number = numbers.setdefault(title, len(numbers) + 1)
            if (number % self.dev_every == 0) == (split == "dev"):
                yield passage
        if len(numbers) < self.dev_every:
            raise InputError(
                f"data.dev_every: {self.dev_every} leaves nothing for dev of {len(numbers)} articles; make it"
                " smaller or give data.dev"
            )


def _read_file(path: File) -> Iterator[tuple[str, Passage]]:
    """The passages of an official file, each with its article's title."""
    content = _load_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object with `data`, got {shown_with_type(content)}")
    for a, article in _items(content, "data", f"{path}: "):
        title = _field(article, "title", str, f"{path}: data[{a}].") if "title" in article else f"data[{a}]"
        for p, passage in _items(article, "paragraphs", f"{path}: data[{a}]."):
            place = f"{path}: data[{a}].paragraphs[{p}]."
            questions = [_read_question(q, f"{place}qas[{i}].") for i, q in _items(passage, "qas", place)]
            yield title, Passage(place[:-1], _field(passage, "context", str, place), tuple(questions))


def _load_json(path: File) -> Any:
    try:
        with open_decompressed(path) as (content, _):
            text = content.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: invalid UTF-8 at byte {error.start + 1}; convert the file") from error
    return parse_json(text, str(path))


def _read_question(question: Mapping[str, Any], place: str) -> Question:
    answers = [
        Answer(
            _field(answer, "text", str, f"{place}answers[{i}]."),
            _field(answer, "answer_start", int, f"{place}answers[{i}]."),
        )
        for i, answer in _items(question, "answers", place)
    ]
    return Question(
        _field(question, "id", str, place), _field(question, "question", str, place), tuple(answers)
    )


def _read_rows(rows: Iterator[dict[str, Any]], name: str) -> Iterator[tuple[str, Passage]]:
    """The passages of the hub's rows, one question each; consecutive rows with one passage are merged."""
    numbered = ((f"{name}:{number}: ", row) for number, row in enumerate(rows, start=1))
    for _, group in itertools.groupby(
        numbered, key=lambda pair: (pair[1].get("title"), pair[1].get("context"))
    ):
        members = list(group)
        place, first = members[0]
        questions = tuple(_read_row(row, place) for place, row in members)
        title = _field(first, "title", str, place)
        yield title, Passage(place[:-2], _field(first, "context", str, place), questions)


def _read_row(row: Mapping[str, Any], place: str) -> Question:
    """A row's question; its answers are an object of two lists."""
    answers = _field(row, "answers", dict, place)
    texts = _field(answers, "text", list, f"{place}answers.")
    starts = _field(answers, "answer_start", list, f"{place}answers.")
    if len(texts) != len(starts):
        raise InputError(f"{place}answers: {len(texts)} texts, but {len(starts)} starts")
    pairs = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    return _read_question({**row, "answers": pairs}, place)


def _items(holder: Mapping[str, Any], key: str, place: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The numbered objects of a list."""
    for index, item in enumerate(_field(holder, key, list, place)):
        if not isinstance(item, dict):
            raise InputError(f"{place}{key}[{index}]: expected an object, got {shown_with_type(item)}")
        yield index, item


def _field(holder: Mapping[str, Any], key: str, kind: type, place: str) -> Any:
    if key not in holder:
        raise InputError(f"{place}{key}: missing; there is only {', '.join(map(str, holder)) or 'nothing'}")
    if type(holder[key]) is not kind:
        raise InputError(f"{place}{key}: expected {_TYPE_NAMES[kind]}, got {shown_with_type(holder[key])}")
    if kind is str:
        try:
            refuse_half_characters(holder[key])
        except InputError as error:
            raise InputError(f"{place}{key}: {error}") from error
    return holder[key]


def _refuse_repeated_ids(titled: Iterable[tuple[str, Passage]]) -> Iterator[tuple[str, Passage]]:
    seen: dict[str, str] = {}
    for title, passage in titled:
        for question in passage.questions:
            if question.id in seen:
                first = seen[question.id]
                raise InputError(
                    f"{passage.name}: the question id {question.id!r} occurs twice, first in {first}"
                )
            seen[question.id] = passage.name
        yield title, passage
