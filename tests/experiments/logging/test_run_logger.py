"""Loggers: one valid line per event, also after a resume, and no run that fails because of W&B."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from places import ROOT

from elmo.errors import InputError
from experiments.io.run_directory import RunDirectory
from experiments.logging.run_logger import RunLogger, cut_metrics, open_run_logger
from experiments.logging.wandb_sink import choose_mode
from tasks.pictures import picture

LOG_ONLINE = """
import sys
from pathlib import Path
from experiments.logging import wandb_sink
from experiments.logging.run_logger import open_run_logger
from experiments.io.run_directory import RunDirectory
wandb_sink.ONLINE_TIMEOUT_SECONDS = 1
run = RunDirectory(Path(sys.argv[1]))
run.path.mkdir()
with open_run_logger(run, wandb="online", tensorboard=False, project="elmo", config={}) as logger:
    logger.log(1, {"train/loss": 1.5})
"""


def new_run(path: Path) -> RunDirectory:
    path.mkdir()
    return RunDirectory(path)


def files_only(path: Path, resumed_step: int | None = None) -> RunLogger:
    run = RunDirectory(path)
    return RunLogger(
        metrics_log_path=run.metrics_log_path, metrics_path=run.metrics_path, resumed_step=resumed_step
    )


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def inspect(run: RunDirectory) -> list[dict[str, Any]]:
    """What W&B itself reads from the offline runs in a directory, oldest first."""
    summaries = []
    for file in sorted(
        run.wandb_path.glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime_ns
    ):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(file)]
        summaries.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    return summaries


def test_every_event_is_on_the_disk_at_once(tmp_path: Path) -> None:
    with files_only(tmp_path) as logger:
        logger.log(10, {"tokens": 6400, "seconds": 0.5, "train/loss": 6.25})
        assert events(tmp_path) == [{"step": 10, "tokens": 6400, "seconds": 0.5, "train/loss": 6.25}]


def test_values_that_are_not_finite_become_null(tmp_path: Path) -> None:
    with files_only(tmp_path) as logger:
        logger.log(1, {"train/loss": float("nan"), "gradient_norm": float("inf")})
        logger.summarize({"test/perplexity": float("inf"), "seconds": 3.5})
    assert events(tmp_path) == [{"step": 1, "train/loss": None, "gradient_norm": None}]
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"test/perplexity": None, "seconds": 3.5}


def test_a_resumed_run_has_one_line_per_event(tmp_path: Path) -> None:
    with files_only(tmp_path) as logger:
        for step in (10, 20, 30, 40):
            logger.log(step, {"train/loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "tra')
    with files_only(tmp_path, resumed_step=20) as logger:
        logger.log(30, {"train/loss": 3.0})
    assert events(tmp_path) == [
        {"step": 10, "train/loss": 10.0},
        {"step": 20, "train/loss": 20.0},
        {"step": 30, "train/loss": 3.0},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_complete_event_without_its_line_end_is_cut_as_unfinished(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n[1]\n{"step": 2}')
    cut_metrics(tmp_path / "metrics.jsonl", 5)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_scores_that_no_checkpoint_has_are_cut_as_they_will_come_again(tmp_path: Path) -> None:
    lines = ['{"step": 1, "train/loss": 2.0}\n', '{"step": 1, "dev/accuracy": 0.5}\n']
    lines += ['{"step": 2, "train/loss": 1.0}\n', '{"step": 2, "dev/accuracy": 0.6}\n']
    for is_evaluated, kept in ((True, lines), (False, lines[:3])):
        (tmp_path / "metrics.jsonl").write_text("".join(lines))
        cut_metrics(tmp_path / "metrics.jsonl", 2, is_evaluated=is_evaluated)
        assert (tmp_path / "metrics.jsonl").read_text() == "".join(kept)


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    logger = files_only(tmp_path)
    logger.close()
    logger.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    logger = RunLogger(metrics_log_path=Path("/dev/full"), metrics_path=tmp_path / "metrics.json")
    with pytest.raises(InputError, match="/dev/full: cannot be written"):
        logger.log(1, {"train/loss": 1.0})
    logger.close()


@pytest.fixture(autouse=True)
def logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may be logged in; `auto` is offline here all the same."""
    monkeypatch.setenv("NETRC", str(tmp_path / "absent"))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_wandb_offline_holds_the_figures_also_after_a_resume(tmp_path: Path) -> None:
    run = new_run(tmp_path / "small_run")
    config = {"encoder": {"type": "char_cnn_lstm", "num_layers": 2}}
    for resumed_step, step in ((None, 10), (10, 20)):
        with open_run_logger(
            run, wandb="offline", tensorboard=False, project="elmo", config=config, resumed_step=resumed_step
        ) as logger:
            logger.log(step, {"train/loss": 60.0 / step, "tokens": 640 * step})
            logger.summarize({"test/perplexity": 120.5})
    first, second = inspect(run)
    assert (first["name"], first["state"], first["step"], first["config"]) == (
        "small_run",
        "finished",
        10,
        config,
    )
    assert (second["run_id"], second["step"]) == (first["run_id"], 20)
    assert second["summary"]["test/perplexity"] == 120.5
    assert "train/loss" not in second["summary"]  # only the final figures


