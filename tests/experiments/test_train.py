"""Tests of the training command from its command line to the run's directory, on a text of some kilobytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from full_disk import largest_file
from safetensors.torch import load_file
from torch import Tensor

from experiments import evaluate, train
from experiments.config.command import run_command

SIZES = [
    "tokenizer=whitespace",
    "vocabulary.min_count=1",
    "encoder.character_embedding_size=4",
    "encoder.filters=[[1,4],[2,4]]",
    "encoder.cell_size=16",
    "encoder.projection_size=8",
    "softmax=full",
    "batching=stream",
    "batching.num_steps=5",
    "schedule=constant",
]
TRAINER = [
    "trainer.max_steps=6",
    "trainer.max_minutes=null",
    "trainer.batch_size=4",
    "trainer.num_threads=1",
    "trainer.log_every=1",
    "trainer.evaluate_every=3",
    "logger=none",
    "logger.progress=none",
]
# What differs from run to run.
OF_THE_CLOCK = ("seconds", "train/tokens_per_second", "peak_memory_bytes", "facts/estimated_memory_bytes")
SAMPLED = ["softmax=sampled", "softmax.num_samples=8"]

Refuse = Callable[..., list[str]]


class Command:
    """The training command on one text, its store shared by all runs.

    Attributes:
        path: of the text `train.txt`, the store and all runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text_path = path / "train.txt"
        self.cache_path = path / "cache"
        self.text_path.write_text("".join(f"{line}\n" for line in make_lines(120)))

    def overrides(self, *overrides: str) -> list[str]:
        text = ["data=text", f"data.train={self.text_path}", f"cache_dir={self.cache_path}"]
        return [*text, *SIZES, *TRAINER, *overrides]

    def exit_code(self, *overrides: str) -> int:
        return run_command(train.main, config_name="train", arguments=self.overrides(*overrides))

    def run(self, name: str, *overrides: str) -> Path:
        """Train to the end; the run's directory."""
        directory = self.path / name
        assert self.exit_code(f"output_dir={directory}", *overrides) == 0
        return directory

    def resume(self, directory: Path, *overrides: str) -> Path:
        assert (
            run_command(train.main, config_name="train", arguments=[f"resume={directory}", *overrides]) == 0
        )
        return directory


def make_lines(number: int) -> list[str]:
    """Sentences of 3 to 9 words, w0 the most frequent of 30."""
    generator = random.Random(1)
    words = [f"w{i}" for i in range(30)]
    shares = [1 / (i + 1) for i in range(30)]
    return [" ".join(generator.choices(words, shares, k=generator.randint(3, 9))) for _ in range(number)]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def finished(command: Command) -> Path:
    """A run of 6 steps, for tests that only look at it."""
    return command.run("finished")


