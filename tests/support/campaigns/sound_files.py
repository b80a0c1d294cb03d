"""Sound files for the campaigns: tiny runs, models, texts, tables and stores, made when they are needed."""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from tiny_runs import arguments_of, write_data

from elmo.inference.embedder import ElmoEmbedder
from elmo.io.loading import load_bilm
from elmo.io.official import write_official
from elmo.registry import REGISTRY
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from elmo.text.vocabulary import Vocabulary
from experiments import train
from experiments.config.command import run_command
from experiments.io.vector_spool import VectorSpool
from tasks.language_model.preparation import prepare_corpus

RUNS = {
    "lm": "language_model, stream, adaptive",
    "tc": "text_classification, words",
    "tcenc": "text_classification, stored vectors",
    "qa": "question_answering, words",
}


@functools.cache
def run_directory(kind: str) -> Path:
    """The directory of a tiny run of a kind, which this process made."""
    path = Path(tempfile.mkdtemp(prefix=f"fuzz-run-{kind}-"))
    with open(os.devnull, "w") as silent:
        arguments = arguments_of(RUNS[kind], path / "run", write_data(path))
        arguments += ["trainer.max_steps=2", "trainer.evaluate_every=1", "trainer.keep_checkpoints=1"]
        with redirect_stdout(silent), redirect_stderr(silent):
            assert run_command(train.main, config_name="train", arguments=arguments) == 0
    shutil.rmtree(path / "run" / "plots", ignore_errors=True)
    return path / "run"


def copy_run(kind: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        shutil.copytree(run_directory(kind), path, symlinks=True, dirs_exist_ok=True)

    return prepare


def copy_model(kind: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        shutil.copytree(run_directory(kind) / "model", path, dirs_exist_ok=True)

    return prepare


def write_official_files(path: Path) -> None:
    write_official(load_bilm(run_directory("lm")).bilm, path / "options.json", path / "weights.hdf5")


def write_word_model(path: Path) -> None:
    """Official files of a model of whole words, with its vocabulary and its table."""
    import h5py

    write_official_files(path)
    (path / "words.txt").write_text("<S>\n</S>\n<UNK>\nred\ngreen\n")
    with h5py.File(path / "table.hdf5", "w") as file:
        file.create_dataset("embedding", data=np.ones((5, 8), dtype=np.float32))


def write_vocabulary(path: Path) -> None:
    Vocabulary(["<S>", "</S>", "<UNK>", *(f"wörd{i}" for i in range(50))]).save(path / "vocabulary.txt")


def write_glove(path: Path) -> None:
    lines = [f"wörd{i} {i / 7:.4f} -0.25 {i}e-3 1\n" for i in range(60)]
    (path / "vectors.txt").write_text("".join(lines))
    (path / "vectors.gz").write_bytes(gzip.compress("".join(["60 4\n", *lines]).encode(), mtime=0))


def write_tables(path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    texts = [f"The {word}, says “Änne” {i}" for i, word in enumerate(["sun", "rain", "snow", "wind"] * 10)]
    labels = [("good", "bad")[i % 2] for i in range(40)]
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    quoted = "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)
    (path / "t.csv").write_text(f"text,label\n{quoted}")
    (path / "t.csv.gz").write_bytes(gzip.compress(f"text,label\n{quoted}".encode(), mtime=0))
    (path / "t.tsv").write_text("text\tlabel\n" + "".join(f"{r['text']}\t{r['label']}\n" for r in rows))
    (path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "t.json").write_text(json.dumps(rows))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path / "t.parquet")


def write_pairs(path: Path) -> None:
    rows = [
        {"first": f"A dög {i}", "second": "It runs", "score": i / 2, "label": "-ab"[i % 3]} for i in range(40)
    ]
    (path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["\t".join(map(str, values)) for values in (rows[0], *(row.values() for row in rows))]
    (path / "pairs.txt").write_text("\n".join(lines) + "\n")


def write_tagged(path: Path) -> None:
    words, tags = ["Änne", "Lee", "didn't", "go"], ["B-PER", "I-PER", "O", "B-x-y"]
    pairs = list(zip(words, tags, strict=True))
    (path / "t.conll").write_text(
        "-DOCSTART- O\n\n" + "".join(f"{w} {t}\n" for w, t in pairs * 3 + [("", "")]) * 6
    )
    ids = ["1", "2", "3-4", "3", "3.1"]
    rest = "\t_" * 8
    lines = [f"{id}\tword{rest.replace('_', id, 2)}\n" for id in ids]
    (path / "t.conllu").write_text(("# text = x\n" + "".join(lines) + "\n") * 12)
    roles = ["Li * - (A0*) (A0*)", "wants * want (V*) *", "to * - (A1* *", "go (x) go *) (V*)"]
    (path / "t.srl").write_text("\n".join([*roles, "", ""]) * 12)
    rows = [{"tokens": words[: i % 5], "tags": tags[: i % 5]} for i in range(40)]
    (path / "tagged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_texts(path: Path) -> None:
    write_data(path)
    for file in path.glob("*.csv"):
        file.unlink()
    (path / "train_text.txt").write_text(
        "".join(f"{line}\n\n" for line in ["Ein Satz mit Wörtern .", "Another one . 日本語", "x"] * 30)
    )


def write_squad(path: Path) -> None:
    """Ten articles of one passage."""
    articles = []
    for number in range(10):
        context = f"w1 w2 Anna lives in Rome{number} w3."
        answers = [{"text": f"Rome{number}", "answer_start": context.index("Rome")}]
        question = {"id": str(number), "question": "Where does Anna live?", "answers": answers}
        articles.append({"title": str(number), "paragraphs": [{"context": context, "qas": [question]}]})
    (path / "squad.json").write_text(json.dumps({"version": "1.1", "data": articles}))


def write_store(path: Path) -> None:
    write_texts(path)
    source = REGISTRY.build("data", {"type": "text", "train": str(path / "train_text.txt")})
    corpus = prepare_corpus(
        source, WhitespaceTokenizer(), cache_path=path / "cache", split="train", num_workers=1
    )
    for file in corpus.path.iterdir():
        shutil.copy(file, path / file.name)
    shutil.rmtree(path / "cache")
    for file in path.glob("*.txt"):
        file.unlink()


SPOOL: dict[str, Any] = {"settings": {"model": "m"}, "shape": (2, -1, 3), "dtype": np.dtype("<f4")}


def write_spool(path: Path) -> None:
    with VectorSpool(path, **SPOOL) as spool:
        for words in (["a", "b"], [], ["wörter", "c", "d"]):
            spool.append(words, np.ones((2, len(words), 3)))
        spool.commit()


def write_warm_state(path: Path) -> None:
    copy_model("lm")(path)
    embedder = ElmoEmbedder(path, state="warm", device="cpu")
    embedder.warm_up([["a", "b"], ["c"]], saved=True)


def write_records(path: Path) -> None:
    records = [{"text": f"Ein Satz {i} mit Wörtern", "id": i, "words": ["a", "b"]} for i in range(20)]
    (path / "r.jsonl").write_text(
        "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    )
    (path / "r.txt").write_text("".join(f"{record['text']}\n" for record in records))


def write_model_and_records(path: Path) -> None:
    copy_model("tc")(path)
    write_records(path)
