"""Seeded tiny runs of every task and batching, for tests that look at a whole run."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from experiments import train
from experiments.config.command import run_command

TINY = [
    "encoder.character_embedding_size=4",
    "encoder.filters=[[1,8],[2,8]]",
    "encoder.cell_size=16",
    "encoder.projection_size=8",
]
COMMON = [
    "optimizer.learning_rate=0.01",
    "schedule=constant",
    "trainer.max_steps=12",
    "trainer.max_epochs=null",
    "trainer.max_minutes=null",
    "trainer.batch_size=4",
    "trainer.num_threads=1",
    "trainer.device=cpu",
    "trainer.log_every=1",
    "trainer.evaluate_every=6",
    "logger=none",
    "logger.progress=none",
]
LANGUAGE_MODEL = ["data=text", "tokenizer=whitespace", "vocabulary.min_count=1", *TINY]
LANGUAGE_MODEL += ["data.train={train_text}", "data.dev={dev_text}", "data.test={test_text}"]
STREAM = [*LANGUAGE_MODEL, "batching=stream", "batching.num_steps=5"]
TEXTS = ["task=text_classification", "data=labelled_files", "data.prose=false", "tokenizer=whitespace"]
TEXTS += [f"data.{part}={{{part}}}" for part in ("train", "dev", "test")]
QUESTIONS = ["task=question_answering", "head.hidden_size=8", "head.alignment_size=8"]
QUESTIONS += [f"data.{part}={{squad_{part}}}" for part in ("train", "dev", "test")]
TAGS = ["task=tagging", "data=tagged_files", "encoder=char_cnn", "head.hidden_size=8"]
TAGS += [f"data.{part}={{tags_{part}}}" for part in ("train", "dev", "test")]
BILM = ["encoder=elmo_tiny", *TINY]
RAW = "mix.standardized=false"
POOLED = ["head=pooled", "head.layer_normed=false"]
RUNS = {
    "language_model, sentences, adaptive": [
        *LANGUAGE_MODEL,
        "batching=sentences",
        "batching.num_steps=5",
        "softmax.cutoffs=[10]",
    ],
    "language_model, sentences, full, tanh": [
        *LANGUAGE_MODEL,
        "batching.num_steps=5",
        "softmax=full",
        "encoder.activation=tanh",
        "encoder.projection_clip=0.02",
        "encoder.cell_clip=0.05",
    ],
    "language_model, stream, sampled": [
        *STREAM,
        "softmax=sampled",
        "softmax.num_samples=8",
        "optimizer=adagrad",
        "task.loss_scale=5.0",
    ],
    "language_model, stream, adaptive": [*STREAM, "softmax.cutoffs=[10]", "trainer.accumulate_batches=2"],
    "text_classification, words": [*TEXTS, "encoder=word", "encoder.size=8", *POOLED],
    "text_classification, frozen biLM": [*TEXTS, *BILM, RAW, *POOLED, "features.cached=false"],
    "text_classification, stored vectors": [*TEXTS, *BILM, RAW, *POOLED, "features.cached=true"],
    "text_classification, standardized": [*TEXTS, *BILM, "head=pooled"],
    "text_classification, fine-tuned biLM": [
        *TEXTS,
        *BILM,
        RAW,
        "head=bilstm",
        "head.hidden_size=8",
        "fine_tuning.trainable=true",
    ],
    "text_classification, characters": [*TEXTS, "encoder=char_cnn", "head=cnn"],
    "question_answering, words": [*QUESTIONS, "encoder=word", "encoder.size=8"],
    "question_answering, frozen biLM": [*QUESTIONS, *BILM, RAW, "features.cached=false"],
    "tagging, characters": TAGS,
}


def write_data(path: Path) -> dict[str, Path]:
    """Made-up data of all tasks; the file of each name."""
    generator = random.Random(1)
    words, shares = [f"w{i}" for i in range(30)], [1 / (i + 1) for i in range(30)]

    def sentence() -> str:
        return " ".join(generator.choices(words, shares, k=generator.randint(3, 9)))

    files = {name: path / f"{name}.csv" for name in ("train", "dev", "test")}
    files |= {name: path / f"{name}.txt" for name in ("train_text", "dev_text", "test_text")}
    files |= {f"squad_{name}": path / f"squad_{name}.json" for name in ("train", "dev", "test")}
    lines = [f"{sentence()}\n" for _ in range(120)]
    files["dev_text"].write_text("".join(lines[19::20]))
    files["train_text"].write_text("".join(line for i, line in enumerate(lines, 1) if i % 20))
    for name, number in (("train", 40), ("dev", 12), ("test", 12)):
        rows = [f"{sentence()} {('sun', 'rain')[i % 2]},{('good', 'bad')[i % 2]}\n" for i in range(number)]
        files[name].write_text("".join(["text,label\n", *rows]))
    files |= {f"tags_{name}": path / f"tags_{name}.conll" for name in ("train", "dev", "test")}
    articles = []
    for number in range(10):
        context = f"{sentence()} Anna lives in Rome{number} {sentence()}."
        answers = [{"text": f"Rome{number}", "answer_start": context.index("Rome")}]
        question = {"id": str(number), "question": "Where does Anna live?", "answers": answers}
        articles.append({"title": "t", "paragraphs": [{"context": context, "qas": [question]}]})
    files["test_text"].write_text("".join(f"{sentence()}\n" for _ in range(6)))
    for name in ("train", "dev", "test"):
        files[f"squad_{name}"].write_text(json.dumps({"version": "1.1", "data": articles}))
    phrases = ["Anna B-PER\nRoe I-PER\n", "lives O\nin O\nRome B-LOC\n", "Bo B-PER\nsleeps O\n"]
    for name in ("train", "dev", "test"):
        sentences = ["".join(generator.choices(phrases, k=generator.randint(1, 4))) for _ in range(24)]
        files[f"tags_{name}"].write_text("\n".join(sentences))
    return files


def arguments_of(name: str, directory: Path, files: dict[str, Path]) -> list[str]:
    """The command line of a run that goes to `directory`; beside it lies the cache."""
    overrides = [override.format_map(files) if "{" in override else override for override in RUNS[name]]
    arguments = [*overrides, *COMMON, f"output_dir={directory}", f"cache_dir={directory.parent / 'cache'}"]
    if name == "language_model, stream, sampled":
        arguments.remove("optimizer.learning_rate=0.01")
    return arguments


def portable_dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout with the same mask wherever it runs: torch's own draws others in other versions and builds."""
    return x * (torch.rand(x.shape).to(x.device) >= p) / (1 - p) if training else x


def figures_of(
    name: str, path: Path, files: dict[str, Path], *, changes: Sequence[str] = ()
) -> dict[str, list[float]]:
    """Every training loss and every score of a run, in order."""
    directory = path / name.replace(", ", "-").replace(" ", "_")
    arguments = [*arguments_of(name, directory, files), *changes]
    with (
        mock.patch("torch.nn.functional.dropout", portable_dropout),
        mock.patch("elmo.bilm.dropout.is_drawn_here", lambda *_: False),
        mock.patch("elmo.bilm.mixes.is_drawn_here", lambda *_: False),
    ):
        assert run_command(train.main, config_name="train", arguments=arguments) == 0
    found: dict[str, list[float]] = {}
    for line in (directory / "metrics.jsonl").read_text().splitlines():
        for key, value in json.loads(line).items():
            if key.startswith(("train/loss", "train/sampled_loss", "train/gradient_norm", "dev/")):
                found.setdefault(key, []).append(value)
    return found
