"""The readers of the project, each with sound files, a mutation of them, and the code that reads them."""

from __future__ import annotations

import io
import json
import os
import random
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from campaigns.mutations import (
    damage_entry,
    mutate_bytes,
    mutate_file,
    mutate_json,
    mutate_json_lines,
    mutate_yaml,
)
from campaigns.sound_files import (
    SPOOL,
    copy_model,
    copy_run,
    write_glove,
    write_model_and_records,
    write_official_files,
    write_pairs,
    write_records,
    write_spool,
    write_squad,
    write_store,
    write_tables,
    write_tagged,
    write_texts,
    write_vocabulary,
    write_warm_state,
    write_word_model,
)
from elmo.errors import InputError
from elmo.inference.embedder import ElmoEmbedder
from elmo.io.official import read_official, read_official_words
from elmo.registry import REGISTRY
from elmo.text.tokenizers.whitespace import WhitespaceTokenizer
from elmo.text.vocabulary import Vocabulary
from experiments import evaluate, predict, score, train
from experiments.config.choices import Progress
from experiments.config.command import run_command
from experiments.config.schema import EvaluateConfig, PredictConfig, ScoreConfig
from experiments.io.environment import read_starts
from experiments.io.sentence_reader import SentenceReader
from experiments.io.vector_spool import VectorSpool
from experiments.logging.run_logger import RunLogger
from experiments.training.saving.checkpoint import load_checkpoint
from tasks.encoders.word_vector_file import read_word_vectors
from tasks.language_model.corpus import Corpus
from tasks.language_model.preparation import prepare_corpus
from tasks.sources.shared.contamination import TrainingSentences

Mutate = Callable[[Path, random.Random], None]


class Reader(NamedTuple):
    """What a campaign tries.

    Attributes:
        name: of the reader.
        prepare: writes sound files into a directory.
        mutate: changes them in their place.
        read: reads them.
    """

    name: str
    prepare: Callable[[Path], None]
    mutate: Mutate
    read: Callable[[Path], Any]


READERS: dict[str, Reader] = {}


def reader(
    name: str, prepare: Callable[[Path], None], mutate: Mutate
) -> Callable[[Callable[[Path], Any]], Any]:
    """Function decorator that enters a function that reads a directory."""

    def enter(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        READERS[name] = Reader(name, prepare, mutate, read)
        return read

    return enter


def any_bytes(*names: str) -> Mutate:
    """Mutate the bytes of one of the files."""
    return lambda path, generator: mutate_file(path / generator.choice(names), mutate_bytes, generator)


def tree_of(name: str) -> Mutate:
    """Mutate the values of a JSON document; sometimes its bytes, or the entry of its directory."""

    def mutate(path: Path, generator: random.Random) -> None:
        chance = generator.random()
        if chance < 0.02:
            damage_entry(path / name, generator)
        else:
            mutate_file(path / name, mutate_json if chance < 0.85 else mutate_bytes, generator)

    return mutate


def lines_of(name: str) -> Mutate:
    """Mutate the values of one of JSON lines, or bytes."""

    def mutate(path: Path, generator: random.Random) -> None:
        mutate_file(path / name, mutate_json_lines if generator.random() < 0.6 else mutate_bytes, generator)

    return mutate


def yaml_of(name: str) -> Mutate:
    def mutate(path: Path, generator: random.Random) -> None:
        mutate_file(path / name, mutate_yaml if generator.random() < 0.8 else mutate_bytes, generator)

    return mutate


def header_of(name: str) -> Mutate:
    """Mutate the JSON header of a safetensors file, its length included, or any bytes."""

    def mutate(path: Path, generator: random.Random) -> None:
        data = (path / name).read_bytes()
        size = int.from_bytes(data[:8], "little")
        if generator.random() < 0.3:
            mutate_file(path / name, mutate_bytes, generator)
            return
        header = mutate_json(data[8 : 8 + size], generator)
        header += b" " * (-len(header) % 8)
        (path / name).write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])

    return mutate


