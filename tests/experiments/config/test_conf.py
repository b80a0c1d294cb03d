"""Tests of conf/: every file is complete, builds and composes; a new file is tested by existing."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn

from elmo.registry import MISSING_VALUE, REGISTRY
from experiments.config.check import COMPONENT_PACKAGES, GIVEN, check_config, config_faults
from experiments.config.command import CONF_PATH
from experiments.config.schema import SCHEMAS, TrainConfig

REGISTRY.discover(*COMPONENT_PACKAGES)

USER_VALUES = {"data.name": "owner/name", "optimizer.name": "RAdam"}  # all that a yaml may leave to the user
CODE_VALUES = {
    "input_size": 16,
    "injected_size": 0,
    "num_types": 20_000,
    "num_layers": 3,
    "size": 8,
    "batch_size": 4,
}
PUBLISHED_PARAMETERS = {  # of the encoder, without the softmax
    "elmo_original": (93_600_848, 0),
    "elmo_medium": (28_000_000, 50_000),  # as published, in millions with one decimal
    "elmo_small": (13_600_000, 50_000),
}
NEEDED_PACKAGES = {  # of extras, by registered name
    "moses": "sacremoses",
    "ray": "ray",
    "slurm": "submitit",
    "spacy": "spacy",
}


def yaml_files(*groups: str) -> list[Any]:
    paths = [path for group in groups for path in sorted((CONF_PATH / group).glob("*.yaml"))]
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in paths]


def component_of(path: Path) -> dict[str, Any]:
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "task":  # a task's file is a global one, with the choices of other groups
        with initialize_config_dir(str(CONF_PATH), version_base="1.3"):
            values = OmegaConf.to_container(compose("train", overrides=[f"task={path.stem}"]).task)
    elif "defaults" in values:  # one that is made of others
        with initialize_config_dir(str(CONF_PATH), version_base="1.3"):
            composed_values: Any = OmegaConf.to_container(compose(f"{path.parent.name}/{path.stem}"))
        values = composed_values[path.parent.name]
    assert isinstance(values, dict)
    return values


@pytest.mark.parametrize("path", yaml_files(*GIVEN))
def test_a_component_yaml_is_complete_and_builds(path: Path) -> None:
    kind, node = path.parent.name, component_of(path)
    left_to_user = {key for key, value in node.items() if value == MISSING_VALUE}
    assert {f"{kind}.{key}" for key in left_to_user} <= USER_VALUES.keys()

    built_from = {**node, **{key: USER_VALUES[f"{kind}.{key}"] for key in left_to_user}}
    assert REGISTRY.check(kind, built_from, GIVEN[kind]) == []
    arguments = set(inspect.signature(REGISTRY.get(kind, node["type"])).parameters)
    assert node.keys() - {"type"} == arguments - set(GIVEN[kind])

    package = NEEDED_PACKAGES.get(node["type"])
    if package is not None:
        pytest.importorskip(package)
    with torch.device("meta") if kind in ("encoder", "softmax", "head") else nullcontext():
        component = REGISTRY.build(kind, built_from, **{name: CODE_VALUES[name] for name in GIVEN[kind]})
    if isinstance(component, nn.Module) and path.stem in PUBLISHED_PARAMETERS:
        expected, tolerance = PUBLISHED_PARAMETERS[path.stem]
        assert abs(sum(p.numel() for p in component.parameters()) - expected) <= tolerance


def test_every_registered_class_has_a_yaml() -> None:
    described = {
        (kind, component_of(path)["type"]) for kind in GIVEN for path in (CONF_PATH / kind).glob("*.yaml")
    }
    registered = {
        (kind, name)
        for kind in GIVEN
        for name in REGISTRY.names(kind)
        if REGISTRY.get(kind, name).__module__.startswith(COMPONENT_PACKAGES)  # other tests register, too
    }
    from_files = {("encoder", "word_lstm")}  # read from a model, never trained
    assert registered - from_files == described


OF_WANDB = "wandb_sweep.yaml"  # no root, but a file for W&B


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem) for path in CONF_PATH.glob("*.yaml") if path.name != OF_WANDB],
)
def test_a_root_has_its_schema_and_lacks_only_what_the_user_gives(path: Path) -> None:
    with initialize_config_dir(str(CONF_PATH), version_base="1.3"):
        config = compose(path.stem)
    assert OmegaConf.get_type(config) is SCHEMAS[path.stem]
    assert [fault for fault in config_faults(config) if ": missing; give a value" not in fault] == []


@pytest.mark.parametrize("path", yaml_files("task", "experiment", "trainer", "logger"))
def test_a_choice_composes_to_a_sound_config(path: Path) -> None:
    choice = f"{path.parent.name}={path.stem}"
    assert isinstance(check_config(composed(choice)), TrainConfig)


def test_sentiment_is_text_classification_with_its_own_data_and_length() -> None:
    sentiment, topics = (
        OmegaConf.to_container(composed(f"task={task}")) for task in ("sentiment", "text_classification")
    )
    assert isinstance(sentiment, dict)
    assert isinstance(topics, dict)
    assert {key for key in topics if sentiment[key] != topics[key]} == {"data", "optimizer", "trainer"}
    assert sentiment["data"]["type"] == "movie_reviews"
    assert (sentiment["trainer"]["default_max_epochs"], sentiment["trainer"]["patience"]) == (5, 3)
    chosen = composed("task=sentiment", "data=imdb", "trainer.patience=1")
    assert (chosen.data.name, chosen.trainer.patience) == ("stanfordnlp/imdb", 1)


@pytest.mark.parametrize("size", ["original", "medium", "small"])
def test_the_original_recipe_is_the_papers_at_all_published_sizes(size: str) -> None:
    config = check_config(composed(f"experiment=elmo_{size}"))
    assert config.encoder == component_of(CONF_PATH / "encoder" / f"elmo_{size}.yaml")
    assert config.encoder["dropout"] == 0.1
    assert config.batching == {"type": "stream", "num_steps": 20}
    # 128 rows on each of 3 GPUs, all of them different ones
    assert (config.trainer.batch_size, config.trainer.accumulate_batches) == (384, 1)
    assert config.trainer.limits() == (None, 10, None)
    assert (config.trainer.clip_norm, config.trainer.precision.value) == (10, "auto")
    assert (config.task["loss_scale"], config.vocabulary.min_count) == (20, 3)
    assert config.softmax["num_samples"] is None  # 8,192, as the vocabulary has more than twice as many
    assert (config.optimizer["name"], config.optimizer["learning_rate"]) == ("Adagrad", 0.2)
    assert config.optimizer["options"] == {"initial_accumulator_value": 1.0, "eps": 0.0}
    assert config.schedule == {"type": "constant", "warmup_steps": 0}
    assert (config.data["name"], config.tokenizer["type"]) == ("billion-word-benchmark/lm1b", "whitespace")
    # what selects the model is taken off train, so that the test text is scored once
    splits = [config.data[f"{split}_split"] for split in ("train", "dev", "test")]
    assert splits == ["train", None, "test"]


def test_the_default_run_ends_by_steps_and_not_by_the_clock() -> None:
    steps, epochs, minutes = check_config(composed("task=language_model")).trainer.limits()
    assert (epochs, minutes) == (None, None)
    # The default batch has at most 640 words; two quiet cores train on 7,200 to 7,600 a second.
    assert steps * 640 / 7_200 < 4 * 60


@pytest.mark.parametrize(
    ("choices", "limits"),
    [
        (["trainer.max_epochs=50"], (None, 50, None)),
        (["trainer.max_minutes=3"], (None, None, 3)),
        (["task=sentiment"], (None, 5, None)),
        (["task=sentiment", "trainer.max_steps=100"], (100, None, None)),
        (["experiment=lm_bbc_best"], (None, None, 14.5)),
        (["trainer.max_steps=9", "trainer.max_minutes=3"], (9, None, 3)),
    ],
)
def test_a_limit_that_is_given_takes_the_place_of_the_default_one(
    choices: list[str], limits: tuple[float | None, ...]
) -> None:
    assert check_config(composed(*choices)).trainer.limits() == limits


def composed(*choices: str) -> DictConfig:
    """The composed config, with values in the places that are the user's to fill."""
    with initialize_config_dir(str(CONF_PATH), version_base="1.3"):
        missing = OmegaConf.missing_keys(compose("train", overrides=[*choices]))
        assert missing <= USER_VALUES.keys()
        return compose("train", overrides=[*choices, *(f"{key}={USER_VALUES[key]}" for key in missing)])


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(CONF_PATH))) for p in sorted(CONF_PATH.rglob("*.yaml"))]
)
def test_no_yaml_names_python_code(path: Path) -> None:
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for key, value in leaves(values):
        assert not key.startswith("_"), f"{key}: {value}"  # _target_ and the like
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
            assert importlib.util.find_spec(value.split(".")[0]) is None, f"{key}: {value}"


def leaves(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The innermost key and the value of everything in a yaml that is neither a mapping nor a list."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from leaves(value, str(name))
    elif isinstance(values, list):
        for value in values:
            yield from leaves(value, key)
    else:
        yield key, values