def test_wandb_is_sent_no_local_path_and_no_name_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "data.train=/secret/reader/train.txt"])
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "one.txt").touch()
    run = new_run(tmp_path / "small_run")
    config = {
        "output_dir": str(run.path),
        "cache_dir": "~/.cache/elmo-experiments",
        "resume": None,
        "data": {"train": ["/secret/reader/train.txt", "corpora/*.txt"], "name": "owner/name"},
        "vocabulary": {"path": "corpora/one.txt"},
        "init_from": "../other/run",
        "trainer": {"metric": "dev/accuracy"},
        "optimizer": {"groups": [{"pattern": "^encoder/.*[0-9]"}]},
    }
    with open_run_logger(run, wandb="auto", tensorboard=False, project="elmo", config=config) as logger:
        logger.log(1, {"train/loss": 1.0})
    (summary,) = inspect(run)
    assert summary["config"] == {
        "output_dir": "small_run",
        "cache_dir": "elmo-experiments",
        "resume": None,
        "data": {"train": ["train.txt", "*.txt"], "name": "owner/name"},
        "vocabulary": {"path": "one.txt"},
        "init_from": "run",
        "trainer": {"metric": "dev/accuracy"},
        "optimizer": {"groups": [{"pattern": "^encoder/.*[0-9]"}]},
    }
    (file,) = run.wandb_path.glob("offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    records = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    for private in (str(tmp_path), "secret", str(Path.home()) + "/", '"host"', '"args"'):
        assert private not in records
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"Weights & Biases: offline; `wandb sync {file.parent}` sends it"


def test_wandb_ends_a_failed_run_and_the_next_one_is_its_own(tmp_path: Path) -> None:
    runs = [new_run(tmp_path / name) for name in ("first", "second")]
    with (
        pytest.raises(ZeroDivisionError),
        open_run_logger(runs[0], wandb="offline", tensorboard=False, project="elmo", config={}) as logger,
    ):
        logger.log(100, {"train/loss": 1 / 0})
    with open_run_logger(runs[1], wandb="offline", tensorboard=False, project="elmo", config={}) as logger:
        logger.log(5, {"train/loss": 2.0})
    (first,), (second,) = inspect(runs[0]), inspect(runs[1])
    assert (first["exit_code"], second["exit_code"]) == (1, 0)
    assert (second["name"], second["step"]) == ("second", 5)


def test_a_wandb_that_fails_is_one_warning_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = new_run(tmp_path / "run")
    run.wandb_path.write_text("a file where W&B wants a directory")
    with (
        caplog.at_level(logging.WARNING),
        open_run_logger(run, wandb="offline", tensorboard=False, project="elmo", config={}) as logger,
    ):
        logger.log(1, {"train/loss": 1.0})
        logger.summarize({"seconds": 1.0})
    assert [record.message.split(" (")[0] for record in caplog.records] == ["Weights & Biases failed"]
    assert events(run.path) == [{"step": 1, "train/loss": 1.0}]


def test_wandb_is_online_only_with_a_key_or_when_told(tmp_path: Path) -> None:
    nowhere = {"NETRC": str(tmp_path / "absent")}
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password key\n")
    logged_in = {"NETRC": str(tmp_path / "netrc")}
    assert choose_mode(nowhere) == "offline"
    assert choose_mode({**nowhere, "WANDB_API_KEY": "key"}) == "online"
    assert choose_mode(logged_in) == "online"
    (tmp_path / "forge").write_text("machine api.forge.coreweave.com login user password key\n")
    assert choose_mode({"NETRC": str(tmp_path / "forge")}) == "online"
    assert choose_mode({**logged_in, "WANDB_BASE_URL": "https://wandb.example.org"}) == "offline"
    assert choose_mode({**logged_in, "WANDB_MODE": "offline"}) == "offline"


def test_a_wandb_server_that_cannot_be_reached_makes_the_run_an_offline_one(tmp_path: Path) -> None:
    # In a process of its own, since W&B reads its environment once.
    nowhere = {
        "WANDB_API_KEY": "0" * 40,
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "NETRC": str(tmp_path / "absent"),
    }
    result = subprocess.run(
        [sys.executable, "-c", LOG_ONLINE, str(tmp_path / "run")],
        env={**os.environ, **nowhere},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.endswith("logging offline") for line in result.stderr.splitlines() if "failed" in line] == [
        True
    ]
    (summary,) = inspect(RunDirectory(tmp_path / "run"))
    assert (summary["step"], summary["summary"]["train/loss"]) == (1, 1.5)


def test_wandb_takes_project_group_and_tags_from_its_variables_where_the_config_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []

    def init(**options: Any) -> Any:
        started.append(options)
        raise RuntimeError("enough")

    monkeypatch.setattr(wandb, "init", init)
    options: dict[str, Any]
    for variables, options, expected in (
        ({}, {}, ("elmo", None, None)),
        ({"WANDB_PROJECT": "theirs"}, {}, ("theirs", None, None)),
        ({"WANDB_PROJECT": "theirs"}, {"project": "own", "group": "g", "tags": ["t"]}, ("own", "g", ["t"])),
    ):
        monkeypatch.delenv("WANDB_PROJECT", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        run = new_run(tmp_path / f"run{len(started)}")
        open_run_logger(run, wandb="offline", tensorboard=False, config={}, **options).close()
        # For W&B itself, None means its variables: $WANDB_RUN_GROUP and $WANDB_TAGS.
        assert tuple(started[-1][key] for key in ("project", "group", "tags")) == expected


@pytest.mark.parametrize("offline", [True, False])
def test_wandb_is_given_the_pictures_and_online_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    class Run:
        """What W&B would have got."""

        id = "abc"
        url = "https://wandb.example.org/abc"

        def __init__(self) -> None:
            self.offline = offline
            self.settings = wandb.Settings()
            self.logged: dict[str, Any] = {}
            self.artifacts: list[Any] = []

        def log(self, values: dict[str, Any]) -> None:
            self.logged |= values

        def log_artifact(self, artifact: Any) -> None:
            self.artifacts.append(artifact)

        def finish(self, exit_code: int) -> None:
            pass

    given = Run()
    monkeypatch.setattr(wandb, "init", lambda **options: given)
    run = new_run(tmp_path / "run")
    for directory in (run.plots_path, run.model_path):
        directory.mkdir()
    (run.model_path / "config.json").write_text("{}")
    with picture(run.plots_path / "confusion.png", size=(1, 1)):
        pass
    with open_run_logger(
        run, wandb="offline" if offline else "online", tensorboard=False, config={}
    ) as logger:
        logger.show_pictures(run.plots_path)
        logger.keep_model(run.model_path)
        logger.show_tables(
            {"test/confusion": (["gold", "predicted a", "predicted b"], [["a", 3, 1], ["b", 0, 2]])}
        )
    assert isinstance(given.logged["plots/confusion"], wandb.Image)
    chart = given.logged["test/confusion_plot"].table
    assert chart.data == [["a", "a", 3], ["a", "b", 1], ["b", "a", 0], ["b", "b", 2]]
    found = [(artifact.type, list(artifact.manifest.entries)) for artifact in given.artifacts]
    assert found == ([] if offline else [("model", ["config.json"])])


def test_tensorboard_has_the_config_with_the_figures_and_the_pictures(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    run = new_run(tmp_path / "run")
    config = {"seed": 1, "encoder": {"type": "word", "sizes": [1, 2]}, "name": None}
    with picture(run.plots_path / "curves.png", size=(1, 1)):
        pass
    with open_run_logger(run, wandb="disabled", tensorboard=True, config=config) as logger:
        logger.summarize({"test/accuracy": 82.5})
        logger.show_pictures(run.plots_path)
    accumulator = reader.EventAccumulator(str(run.tensorboard_path))
    accumulator.Reload()
    data = hparams.HParamsPluginData.FromString(
        accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    )
    values = data.session_start_info.hparams
    assert values["seed"].number_value == 1
    assert values["encoder.type"].string_value == "word"
    assert values["encoder.sizes"].string_value == "[1, 2]"
    assert accumulator.Tags()["images"] == ["plots/curves"]
    assert accumulator.Scalars("test/accuracy")[0].value == 82.5


def test_tensorboard_shows_one_value_per_step_after_a_resume(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = new_run(tmp_path / "run")
    for resumed_step, steps in ((None, (10, 20, 30)), (20, (30, 40))):
        with open_run_logger(
            run, wandb="disabled", tensorboard=True, project="elmo", config={}, resumed_step=resumed_step
        ) as logger:
            for step in steps:
                logger.log(step, {"train/loss": float(step)})
    accumulator = reader.EventAccumulator(str(run.tensorboard_path))
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("train/loss")] == [10, 20, 30, 40]


def test_a_log_that_cannot_be_written_or_has_strange_lines_is_no_traceback(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    lines = ['{"step": "a"}', '{"step": 1, "x": 2}', "[" * 10_000, '{"step": null}', '{"step": 3}', "\udcff"]
    log.write_bytes("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
    with RunLogger(metrics_log_path=log, metrics_path=tmp_path / "metrics.json", resumed_step=2):
        pass
    assert log.read_text() == '{"step": 1, "x": 2}\n'
    log.unlink()
    log.mkdir()
    with pytest.raises(InputError, match=r"metrics.jsonl: cannot be written \(Is a directory\)"):
        RunLogger(metrics_log_path=log, metrics_path=tmp_path / "metrics.json", resumed_step=2)
