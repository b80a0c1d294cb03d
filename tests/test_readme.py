"""README's first hour: each of its commands and programs runs, at small limits and on small data.

A command is run as it is printed, with further arguments that keep it small; those that cannot run here are
named with the reason. A block that begins with `# path` is the file of that name, which a command uses.
"""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from places import ROOT, TEST_DATA
from tiny_runs import COMMON, POOLED, TINY

import experiments

TEXT = ["data=text", "data.train=corpus/*.txt", "data.test=test.txt", "vocabulary.min_count=1"]
TRAINED = [
    override for override in COMMON if not override.startswith(("trainer.max_steps", "trainer.evaluate"))
]
TRAINED += ["trainer.max_steps=2", "cache_dir=cache"]
REVIEWS = ["data=labelled_files", "data.train=reviews.csv", "data.text_column=review", *POOLED]
QUIET = ["progress=none", "device=cpu"]
WITH_PLUGIN = "train plugins=[my_package] --config-dir=my_conf tokenizer=letters name=letters"
OF_PLUGIN = "score run=runs/letters plugins=run input=sentences.txt output=scores.jsonl"
SWEEP = "sweep sweep=sample_efficiency launcher.jobs=2"
OF_SWEEP = "compare sweep=runs/sample_efficiency output=report"
SEARCH = "tune search=text_head trials=20 workers=2 sampler=tpe pruner=median"
OF_SEARCH = "train --config-dir=runs/text_head experiment=best"
AFTER = {OF_PLUGIN: WITH_PLUGIN, OF_SWEEP: SWEEP, OF_SEARCH: SEARCH}
# What a command `python -m experiments.NAME` gets besides; it replaces what the command has of the same key.
LIMITS: dict[str, list[str]] = {
    "benchmark train presets=[small]": [
        "presets=[default]",
        "precisions=[fp32]",
        "processes=[1x1]",
        "rounds=1",
        "seconds=0.1",
        "num_types=300",
    ],
    "train": [*TRAINED, *TEXT, *TINY, "softmax=full"],
    "train data=text data.train='corpus/*.txt' data.test=test.txt tokenizer=whitespace": [*TRAINED, *TINY],
    "train encoder=elmo_small softmax=sampled optimizer=adagrad trainer.max_steps=20000": [
        *(override for override in TRAINED if "learning_rate" not in override),
        *TEXT,
        *TINY,
        "softmax.num_samples=8",
    ],
    "train -m seed=1,2,3 encoder=elmo_tiny,elmo_small": [
        *TRAINED,
        *TEXT,
        *TINY,
        "seed=1",
        "softmax=full",
    ],
    "train resume=runs/NAME trainer.max_steps=5200": ["trainer.max_steps=3"],
    "train resume=auto name=nightly": [*TRAINED, *TEXT, *TINY, "softmax=full"],
    "train init_from=runs/NAME data=text data.train='corpus/*.txt'": [
        *TRAINED,
        "softmax=full",
        "vocabulary.min_count=1",
    ],
    "train dry_run=true": [*TRAINED, *TEXT, *TINY, "softmax=full"],
    "find_lr": [*TRAINED, *TEXT, *TINY, "softmax=full", "num_steps=10"],
    "info": [],
    "prepare data=text data.train='corpus/*.txt' prepare.part=3/16": ["cache_dir=cache", "progress=none"],
    "vocabulary output=vocab.txt": [*TEXT[:-1], "min_count=1", "cache_dir=cache", "progress=none"],
    "train task=sentiment": [*TRAINED, *REVIEWS],
    "train task=text_classification encoder=elmo init_from=runs/NAME": [
        *TRAINED,
        *REVIEWS,
    ],
    "train task=text_classification data=trec encoder=glove_elmo init_from=runs/NAME head=bilstm": [
        *TRAINED,
        "data.train=trec.txt",
        "data.test=trec_test.txt",
        "encoder.parts.glove.path=glove.txt",
        "head.hidden_size=8",
    ],
    "train task=sentiment data=labelled_files data.train=reviews.csv data.text_column=review": [
        *TRAINED,
        *POOLED,
    ],
    "evaluate run=runs/NAME": [*QUIET, "cache_dir=cache"],
    "evaluate run=runs/NAME checkpoint=last": [*QUIET, "cache_dir=cache"],
    "predict run=runs/NAME input=new.txt output=answers.jsonl explain=true": QUIET,
    "embed model=runs/NAME input=sentences.txt output=vectors.h5 layers=all": QUIET,
    "score run=runs/NAME input=sentences.txt output=scores.jsonl": QUIET,
    "convert to=model options=options.json weights=weights.hdf5 model=elmo_model": [],
    SWEEP: [
        "sweep=small",  # the same with fewer runs on a smaller text
        "name=sample_efficiency",
        "--config-dir=sweeps",
        *TRAINED,
        *REVIEWS,
        "progress=none",
    ],
    OF_SWEEP: [],
    "compare runs=['runs/bbc-*'] by=[encoder] difference=1.0 checklist=acl": ["runs=[runs/CLASSIFIER]"],
    SEARCH: [
        *TRAINED,
        *REVIEWS,
        "trials=1",
        "workers=1",
    ],
    OF_SEARCH: [*TRAINED, *REVIEWS[:-2]],
    "train task=tagging data=tagged_files data.train='tagged/*.conll' head=bilstm_crf": [
        *TRAINED,
        "encoder.min_count=1",
        "encoder.size=8",
        "head.hidden_size=8",
    ],
    "train task=sentence_pair data=pair_files data.train=pairs.csv data.first_column=premise"
    " data.second_column=hypothesis": [
        *TRAINED,
        "encoder.min_count=1",
        "encoder.size=8",
        "head.hidden_size=8",
    ],
    "probe model=runs/NAME data=ewt": [
        "data=tagged_files",
        "data.train=tagged/a.conll",
        "data.scheme=none",
        *QUIET,
    ],
    "probe model=runs/NAME probe=senses data.files=semcor.tsv.gz": QUIET,
    "neighbours model=runs/NAME text=news.txt word=play output=play": QUIET,
    "rerun run=runs/NAME": ["progress=none"],
    "diff run_a=runs/ONE run_b=runs/TWO": ["run_a=runs/NAME", "run_b=runs/CLASSIFIER"],
    WITH_PLUGIN: [
        *TRAINED,
        *TEXT,
        *TINY,
        "softmax=full",
    ],
    OF_PLUGIN: QUIET,
}
NOT_RUN = {
    'pip install -e ".[corpora]"': "needs packages; tests/test_packaging.py installs the project",
    'pip install -e ".[dev,corpora]"': "the same",
    "pytest": "runs this test",
    "torchrun --nproc-per-node 8 -m experiments.train experiment=elmo_original": "takes days; tests in"
    " experiments/training/processes train in two processes",
}
PREFIX = "python -m experiments."
OF_A_CLASSIFIER = ("evaluate", "predict")  # whose runs/NAME is one


