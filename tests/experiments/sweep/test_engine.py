"""The engine: what is done is skipped, what is not goes on, what fails is noted and stops no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from elmo.errors import InputError
from elmo.files import file_lock
from experiments.sweep import engine
from experiments.sweep.engine import Engine, Job, reason_of
from experiments.sweep.launchers.launcher import Ended, Launcher, Run
from experiments.sweep.record import JobRecord
from experiments.sweep.summary import write_summary
from experiments.sweep.view import View
from experiments.training.stop import Stop


def finish(path: Path, accuracy: float = 90.0) -> int:
    """Leave what a finished run leaves."""
    (path / "config.yaml").write_text("trainer: {metric: dev/accuracy, metric_goal: maximize}\n")
    (path / "metrics.json").write_text(json.dumps({"dev/accuracy": accuracy, "seconds": 2.0}))
    return 0


def save_checkpoint(path: Path) -> None:
    (path / "checkpoints" / "step-1").mkdir(parents=True)
    (path / "config.yaml").write_text("seed: 1\n")


class Pretended(Launcher):
    """Ends each job at the next `wait`, by what `ends` does in its directory."""

    def __init__(self, ends: dict[str, Callable[[Path], int]], slots: int = 2) -> None:
        self.ends, self.slots = ends, slots
        self.running: list[tuple[Path, list[str]]] = []
        self.started: list[list[str]] = []
        self.most = 0

    def has_room(self) -> bool:
        return len(self.running) < self.slots

    def num_slots(self) -> int:
        return self.slots

    def num_threads(self) -> int:
        return 1

    def start(self, run: Run, arguments: Sequence[str], path: Path) -> None:
        self.running.append((path, list(arguments)))
        self.started.append(list(arguments))
        self.most = max(self.most, len(self.running))

    def wait(self, seconds: float) -> list[Ended]:
        if not self.running:
            return []
        path, _ = self.running.pop(0)
        return [Ended(path, self.ends.get(path.name, finish)(path))]

    def interrupt(self) -> None:
        self.ends = {path.name: lambda path: 130 for path, _ in self.running}

    def close(self) -> None:
        self.running.clear()


def run(jobs: Sequence[Job], launcher: Pretended, stop: Stop | None = None) -> list[str]:
    """The states at the end of a sweep."""
    with View("none", num_slots=2) as view:
        for job in jobs:
            job.read()
        Engine(
            jobs,
            launcher=launcher,
            run=lambda arguments: 0,
            options=["--config-dir=mine"],
            stop=stop or Stop(),
            watcher=view,
        ).run()
    return [job.state for job in jobs]


class Counter:
    """Keeps the number of running jobs at each look."""

    def __init__(self) -> None:
        self.running: list[int] = []

    def tell(self, job: Job) -> None:
        pass

    def update(self, jobs: Sequence[Job]) -> None:
        self.running.append(sum(job.state == "running" for job in jobs))


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [Job(JobRecord(name, {}, [f"seed={name}"]), tmp_path / name, ["logger.group=x"]) for name in "abc"]


def test_jobs_run_side_by_side_each_in_its_directory(jobs: list[Job], tmp_path: Path) -> None:
    launcher = Pretended({})
    assert run(jobs, launcher) == ["finished"] * 3
    assert launcher.most == 2
    assert launcher.started[0] == [
        "seed=a",
        "logger.group=x",
        f"output_dir={tmp_path / 'a'}",
        "--config-dir=mine",
    ]


def test_a_sweep_that_is_started_again_skips_resumes_and_retries(jobs: list[Job], tmp_path: Path) -> None:
    for job in jobs:
        job.path.mkdir()
    finish(jobs[0].path)
    save_checkpoint(jobs[1].path)
    engine.note_failure(jobs[2].path, reason="it broke", exit_code=1)
    launcher = Pretended({})
    assert run(jobs, launcher) == ["finished"] * 3
    assert [arguments[0] for arguments in launcher.started] == [f"resume={tmp_path / 'b'}", "seed=c"]
    assert not (jobs[2].path / "failure.json").exists()


def test_a_failure_is_noted_counted_and_stops_no_other(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(path: Path) -> int:
        with (path / "output.log").open("a") as log:
            log.write("a step\n\nseed: 13 is bad luck\n\n")
        return 2

    for attempts in (1, 2):
        assert run(jobs, Pretended({"b": fail})) == ["finished", "failed", "finished"]
        note = json.loads((jobs[1].path / "failure.json").read_text())
        assert (note["reason"], note["exit_code"], note["attempts"]) == ("seed: 13 is bad luck", 2, attempts)
    assert "failed  b: seed: 13 is bad luck\n" in capsys.readouterr().out
    assert run(jobs, Pretended({})) == ["finished"] * 3


def test_a_pretraining_runs_before_the_jobs_that_start_from_it(jobs: list[Job]) -> None:
    jobs[0].needs = [jobs[2]]
    launcher = Pretended({})
    assert run(jobs, launcher) == ["finished"] * 3
    assert [arguments[0] for arguments in launcher.started] == ["seed=b", "seed=c", "seed=a"]


def test_jobs_whose_pretraining_fails_are_told_and_wait_for_the_next_start(
    jobs: list[Job], tmp_path: Path
) -> None:
    jobs[0].needs, jobs[1].needs = [jobs[2]], [jobs[0]]
    assert run(jobs, Pretended({"c": lambda path: 1})) == ["blocked", "blocked", "failed"]
    assert jobs[0].reason == "waits for c, which failed"
    rows = write_summary(tmp_path, jobs).read_text().splitlines()
    assert rows[1] == 'a,job,blocked,"waits for c, which failed"'
    assert run(jobs, Pretended({})) == ["finished"] * 3


def test_a_request_to_stop_lets_running_jobs_save_and_starts_no_other(jobs: list[Job]) -> None:
    stop, launcher = Stop(), Pretended({})

    def request(path: Path) -> int:
        stop.request("SIGINT")
        return finish(path)

    launcher.ends["a"] = request
    assert run(jobs, launcher, stop) == ["finished", "unfinished", "waiting"]
    assert not (jobs[1].path / "failure.json").exists()


def test_a_job_in_whose_directory_another_process_writes_is_told(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_PATIENCE_SECONDS", 0.1)
    jobs[1].path.mkdir()
    with (
        file_lock(jobs[1].path / ".lock"),
        pytest.raises(InputError, match="b: a running process is writing there; wait for it"),
    ):
        run(jobs, Pretended({}))


@pytest.mark.parametrize(
    ("exit_code", "told", "reason"),
    [
        (2, "seed: 13 is bad luck", "seed: 13 is bad luck"),
        (1, "", "it ended with exit code 1 and said nothing"),
        (
            -9,
            "a step",
            "killed by SIGKILL, which the system does when memory runs out; fewer jobs at a time or",
        ),
        (-11, "a step", "killed by SIGSEGV; its last line: a step"),
    ],
)
def test_the_reason_of_a_failure_is_in_words(exit_code: int, told: str, reason: str) -> None:
    assert reason_of(exit_code, told).startswith(reason)


def test_a_display_is_shown_as_many_running_jobs_as_there_is_room_for(jobs: list[Job]) -> None:
    counter, launcher = Counter(), Pretended({}, slots=1)
    Engine(jobs, launcher=launcher, run=lambda arguments: 0, options=[], stop=Stop(), watcher=counter).run()
    assert counter.running == [1, 1, 1, 0]


def test_the_display_counts_and_tells_the_best_and_the_time_left(jobs: list[Job]) -> None:
    now = 0.0
    with View("none", num_slots=1, clock=lambda: now) as view:
        for job in jobs:
            job.path.mkdir()
        jobs[0].state = "running"
        view.tell(jobs[0])
        now = 120.0
        finish(jobs[0].path, accuracy=91.234)
        jobs[0].read()
        view.tell(jobs[0])
        jobs[1].state = "running"
        view.tell(jobs[1])
        now = 180.0
        shown = view.state(jobs)
    assert shown == "1 of 3 done, 1 running, best dev/accuracy 91.23 (a), about 3 min left"