def mutate_entry(*names: str) -> Mutate:
    return lambda path, generator: damage_entry(path / generator.choice(names), generator)


def mutate_store(path: Path, generator: random.Random) -> None:
    name = generator.choice(sorted(file.name for file in path.iterdir()))
    if name == "meta.json":
        tree_of(name)(path, generator)
    else:
        mutate_file(path / name, mutate_bytes, generator)


def mutate_spool(path: Path, generator: random.Random) -> None:
    name = generator.choice(["progress.json", "progress.json", "words.jsonl", "vectors.bin"])
    change = {"progress.json": tree_of(name), "words.jsonl": lines_of(name)}.get(name, any_bytes(name))
    change(path, generator)


def mutate_checkpoint(path: Path, generator: random.Random) -> None:
    """Mutate the tree of the newest checkpoint and write its checksum again."""
    file = path / "checkpoints" / "last" / "state.json"
    document = json.loads(file.read_bytes())
    try:
        document["tree"] = json.loads(mutate_json(json.dumps(document["tree"]).encode(), generator))
        document["tree_crc32"] = zlib.crc32(json.dumps(document["tree"]).encode())
        if generator.random() < 0.1:
            document = json.loads(mutate_json(json.dumps(document).encode(), generator))
    except (RecursionError, ValueError):
        document["format"] = None
    file.write_text(json.dumps(document))


def mutate_log(path: Path, generator: random.Random) -> None:
    if generator.random() < 0.05:
        damage_entry(path / "metrics.jsonl", generator)
    else:
        lines_of("metrics.jsonl")(path, generator)


@reader("options", write_official_files, tree_of("options.json"))
@reader("weights", write_official_files, any_bytes("weights.hdf5"))
def read_official_directory(path: Path) -> None:
    embed_some(read_official(path / "options.json", path / "weights.hdf5"))


@reader("official_words", write_word_model, any_bytes("words.txt", "table.hdf5"))
def read_word_model(path: Path) -> None:
    read_official_words(
        path / "options.json",
        path / "weights.hdf5",
        vocabulary=path / "words.txt",
        embeddings=path / "table.hdf5",
    )


@reader("config_enc", copy_model("lm"), tree_of("config.json"))
@reader("safetensors_enc", copy_model("lm"), header_of("model.safetensors"))
@reader("config_tcenc", copy_model("tcenc"), tree_of("config.json"))
def read_encoder(path: Path) -> None:
    ElmoEmbedder(path, device="cpu").embed_sentences([["a", "b"], ["c"]])


@reader("config_lm", copy_model("lm"), tree_of("config.json"))
@reader("vocabulary_lm", copy_model("lm"), any_bytes("vocabulary.txt"))
@reader("safetensors_lm", copy_model("lm"), header_of("model.safetensors"))
@reader("entries_lm", copy_model("lm"), mutate_entry("config.json", "model.safetensors", "vocabulary.txt"))
def score_text(path: Path) -> None:
    (path / "in.txt").write_text("w1 w2\nw3\n")
    options = {"run": str(path), "input": str(path / "in.txt"), "output": str(path / "out.jsonl")}
    score.main(ScoreConfig(**options, device="cpu", progress=Progress.none), [])


@reader("config_tc", copy_model("tc"), tree_of("config.json"))
@reader("config_tcenc_predict", copy_model("tcenc"), tree_of("config.json"))
@reader("safetensors_tc", copy_model("tc"), header_of("model.safetensors"))
@reader("words_tc", copy_model("tc"), any_bytes("words/word.words.txt"))
def predict_label(path: Path) -> None:
    predict_record(path, {"text": "w1 w2 sun"})


@reader("config_qa", copy_model("qa"), tree_of("config.json"))
def predict_answer(path: Path) -> None:
    predict_record(path, {"context": "Anna lives in Rome1 w2.", "question": "Where does Anna live?"})