def events(directory: Path) -> list[dict[str, Any]]:
    """What metrics.jsonl says, without the clock."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in OF_THE_CLOCK} for line in lines
    ]


def figures(directory: Path) -> dict[str, float]:
    """What metrics.json says, without the clock."""
    values = json.loads((directory / "metrics.json").read_text())
    return {key: value for key, value in values.items() if key not in OF_THE_CLOCK}


def losses(directory: Path) -> list[float]:
    return [event["train/loss"] for event in events(directory) if "train/loss" in event]


def weights(directory: Path) -> dict[str, Tensor]:
    return load_file(directory / "model" / "model.safetensors")


def assert_same_run(one: Path, other: Path) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=0)
    assert figures(one) == figures(other)
    assert events(one) == events(other)


def test_a_run_leaves_its_whole_directory(command: Command, finished: Path) -> None:
    names = {str(path.relative_to(finished)) for path in finished.rglob("*")}
    assert names == {
        ".lock",
        "config.yaml",
        "overrides.yaml",
        "environment.json",
        "metrics.jsonl",
        "metrics.json",
        "checkpoints",
        *(f"checkpoints/{name}" for name in ("last", "best", "step-0000003", "step-0000006")),
        *(f"checkpoints/step-000000{n}/state.{kind}" for n in (3, 6) for kind in ("json", "safetensors")),
        "model",
        *(f"model/{name}" for name in ("config.json", "model.safetensors", "vocabulary.txt")),
        "model/training_sentences.npy",
    }
    assert (finished / "checkpoints" / "last").resolve().name == "step-0000006"
    assert f"output_dir={finished}" in (finished / "overrides.yaml").read_text()
    assert "cell_size: 16" in (finished / "config.yaml").read_text()
    (start,) = json.loads((finished / "environment.json").read_text())["starts"]
    stores = {path.name.partition("-")[0] for path in command.cache_path.iterdir()}  # without their format
    assert start["seed"] == 1
    assert set(start["data_fingerprints"].values()) <= stores


def test_the_events_are_steps_and_evaluations(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 3, 4, 5, 6, 6]
    assert lines[0].keys() == {
        "step",
        "tokens",
        "seconds",
        "train/loss",
        "train/loss_smoothed",
        "train/gradient_norm",
        "train/learning_rate",
        "train/epochs",
        "train/tokens_per_second",
        "num_threads",
    }
    assert lines[3].keys() == {
        "step",
        "tokens",
        "seconds",
        "dev/perplexity",
        "dev/forward_perplexity",
        "dev/backward_perplexity",
        "dev/predictions",
        "num_threads",
    }
    assert [line["tokens"] for line in lines if "train/loss" in line] == [20, 40, 60, 80, 100, 120]


def test_the_final_figures_agree_with_each_other(finished: Path) -> None:
    values = json.loads((finished / "metrics.json").read_text())
    assert {"test/unigram_perplexity", "test/bigram_perplexity", *OF_THE_CLOCK} <= values.keys()
    assert (values["train/steps"], values["train/tokens"]) == (6, 120)
    for split, lines in (("dev", make_lines(120)[9::20]), ("test", make_lines(120)[19::20])):
        product = values[f"{split}/forward_perplexity"] * values[f"{split}/backward_perplexity"]
        assert values[f"{split}/perplexity"] == pytest.approx(product**0.5)
        assert values[f"{split}/predictions"] == sum(len(line.split()) + 1 for line in lines)


def test_the_facts_are_among_the_final_figures_and_the_choices_in_the_config(finished: Path) -> None:
    values = json.loads((finished / "metrics.json").read_text())
    expected = {"parameters": 6405, "parameters_trained": 6405, "parameters_frozen": 0, "vocabulary": 33}
    expected |= {"train_tokens": 672, "train_sentences": 108, "train_coverage": 100.0, "tokens_per_step": 20}
    assert {f"facts/{name}": value for name, value in expected.items()}.items() <= values.items()
    assert values["facts/estimated_memory_bytes"] > 6405 * 4 * 4
    saved = (finished / "config.yaml").read_text()
    assert "- override /encoder: elmo_tiny\n" in saved and "- override /softmax: full\n" in saved


def test_the_learning_curves_are_a_picture_and_loggers_get_the_choices(command: Command) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    options = ["trainer.max_steps=2", "logger.curves=true", "logger.tensorboard=true"]
    directory = command.run("curves", *options)
    assert (directory / "plots" / "curves.png").read_bytes().startswith(b"\x89PNG")
    accumulator = reader.EventAccumulator(str(directory / "tensorboard")).Reload()
    content = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = hparams.HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["choices.encoder"].string_value == "elmo_tiny"
    assert values["facts.parameters"].number_value == 6405
    assert values["trainer.max_steps"].number_value == 2


def test_dev_selects_the_model_and_test_is_scored_once_at_the_end(command: Command) -> None:
    # So fast a rate that the model gets worse from some step on.
    fast = ["optimizer.learning_rate=3.0", "trainer.evaluate_every=1", "batching=sentences"]
    directory = command.run("selected", *fast)
    values, scored = figures(directory), [e for e in events(directory) if "dev/perplexity" in e]
    assert len(scored) == 6
    assert not any(key.startswith("test/") for event in events(directory) for key in event)
    best = min(scored, key=lambda event: event["dev/perplexity"])
    assert (values["train/best_step"], values["dev/perplexity"]) == (best["step"], best["dev/perplexity"])
    assert best["step"] < 6
    best_alone = command.run("selected_alone", *fast, f"trainer.max_steps={best['step']}")
    assert figures(best_alone)["test/perplexity"] == values["test/perplexity"]


def test_a_sampled_loss_is_called_one(command: Command) -> None:
    directory = command.run("called_sampled", *SAMPLED, "trainer.max_steps=1")
    assert "train/sampled_loss" in events(directory)[0]
    assert losses(directory) == []
    assert figures(directory)["test/perplexity"] == pytest.approx(33, rel=0.2)  # 33 words, untrained


def test_it_prints_the_facts_before_and_a_table_behind(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = command.run("printed")
    printed = capsys.readouterr().out
    for words in ("parameters 6,405", "train tokens 672", "vocabulary 33", "steps 6", "test coverage 100"):
        assert words in " ".join(printed.split())
    values = json.loads((directory / "metrics.json").read_text())
    for key in ("dev/perplexity", "test/perplexity", "test/bigram_perplexity"):
        assert f"{values[key]:.1f}" in printed
    assert printed.splitlines()[-1] == str(directory)


@pytest.mark.parametrize(
    ("softmax", "told"),
    [
        ("adaptive", "softmax adaptive with no of 2 clusters of rare words, as the vocabulary has 33 words"),
        ("sampled", "softmax 16 samples, half of the vocabulary, instead of 8,192"),
    ],
)
def test_a_small_vocabulary_is_trained_with_every_softmax_as_it_stands(
    command: Command, softmax: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = command.run(f"small_{softmax}", f"softmax={softmax}", "trainer.max_steps=1")
    assert told in " ".join(capsys.readouterr().out.split())
    arguments = [f"run={directory}", f"cache_dir={command.cache_path}", "num_threads=1", "progress=none"]
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 0
    assert f"{figures(directory)['test/perplexity']:.1f}" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_losses_and_another_others(command: Command, finished: Path) -> None:
    assert_same_run(command.run("same_seed"), finished)
    assert losses(command.run("other_seed", "seed=2", "trainer.max_steps=2")) != losses(finished)[:2]


def test_a_second_start_prepares_nothing(command: Command, finished: Path) -> None:
    def stores() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in command.cache_path.rglob("*")}

    before = stores()
    assert len(before) == 3 * 7  # for each split a directory of six files
    command.run("second_start", "trainer.max_steps=1")
    assert stores() == before


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("stream", [*SAMPLED, "batching=stream"]),
        ("sentences", ["batching=sentences", "schedule=inverse_square_root"]),
        ("sparse", [*SAMPLED, "softmax.sparse=true", "optimizer=adagrad", "trainer.accumulate_batches=2"]),
    ],
)
def test_a_resumed_run_ends_bit_equal_to_one_without_a_stop(
    command: Command, name: str, overrides: list[str]
) -> None:
    straight = command.run(f"{name}_straight", *overrides)
    resumed = command.run(f"{name}_resumed", *overrides, "trainer.max_steps=3")
    assert figures(resumed) != figures(straight)
    command.resume(resumed, "trainer.max_steps=6")
    assert_same_run(resumed, straight)


def test_an_interrupted_run_keeps_a_checkpoint_and_goes_on(command: Command) -> None:
    # A schedule that depends on the run's length, and a stop at any step.
    options = ["schedule=cosine", "trainer.max_steps=150", "trainer.evaluate_every=1000"]
    straight = command.run("uninterrupted", *options)
    directory = command.path / "interrupted"
    log_path = directory / "metrics.jsonl"

    def interrupt() -> None:
        num_steps = 0
        while num_steps < 3:
            time.sleep(0.001)
            num_steps = log_path.read_bytes().count(b"\n") if log_path.exists() else 0
        if num_steps < 120:  # later, it might meet the tests instead of the run
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    assert command.exit_code(f"output_dir={directory}", *options) == 130
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    saved = [path.name for path in (directory / "checkpoints").glob("step-*")]
    assert saved == [f"step-{events(directory)[-1]['step']:07d}"]
    assert not (directory / "model").exists()
    command.resume(directory)
    assert_same_run(directory, straight)


def test_a_resumed_run_keeps_its_components(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"resume={finished}", "softmax=sampled"]
    assert run_command(train.main, config_name="train", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("softmax: a resumed run keeps its own")


def test_a_run_starts_from_the_weights_of_another(command: Command, finished: Path) -> None:
    nearly_still = ["optimizer.learning_rate=1e-12", "trainer.max_steps=1", "seed=2"]
    for number, source in enumerate((finished, finished / "model")):
        directory = command.run(f"init_from_{number}", f"init_from={source}", *nearly_still)
        ours, theirs = (
            {name: w for name, w in weights(d).items() if ".start_" not in name}
            for d in (directory, finished)
        )
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = command.path / "diverged"
    too_fast = ["optimizer.options.weight_decay=1e30", "trainer.clip_norm=null", "trainer.save_every=1"]
    assert command.exit_code(f"output_dir={directory}", *too_fast) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("step 2: the loss is not finite, in the batch that begins with: ")
    assert line.endswith(f"the last good checkpoint is {directory / 'checkpoints' / 'step-0000001'}")
    assert [path.name for path in (directory / "checkpoints").glob("step-*")] == ["step-0000001"]
    assert not (directory / "model").exists()


def test_it_stops_when_the_metric_gets_no_better(command: Command) -> None:
    still = ["optimizer.learning_rate=1e-30", "trainer.evaluate_every=1", "trainer.patience=2"]
    values = figures(command.run("patience", *still, "batching=sentences"))
    assert (values["train/steps"], values["train/best_step"]) == (3, 1)


@pytest.mark.parametrize(
    ("name", "limits", "num_steps"),
    [
        ("epochs", ["trainer.max_steps=null", "trainer.max_epochs=0.2"], 8),  # of 780 predictions, 20 a step
        ("minutes", ["trainer.max_steps=null", "trainer.max_minutes=0.002"], None),
        ("steps", ["trainer.max_steps=2", "trainer.max_minutes=5", "trainer.max_epochs=5"], 2),
    ],
)
def test_each_limit_ends_the_run(
    command: Command, name: str, limits: list[str], num_steps: int | None
) -> None:
    directory = command.run(name, *limits, "trainer.evaluate_every=1000")
    values = json.loads((directory / "metrics.json").read_text())
    if num_steps is None:
        assert 0.12 <= values["seconds"] < 5
        assert values["train/steps"] > 0
    else:
        assert values["train/steps"] == num_steps


def test_two_half_batches_make_the_step_of_a_whole_one(command: Command) -> None:
    # Eight sentences of four words are one epoch and one batch, or two halves of it.
    text_path = command.path / "equal_lengths.txt"
    text_path.write_text("".join(f"a b{i} c d{i % 3}\n" for i in range(8)))
    (command.path / "other.txt").write_text("a c\n")
    options = [
        f"data.train={text_path}",
        f"data.dev={command.text_path}",
        f"data.test={command.path / 'other.txt'}",
        "batching=sentences",
        "batching.num_steps=5",
        "encoder.dropout=0.0",
        "optimizer.learning_rate=0.1",
        "trainer.max_steps=1",
        "trainer.clip_norm=null",
    ]
    whole = command.run("whole", *options, "trainer.batch_size=8")
    halves = command.run("halves", *options, "trainer.batch_size=4", "trainer.accumulate_batches=2")
    assert figures(halves)["train/tokens"] == 40
    (one,) = losses(whole)
    (other,) = losses(halves)
    assert one == pytest.approx(other, rel=1e-6)
    assert events(whole)[0]["train/gradient_norm"] == pytest.approx(
        events(halves)[0]["train/gradient_norm"], rel=1e-5
    )


def test_hydras_own_multirun_makes_a_run_for_each_seed_in_this_process(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command.path / "sweep").mkdir()
    monkeypatch.chdir(command.path / "sweep")
    overrides = command.overrides("seed=1,2", "name=swept", "trainer.max_steps=2")
    assert train.command(["-m", "hydra/launcher=basic", *overrides]) == 0
    runs = [Path("runs") / f"swept-{number}" for number in (0, 1)]
    assert all((run / "model" / "config.json").is_file() for run in runs)
    assert losses(runs[0]) != losses(runs[1])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("crlf", lambda text: text.replace(b"\n", b"\r\n")),
        ("mark", lambda text: b"\xef\xbb\xbf" + text),
        ("utf16", lambda text: text.decode().encode("utf-16")),
    ],
)
def test_how_a_text_is_written_changes_no_loss(
    command: Command, finished: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    text_path = command.path / f"{name}.txt"
    text_path.write_bytes(change(command.text_path.read_bytes()))
    encoding = ["data.encoding=utf-16"] if name == "utf16" else []
    directory = command.run(name, f"data.train={text_path}", *encoding, "trainer.max_steps=2")
    assert losses(directory) == losses(finished)[:2]


def test_a_literal_marker_is_a_word_that_is_told_of(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    text_path = command.path / "markers.txt"
    text_path.write_text("".join(f"{line} <S>\n" for line in make_lines(120)))
    directory = command.run("markers", f"data.train={text_path}", "trainer.max_steps=1")
    told = " ".join(capsys.readouterr().out.split())
    assert "train literal markers 108 words are spelled <S>, </S> or <UNK>" in told
    assert "read as words, predicted as <UNK>" in told
    vocabulary = (directory / "model" / "vocabulary.txt").read_text().splitlines()
    assert vocabulary[:3] == ["<S>", "</S>", "<UNK>"]
    assert vocabulary.count("<S>") == 1


def test_evaluation_of_a_run_or_its_model_gives_the_figures_of_the_run(
    command: Command, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = figures(finished)
    shutil.copytree(finished / "model", tmp_path / "moved")
    test_path = tmp_path / "test.txt"
    test_path.write_text("".join(f"{line}\n" for line in make_lines(120)[19::20]))
    same_words = ["data=text", f"data.test={test_path}"]
    for number, (run, data) in enumerate([(finished, []), (tmp_path / "moved", same_words)]):
        output_path = tmp_path / f"figures-{number}.json"
        arguments = [f"run={run}", f"output={output_path}", f"cache_dir={command.cache_path}", *data]
        code = run_command(
            evaluate.main,
            config_name="evaluate",
            arguments=[*arguments, "num_threads=1", "progress=none"],
        )
        assert code == 0
        scored = json.loads(output_path.read_text())
        assert scored.items() <= trained.items()
        assert ("test/bigram_perplexity" in scored) == (not data)
        assert f"{scored['test/perplexity']:.1f}" in capsys.readouterr().out


def test_evaluation_of_no_run_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(evaluate.main, config_name="evaluate", arguments=[f"run={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}: no model here")


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Runs the command on bad input and returns its lines on stderr, after looking for what must not be."""
    good = Command(tmp_path)

    def refuse(*overrides: str) -> list[str]:
        capsys.readouterr()
        assert good.exit_code(f"output_dir={tmp_path / 'run'}", *overrides) == 2
        assert not (tmp_path / "run" / "model").exists()
        assert not (tmp_path / "run" / "metrics.json").exists()
        assert [path for path in good.cache_path.glob("*") if path.name.startswith(".")] == []
        return capsys.readouterr().err.splitlines()

    return refuse


