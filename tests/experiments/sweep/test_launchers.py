"""Launchers: each job has a process and a log of its own; a job's end, whatever it is, is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray_stand_in
import sweep_jobs
from places import ROOT

from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.sweep.launchers import local
from experiments.sweep.launchers.launcher import Ended, Launcher, Run
from experiments.sweep.launchers.local import LocalLauncher

REGISTRY.discover("experiments.sweep.launchers")
PATIENCE = 60.0  # seconds; a busy machine imports slowly
LAUNCHERS = {
    "local": {"jobs": 2},
    "slurm": {"jobs": 2, "cluster": "local", "minutes": 5},
    "ray": {"jobs": 2, "cpus": 1},
}


@pytest.fixture(params=LAUNCHERS)
def launcher(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Launcher]:
    """Each launcher, with two jobs at a time; Ray is a stand-in, Slurm's jobs are submitit's local ones."""
    if request.param == "slurm":
        pytest.importorskip("submitit")
        monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 0)  # of slow file systems
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]))
    if request.param == "ray":
        monkeypatch.setitem(sys.modules, "ray", ray_stand_in)
        monkeypatch.setattr("experiments.sweep.launchers.remote.find_spec", lambda name: name)
    monkeypatch.setattr(local, "_PRELOADED", "sweep_jobs")
    monkeypatch.chdir(tmp_path)
    launcher: Launcher = REGISTRY.build("launcher", {"type": request.param, **LAUNCHERS[request.param]})
    yield launcher
    launcher.close()


def start(launcher: Launcher, run: Run, path: Path, *arguments: str) -> Path:
    """The file that the job writes."""
    path.mkdir()
    launcher.start(run, [str(path / "noted"), *arguments], path)
    return path / "noted"


def wait(launcher: Launcher, number: int) -> dict[str, Ended]:
    ended, end = list[Ended](), time.monotonic() + PATIENCE
    while len(ended) < number and time.monotonic() < end:
        ended += launcher.wait(0.2)
    return {each.path.name: each for each in ended}


def await_file(path: Path) -> str:
    end = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    return path.read_text()


def test_jobs_run_beside_each_other_with_a_log_and_an_exit_code_of_their_own(
    launcher: Launcher, tmp_path: Path
) -> None:
    noted = [
        start(launcher, sweep_jobs.note, tmp_path / name, code) for name, code in (("a", "0"), ("b", "2"))
    ]
    assert not launcher.has_room()
    ended = wait(launcher, 2)
    assert launcher.has_room()
    assert (ended["a"].exit_code, ended["b"].exit_code) == (0, 2)
    seen = [json.loads(path.read_text()) for path in noted]
    assert len({os.getpid(), *(each["process"] for each in seen)}) == 3
    assert {each["cwd"] for each in seen} == {str(tmp_path)}
    assert {each["main"] for each in seen} == {"sweep_jobs"}  # so that a run notes its own command
    for path in noted:
        log = (path.parent / "output.log").read_text()
        assert f"this is {path}\nand this an error\n" in log


def test_a_job_that_is_killed_is_told_and_takes_no_other_with_it(launcher: Launcher, tmp_path: Path) -> None:
    start(launcher, sweep_jobs.run_out_of_memory, tmp_path / "large")
    start(launcher, sweep_jobs.note, tmp_path / "small", "0")
    ended = wait(launcher, 2)
    assert ended["small"].exit_code == 0
    large = ended["large"]
    assert large.exit_code == -signal.SIGKILL or (large.exit_code == 1 and large.reason)


def test_running_jobs_are_asked_to_stop_as_by_ctrl_c(launcher: Launcher, tmp_path: Path) -> None:
    await_file(start(launcher, sweep_jobs.train_until_stopped, tmp_path / "job"))
    launcher.interrupt()
    assert wait(launcher, 1)["job"].exit_code == 130
    assert "saved by SIGINT" in (tmp_path / "job" / "output.log").read_text()


def test_gpus_and_cores_are_dealt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_PRELOADED", "sweep_jobs")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    launcher = LocalLauncher()
    assert (launcher.num_slots(), launcher.num_threads()) == (2, 4)
    assert LocalLauncher(jobs=1).num_threads() is None
    noted = [start(launcher, sweep_jobs.note, tmp_path / name, "0") for name in "ab"]
    wait(launcher, 2)
    noted.append(start(launcher, sweep_jobs.note, tmp_path / "own", "0", "trainer.device=cuda:1"))
    wait(launcher, 1)
    assert [json.loads(path.read_text())["gpus"] for path in noted] == ["0", "1", None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert local.visible_gpus() == ["5", "7"]


SWEEP = """
import sys, time
from pathlib import Path
import sweep_jobs
from experiments.sweep.launchers import local
if __name__ == "__main__":
    local._PRELOADED = "sweep_jobs"
    launcher = local.LocalLauncher(jobs=1)
    path = Path(sys.argv[1])
    launcher.start(sweep_jobs.train_until_stopped, [str(path / "noted")], path)
    time.sleep(1000)
"""


def test_jobs_end_with_a_sweep_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(SWEEP)
    places = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    sweep = subprocess.Popen(
        [sys.executable, program, tmp_path], env={**os.environ, "PYTHONPATH": places}, cwd=tmp_path
    )
    job = int(await_file(tmp_path / "noted"))
    sweep.kill()
    sweep.wait()
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{job}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{job}").exists()


@pytest.mark.parametrize(("name", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_launcher_whose_package_is_missing_names_its_extra(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.sweep.launchers.remote.find_spec", lambda package: None)
    with pytest.raises(
        InputError, match=rf'^launcher={name} needs {package}: pip install -e "\.\[{name}\]"$'
    ):
        REGISTRY.build("launcher", {"type": name})