class Block(NamedTuple):
    """A fenced block: the line where it begins, its language, its text."""

    line: int
    language: str
    text: str


def blocks() -> list[Block]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in re.finditer(r"^```(.*)\n([^`]*)^```$", text, flags=re.MULTILINE)
    ]


def commands() -> list[str]:
    """The commands of all sh blocks in order, without their comments."""
    lines = [line for block in blocks() if block.language == "sh" for line in block.text.splitlines()]
    parts = [part for line in lines for part in re.sub(r"\s+#.*", "", line).split(" && ")]
    return [part.strip() for part in parts if part.strip()]


def path_of(block: Block) -> str | None:
    """The file that the block shows, if its first line is a comment with a path."""
    found = re.match(r"# (\S+\.\w+)\n", block.text)
    return found[1] if found else None


PROGRAMS = [block for block in blocks() if block.language == "python" and not path_of(block)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that README's commands name, and two trained runs."""
    home = tmp_path_factory.mktemp("home")
    (home / "corpus").mkdir()
    sentences = [f"the {size} cat sees {number} dogs ." for size in ("big", "small") for number in range(30)]
    (home / "corpus" / "text.txt").write_text("\n".join([*sentences, ""]))
    for name in ("test.txt", "sentences.txt", "new.txt"):
        (home / name).write_text("the big cat sees\na small dog .\n")
    (home / "reviews.csv").write_text(
        "review,label\n" + "".join(f"film {i} is good,1\n{i} is bad,0\n" for i in range(50))
    )
    (home / "tagged").mkdir()
    tagged = "".join(f"the\tO\nNew\tB-place\nYork\tI-place\n{i}\tO\n\n" for i in range(40))
    (home / "tagged" / "a.conll").write_text(tagged)
    (home / "pairs.csv").write_text(
        "premise,hypothesis,label\n" + "".join(f"a {i},no {i},no\na {i},a {i},yes\n" for i in range(40))
    )
    sense = "They\t\t\t\nplay\tplay\tVERB\tplay.{}\nball\t\t\t\n.\t\t\t\n\n"
    senses = "".join(f"# document {i}\n" + sense.format(i % 2) * 2 for i in range(20))
    with gzip.open(home / "semcor.tsv.gz", "wt") as file:
        file.write(senses)
    (home / "news.txt").write_text("".join(f"they play ball on day {i} .\n" for i in range(20)))
    questions = [f"NUM:dist How far is {i} ?\nLOC:city Where is {i} ?\n" for i in range(50)]
    (home / "trec.txt").write_text("".join(questions[:40]))
    (home / "trec_test.txt").write_text("".join(questions[40:]))
    (home / "sweeps" / "sweep").mkdir(parents=True)
    (home / "sweeps" / "sweep" / "small.yaml").write_text(
        "# @package _global_\nbase: {task: sentiment, encoder: word, encoder.min_count: 1, encoder.size: 8}\n"
        "grid: {data.fraction: [0.5, 1.0], seed: [1, 2]}\n"
    )
    (home / "glove.txt").write_text("cat 0.1 0.2\nfar 0.3 0.4\n")
    for name in ("options.json", "weights.hdf5"):
        shutil.copy(TEST_DATA / "allennlp" / f"relu_skip_{name}", home / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        experiments.run([*TRAINED, *TEXT, *TINY, "softmax=full", "output_dir=runs/NAME"])
        classifier = [*TRAINED, *REVIEWS, "task=sentiment", "encoder.min_count=1", "encoder.size=8"]
        experiments.run([*classifier, "output_dir=runs/CLASSIFIER"])
    for block in blocks():
        if (name := path_of(block)) is not None:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(block.text)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of its own for each test, as the working directory; what a command sets is given back."""
    home = shutil.copytree(made, tmp_path / "home", symlinks=True)
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(home))
    threads = torch.get_num_threads()
    yield home
    torch.set_num_threads(threads)


def with_limits(given: list[str], limits: list[str]) -> list[str]:
    """The arguments of a command with further ones, which replace those of the same key."""
    replaced = {limit.partition("=")[0] for limit in limits}
    return [argument for argument in given if argument.partition("=")[0] not in replaced] + limits


def test_every_block_is_run_or_named_with_a_reason() -> None:
    found = commands()
    known = [*(f"{PREFIX}{command}" for command in LIMITS), *NOT_RUN]
    assert sorted(set(found)) == sorted(known)  # none is new, none has gone
    assert {block.language for block in blocks()} <= {"", "sh", "python", "yaml"}
    assert all(path_of(block) for block in blocks() if block.language == "yaml")
    assert len(blocks()) == (ROOT / "README.md").read_text(encoding="utf-8").count("\n```") / 2


@pytest.mark.parametrize("command", [command for command in LIMITS if command not in AFTER.values()])
def test_a_command_runs_as_it_is_printed(
    command: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command in AFTER:
        test_a_command_runs_as_it_is_printed(AFTER[command], home, monkeypatch, capsys)
    module, *given = shlex.split(command)
    if module in OF_A_CLASSIFIER:
        shutil.rmtree("runs/NAME")
        Path("runs/CLASSIFIER").rename("runs/NAME")
    monkeypatch.setattr(sys, "argv", [module, *with_limits(given, LIMITS[command])])
    room = f"experiments.{module}"
    name = f"{room}.__main__" if hasattr(import_module(room), "__path__") else room
    assert import_module(name).command() == 0, capsys.readouterr().err
    for output, model in re.findall(r"output=(\S+)|model=(elmo_model)", command):
        assert (home / (output or model)).exists()


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"line {block.line}")
def test_a_program_runs_as_it_is_printed(block: Block, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = experiments.run
    small = [*TRAINED, *TEXT, *TINY, "softmax=full"]
    monkeypatch.setattr(experiments, "run", lambda given: train(with_limits(given, small)))
    exec(compile(block.text, "README.md", "exec"), {})


def test_a_run_leaves_what_is_listed(made: Path) -> None:
    (listed,) = [block.text for block in blocks() if block.text.startswith("runs/NAME/\n")]
    names = [name for line in listed.splitlines()[1:] for name in re.findall(r"[\w.]+/?", line[:49])]
    assert len(names) > 8
    run = made / "runs" / "CLASSIFIER"
    assert [name for name in names if not (run / name).exists()] == []


def test_it_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 300