def predict_record(path: Path, record: dict[str, str]) -> None:
    (path / "in.jsonl").write_text(json.dumps(record) + "\n")
    options = {"run": str(path), "input": str(path / "in.jsonl"), "output": str(path / "out.jsonl")}
    predict.main(PredictConfig(**options, device="cpu", progress=Progress.none), [])


@reader("vocabulary", write_vocabulary, any_bytes("vocabulary.txt"))
def read_vocabulary(path: Path) -> None:
    Vocabulary.from_file(path / "vocabulary.txt")


@reader("glove", write_glove, any_bytes("vectors.txt", "vectors.gz"))
def read_glove(path: Path) -> None:
    for file in sorted(path.iterdir()):
        read_word_vectors(file)


def read_table(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        source = REGISTRY.build("data", {"type": "labelled_files", "train": str(path / name)})
        source.check_examples(["train"])
        for split in ("train", "dev", "test"):
            list(source.examples(split))

    return read


for _name in ("t.csv", "t.tsv", "t.csv.gz", "t.parquet"):
    reader(_name.removeprefix("t."), write_tables, any_bytes(_name))(read_table(_name))
reader("jsonl", write_tables, lines_of("t.jsonl"))(read_table("t.jsonl"))
reader("json", write_tables, tree_of("t.json"))(read_table("t.json"))


def read_tagged(name: str, **options: Any) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        source = REGISTRY.build("data", {"type": "tagged_files", "test": str(path / name)} | options)
        list(source.examples("test"))

    return read


_NAMES = {"word_column": "tokens", "tag_column": "tags"}
_ROLES = {"word_column": 1, "predicate_column": 3, "first_argument_column": 4, "last_argument_column": -1}
reader("conll", write_tagged, any_bytes("t.conll"))(read_tagged("t.conll"))
reader("conllu", write_tagged, any_bytes("t.conllu"))(
    read_tagged("t.conllu", word_column="form", tag_column="upos", delimiter="tab", scheme="none")
)
reader("srl", write_tagged, any_bytes("t.srl"))(read_tagged("t.srl", type="srl_files", **_ROLES))
reader("tagged_jsonl", write_tagged, lines_of("tagged.jsonl"))(read_tagged("tagged.jsonl", **_NAMES))


def read_pairs(name: str, **options: Any) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        node = {"type": "pair_files", "target": "score", "test": str(path / name), **options}
        list(REGISTRY.build("data", node).examples("test"))

    return read


reader("pair_tsv", write_pairs, any_bytes("pairs.txt"))(read_pairs("pairs.txt", file_form="tsv"))
reader("pair_jsonl", write_pairs, lines_of("pairs.jsonl"))(
    read_pairs("pairs.jsonl", target="label", skipped_labels=["-"])
)


@reader("squad", write_squad, tree_of("squad.json"))
def read_squad(path: Path) -> None:
    from tasks.question_answering.examples import QuestionReader

    node = {"type": "squad", "name": "n", "revision": None, "dev_every": 2, "language": "en"}
    node |= {"train": str(path / "squad.json"), "dev": None, "test": None}
    source = REGISTRY.build("data", node)
    for split in ("train", "dev"):
        QuestionReader(
            tokenizer=WhitespaceTokenizer(), language="en", window_words=20, window_stride=10
        ).read(source.passages(split))


@reader("text", write_texts, any_bytes("train_text.txt"))
def read_text(path: Path) -> None:
    for prose in (False, True):
        source = REGISTRY.build(
            "data", {"type": "text", "train": str(path / "train_text.txt"), "prose": prose}
        )
        for split in ("train", "dev"):
            prepare_corpus(
                source, WhitespaceTokenizer(), cache_path=path / "cache", split=split, num_workers=1
            )


@reader("corpus", write_store, mutate_store)
def read_corpus(path: Path) -> None:
    corpus = Corpus(path)
    ids, _ = corpus.read_sentences(0, corpus.num_sentences)
    vocabulary = Vocabulary.from_counts(corpus.types, corpus.counts_V, min_count=1, max_size=None)
    vocabulary.ids_of(corpus.types)[ids]
    corpus.types.characters(np.unique(ids))


@reader("spool", write_spool, mutate_spool)
def read_spool(path: Path) -> None:
    with VectorSpool(path, **SPOOL) as spool:
        for words, vectors in spool:
            assert vectors.shape == (2, len(words), 3)
        spool.append(["e"], np.zeros((2, 1, 3)))
        spool.commit()


@reader("warm", write_warm_state, header_of("warm_state.safetensors"))
def read_warm(path: Path) -> None:
    ElmoEmbedder(path, state="warm", device="cpu").embed_sentences([["a", "b"], ["c"]])


@reader(
    "ckpt", copy_run("lm"), any_bytes("checkpoints/last/state.json", "checkpoints/last/state.safetensors")
)
def read_checkpoint(path: Path) -> None:
    load_checkpoint(path / "checkpoints" / "last")


@reader("ckptcrc", copy_run("lm"), mutate_checkpoint)
@reader("ckptcrc_tc", copy_run("tc"), mutate_checkpoint)
@reader("resume", copy_run("lm"), yaml_of("config.yaml"))
@reader("resume_tc", copy_run("tc"), yaml_of("config.yaml"))
def resume(path: Path) -> None:
    """Go on for two steps, by the command."""
    os.chdir(path)
    said = io.StringIO()
    arguments = [f"resume={path}", "trainer.max_steps=4", "logger=none", "logger.progress=none"]
    with redirect_stderr(said):
        code = run_command(train.main, config_name="train", arguments=arguments)
    if code == 2:
        raise InputError(said.getvalue())
    assert code == 0, (code, said.getvalue())


@reader("evaluate", copy_run("tc"), yaml_of("config.yaml"))
def evaluate_run(path: Path) -> None:
    os.chdir(path)
    cache = str(path / "cache")
    evaluate.main(EvaluateConfig(run=str(path), device="cpu", progress=Progress.none, cache_dir=cache), [])


@reader("metrics", copy_run("lm"), mutate_log)
def read_metrics(path: Path) -> None:
    places = {"metrics_log_path": path / "metrics.jsonl", "metrics_path": path / "metrics.json"}
    with RunLogger(**places, resumed_step=1, is_evaluated=False) as logger:
        logger.log(2, {"train/loss": 1.0})


@reader("starts", copy_run("lm"), tree_of("environment.json"))
def read_environment(path: Path) -> None:
    read_starts(path / "environment.json")


@reader("training_sentences", copy_model("lm"), any_bytes("training_sentences.npy"))
def read_training_sentences(path: Path) -> None:
    sample = TrainingSentences.load(path)
    assert sample is not None
    sample.count(np.arange(10, dtype=np.uint64))


@reader("records", write_model_and_records, lines_of("r.jsonl"))
def predict_records(path: Path) -> None:
    options = {"run": str(path), "input": str(path / "r.jsonl"), "output": str(path / "out.jsonl")}
    predict.main(PredictConfig(**options, device="cpu", progress=Progress.none), [])


@reader("sentences_jsonl", write_records, lines_of("r.jsonl"))
@reader("sentences_txt", write_records, any_bytes("r.txt"))
def read_sentences(path: Path) -> None:
    for name in ("r.jsonl", "r.txt"):
        source = SentenceReader(
            str(path / name),
            tokenizer=WhitespaceTokenizer(),
            field=None,
            prose=name == "r.txt",
            language="en",
        )
        for sentence in source:
            "".join(sentence.words).encode()


def embed_some(bilm: Any) -> None:
    """The vectors of two sentences."""
    from elmo.inference.sentence_batch import SentenceBatch

    SentenceBatch.from_words([["a", "b"], ["c"]], bilm).run(bilm)


REGISTRY.discover("elmo", "tasks", "experiments.training")
