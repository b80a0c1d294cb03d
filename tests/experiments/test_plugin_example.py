"""The plug-in to write one's own after: `tests/support/example_plugin`, trained and predicted with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from places import ROOT
from safetensors.torch import load_file
from tiny_runs import BILM, COMMON

import experiments
from experiments import evaluate, predict
from experiments.config.command import run_command

CONF = ROOT / "tests" / "support" / "example_plugin" / "conf"
PLUGIN = ["plugins=[example_plugin]", f"--config-dir={CONF}"]
SENTENCES = ["The/D cat/N sleeps/V", "A/D dog/N barks/V loudly/A", "Anna/N runs/V", "The/D birds/N sing/V"]
COMMON_PARTS = [override for override in COMMON if not override.startswith("trainer.max_steps")]


@pytest.fixture
def tagged(tmp_path: Path) -> list[str]:
    """The overrides of a run of the task on a few sentences, for its directory `run`."""
    (tmp_path / "sentences.txt").write_text("\n".join([*SENTENCES * 4, ""]))
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text((tmp_path / "sentences.txt").read_text())
    data = [f"data.{split}={tmp_path / f'{split}.txt'}" for split in ("train", "dev", "test")]
    places = [f"output_dir={tmp_path / 'run'}", f"cache_dir={tmp_path / 'cache'}"]
    return [*COMMON_PARTS, "task=word_tags", *data, *places, *PLUGIN]


def answers(path: Path, *texts: str) -> list[dict[str, object]]:
    """The answers of the trained run below `path`."""
    (path / "new.txt").write_text("".join(f"{text}\n" for text in texts))
    arguments = [f"run={path / 'run'}", f"input={path / 'new.txt'}", f"output={path / 'answers.jsonl'}"]
    assert (
        run_command(predict.main, config_name="predict", arguments=[*arguments, *PLUGIN, "progress=none"])
        == 0
    )
    return [json.loads(line) for line in (path / "answers.jsonl").read_text().splitlines()]


def test_its_task_learns_tags_and_predicts_evaluates_and_resumes(tagged: list[str], tmp_path: Path) -> None:
    sizes = ["encoder.size=16", "encoder.min_count=1", "optimizer.learning_rate=0.1"]
    first = experiments.run([*tagged, *sizes, "trainer.max_steps=20"])
    figures = experiments.run([f"resume={first.path}", "trainer.max_steps=40", *PLUGIN])
    assert figures["test/accuracy"] == 100
    assert answers(tmp_path, "The dog sleeps")[0]["tags"] == ["D", "N", "V"]
    assert (tmp_path / "run" / "predictions" / "test.txt").read_text().startswith("The/D cat/N sleeps/V\n")
    output = tmp_path / "figures.json"
    arguments = [f"run={tmp_path / 'run'}", f"cache_dir={tmp_path / 'cache'}", f"output={output}"]
    arguments += [*PLUGIN, "progress=none", "device=cpu"]
    assert run_command(evaluate.main, config_name="evaluate", arguments=arguments) == 0
    assert json.loads(output.read_text())["test/accuracy"] == 100


@pytest.mark.parametrize(
    "encoder", [["encoder=word_shape"], [*BILM, "mix.standardized=true"]], ids=lambda e: e[0]
)
def test_its_task_takes_its_own_encoder_and_a_bilm(
    encoder: list[str], tagged: list[str], tmp_path: Path
) -> None:
    figures = experiments.run([*tagged, *encoder, "trainer.max_steps=2"])
    assert 0 <= figures["test/accuracy"] <= 100
    assert len(answers(tmp_path, "Anna runs")[0]["tags"]) == 2


def test_its_task_says_what_is_wrong_with_the_data(tagged: list[str], tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text("The/D cat\n")
    with pytest.raises(ValueError, match=r"dev\.txt:1: expected word/TAG, got 'The/D cat'"):
        experiments.run([*tagged, "trainer.max_steps=2"])
    with pytest.raises(ValueError, match=r"data\.test: no file absent"):
        experiments.run([*tagged, "trainer.max_steps=2", "data.test=absent"])


def test_its_source_head_and_encoder_classify_texts(tmp_path: Path) -> None:
    for split, number in (("train", 8), ("dev", 4), ("test", 4)):
        for label, text in (("shout", "GO AWAY {}"), ("say", "go away {}")):
            (tmp_path / split / label).mkdir(parents=True)
            for index in range(number):
                (tmp_path / split / label / f"{index}.txt").write_text(text.format(index * "NOW "))
    places = [f"data.root={tmp_path}", f"output_dir={tmp_path / 'run'}", f"cache_dir={tmp_path / 'cache'}"]
    parts = ["data=label_folders", "head=ends", "encoder=word_shape", "optimizer.learning_rate=0.1"]
    figures = experiments.run(
        [*COMMON_PARTS, "task=text_classification", *parts, *places, *PLUGIN, "trainer.max_steps=30"]
    )
    assert figures["test/accuracy"] == 100
    weights = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert weights["linear.weight"].shape == (2, 2 * 8)
    assert answers(tmp_path, "COME HERE")[0]["label"] == "shout"
