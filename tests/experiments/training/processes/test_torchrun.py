"""What a command says that cannot be shared by the processes that torchrun has started."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import pytest
import torch
from ranks import free_ports

from elmo.errors import InputError
from experiments import find_lr, train
from experiments.config.command import run_command
from experiments.training.processes import torchrun
from experiments.training.processes.group import choose_own_device, open_processes
from experiments.training.processes.torchrun import Place, place_of_process
from tasks.processes import Processes


@pytest.fixture
def first_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)


def test_a_process_is_alone_unless_torchrun_has_set_all_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert place_of_process() == Place(0, 0, 1)
    monkeypatch.setenv("WORLD_SIZE", "8")  # such as a container of a cluster leaves behind
    monkeypatch.setenv("RANK", "3")
    assert place_of_process().is_alone
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    assert place_of_process() == Place(3, 1, 8)
    monkeypatch.setenv("RANK", "8")
    with pytest.raises(InputError, match="RANK=8 of WORLD_SIZE=8"):
        place_of_process()


def test_a_process_without_a_gpu_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_own_device("auto", Place(5, 1, 8)) == torch.device("cuda", 1)
    assert choose_own_device("cpu", Place(5, 1, 8)) == torch.device("cpu")
    with pytest.raises(
        InputError, match=r"process 2 of this machine has no GPU of its own.*nproc-per-node=2"
    ):
        choose_own_device("cuda", Place(2, 2, 8))
    with pytest.raises(InputError, match="cuda:1 is one device for 8 processes"):
        choose_own_device("cuda:1", Place(0, 0, 8))


def meet_fails(said: str, *, seconds: float) -> None:
    group = open_processes(torch.device("cpu"), timeout_seconds=seconds)
    with pytest.raises(InputError, match=said), group:
        pass


def test_a_port_that_is_in_use_is_told(first_of_two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("MASTER_PORT", str(taken.getsockname()[1]))
        meet_fails(r"rank 0 cannot meet the other.*in use", seconds=5)


def test_processes_that_do_not_come_are_told_after_the_time_limit(
    first_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER_PORT", str(free_ports(1)[0]))
    meet_fails("rank 0 cannot meet", seconds=0.5)


def find_lr_command(arguments: Sequence[str]) -> int:
    return run_command(find_lr.main, config_name="find_lr", arguments=arguments)


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (train.command, ["-m", "seed=1,2"], "--multirun: a sweep starts its own processes"),
        (train.command, ["dry_run=true"], "dry_run: measures one process, not 2"),
        (train.command, ["trainer.batch_size=1"], "trainer.batch_size: 1 leaves some of 2 processes"),
        (find_lr_command, [], "experiments.find_lr works in one process, not in 2"),
    ],
)
def test_what_processes_cannot_share_is_refused_in_a_line(
    command: Callable[[Sequence[str]], int],
    arguments: Sequence[str],
    said: str,
    first_of_two: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_another_process_than_the_first_leaves_it_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(torchrun.time, "sleep", waited.append)
    for rank in ("0", "1"):
        for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "h"}.items():
            monkeypatch.setenv(name, value)
        torchrun.leave_word_to_first()
    assert waited == [torchrun.PATIENCE]


def test_a_process_that_is_alone_talks_to_nobody() -> None:
    alone, values = Processes(), torch.ones(2, 3)
    assert alone.sum(values) is values and alone.joined_rows(values, 3, dim=1) is values
    assert alone.text_of_first("a") == "a" and alone.in_turn(lambda: 3) == 3
    assert list(range(4))[alone.rows(4)] == [0, 1, 2, 3] and alone.is_first