BAD_TEXTS = {
    "empty": (b"", "data.train: {path} is an empty file"),
    "blank": (b"\n  \n\t\n" * 10, "data.train: only blank lines in {path}"),
    "invalid UTF-8": (b"good\nfine\nna\xefve\n", "{path}:3: invalid UTF-8 at byte 3 (0xef); "),
    "NUL": (b"good\nb\x00d\n", "{path}:2: NUL character in column 2"),
    "control": (b"good\nb\x07d\n", "{path}:2: control character U+0007 in column 2"),
    "endless word": (b"good\n" + b"a" * 100_000 + b"\n", "{path}:2: word of 100,000 characters ('aaaa"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_text_is_refused_with_its_file_and_line(refused: Refuse, tmp_path: Path, name: str) -> None:
    text, expected = BAD_TEXTS[name]
    path = tmp_path / "bad.txt"
    path.write_bytes(text)
    (line,) = refused(f"data.train={path}")
    assert line.startswith(expected.format(path=path))
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_text_without_line_ends_is_refused_in_batches_of_sentences(refused: Refuse, tmp_path: Path) -> None:
    files = {"train": "one two three " * 2000 + "\n", "dev": "one two\n", "test": "two three\n"}
    for split, text in files.items():
        (tmp_path / f"{split}.txt").write_text(text)
    (line,) = refused("batching=sentences", *(f"data.{split}={tmp_path}/{split}.txt" for split in files))
    expected = "data: a sentence of the train text has 6,000 words, more than 5,000; data.prose=true splits"
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("none.txt", "data.train: no such file: {path}"),
        (".", "data.train: {path} is a directory"),
        ("*.nothing", "data.train: no file matches {path}"),
    ],
)
def test_a_text_that_is_not_there_is_refused(
    refused: Refuse, tmp_path: Path, place: str, expected: str
) -> None:
    path = tmp_path / place
    (line,) = refused(f"data.train='{path}'")
    assert line.startswith(expected.format(path=path))
    assert list((tmp_path / "cache").glob("*")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_text_that_may_not_be_read_is_refused(refused: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "closed.txt"
    path.write_text("a b c\n")
    path.chmod(0)
    (line,) = refused(f"data.train={path}")
    assert line.startswith(f"data.train: {path} cannot be read")


def test_another_encoding_is_read_when_it_is_named(command: Command) -> None:
    path = command.path / "latin.txt"
    path.write_bytes("".join(f"{line} na\u00efve\n" for line in make_lines(120)).encode("latin-1"))
    options = [f"data.train={path}", "data.encoding=latin-1", "trainer.max_steps=1"]
    directory = command.run("latin", *options)
    assert "na\u00efve" in (directory / "model" / "vocabulary.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"the\nof\n", "{path}:1: must begin with the lines <S>, </S>, <UNK>"),
        (b"<S>\n</S>\n<UNK>\nthe\nof\nthe\n", "{path}:6: duplicate 'the' (first on line 4)"),
        (b"<S>\n</S>\n<UNK>\n\xff\n", "{path}:4: invalid UTF-8"),
        (None, "vocabulary.path: {path}: No such file"),
    ],
)
def test_a_bad_vocabulary_is_refused_before_the_text_is_read(
    refused: Refuse, tmp_path: Path, text: bytes | None, expected: str
) -> None:
    path = tmp_path / "vocab.txt"
    if text is not None:
        path.write_bytes(text)
    (line,) = refused(f"vocabulary.path={path}")
    assert line.startswith(expected.format(path=path))
    assert list((tmp_path / "cache").glob("*")) == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["encoder.projection_size=32"], "encoder.projection_size: "),
        ([*SAMPLED, "softmax.num_samples=0"], "softmax.num_samples: "),
        (["softmax=adaptive", "softmax.cutoffs=[9,5]"], "softmax.cutoffs: "),
        (["batching.num_steps=0"], "batching.num_steps: "),
        (["encoder.dropout=1.5"], "encoder.dropout: "),
        (["init_from=nowhere"], "nowhere: no such directory and no published model"),
        ([*SAMPLED, "vocabulary.max_size=8"], "softmax.num_samples: "),
        (["softmax=adaptive", "softmax.cutoffs=[40]", "vocabulary.max_size=30"], "softmax.cutoffs: "),
        (
            ["trainer.metric=dev/accuracy"],
            "trainer.metric: no score 'dev/accuracy' of this task; one of dev/p",
        ),
    ],
)
def test_values_that_disagree_are_refused_before_the_text_is_read(
    refused: Refuse, tmp_path: Path, overrides: list[str], expected: str
) -> None:
    (line,) = refused(*overrides)
    assert line.startswith(expected)
    assert list((tmp_path / "cache").glob("*")) == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["softmax=adaptive", "softmax.cutoffs=[2000]"], "softmax.cutoffs: "),
        (["softmax=sampled", "softmax.num_samples=33"], "softmax.num_samples: "),
        (["data.split_every=121"], "data.split_every: 121 leaves nothing for test of 120 lines"),
        (["trainer.batch_size=1000"], "data: the training text has 780 predictions, fewer than one batch"),
        (["vocabulary.min_count=1000"], "vocabulary.min_count: no word occurs 1000 times"),
    ],
)
def test_values_that_the_text_does_not_allow_are_refused(
    refused: Refuse, overrides: list[str], expected: str
) -> None:
    (line,) = refused(*overrides)
    assert line.startswith(expected)


def test_all_faults_of_a_command_line_are_told_at_once(refused: Refuse, tmp_path: Path) -> None:
    lines = refused(
        "encoder.sell_size=3", "optimizer=adamm", "trainer.max_steps=-1", "data.language=3", "seed=abc"
    )
    starts = [
        "data.language: expected str",
        "encoder.sell_size: unknown key; nearest: cell_size",
        "optimizer: unknown option 'adamm'; nearest: adamw",
        "seed: expected int",
        "trainer.max_steps: expected at least 1 or null",
    ]
    assert [next(line for line in lines if line.startswith(start)) for start in starts] == lines
    assert not (tmp_path / "run").exists()


def test_a_directory_of_another_run_is_never_overwritten(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert command.exit_code(f"output_dir={finished}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"output_dir={finished}: holds another run; resume={finished} goes on with it")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_an_unknown_name_of_the_hub_is_refused_at_once_without_network(
    refused: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")  # where nothing answers
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    start = time.monotonic()
    (line,) = refused("data=hub", "data.name=nobody/nothing", "~data.train")
    assert time.monotonic() - start < 3
    assert line.startswith("data.name: cannot load nobody/nothing")
    assert "data=text data.train='...'" in line
    assert list((tmp_path / "cache").glob("*")) == []


@pytest.mark.parametrize(
    ("num_bytes", "place"),
    [(2_000, "cache/"), (5_000, "run/environment.json"), (40_000, "run/checkpoints/step-0000003")],
)
def test_a_full_disk_is_told_in_a_line_and_leaves_nothing_half_written(
    refused: Refuse, tmp_path: Path, num_bytes: int, place: str
) -> None:
    with largest_file(num_bytes):
        (line,) = refused()
    assert line.startswith(f"{tmp_path}/{place}")
    assert "no space left to write it" in line
    assert list((tmp_path / "run").glob("checkpoints/*")) == []


def test_a_disk_that_fills_later_keeps_the_checkpoint_before(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = command.run("fills_later", "trainer.max_steps=3")
    arguments = [f"resume={directory}", "trainer.max_steps=6"]
    with largest_file(40_000):
        assert run_command(train.main, config_name="train", arguments=arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{directory / 'checkpoints' / 'step-0000006'}: no space left to write it")
    assert [path.name for path in (directory / "checkpoints").glob("*-*")] == ["step-0000003"]
    command.resume(directory, "trainer.max_steps=6")
    assert figures(directory)["train/steps"] == 6
