"""Trains in two processes, as torchrun starts them: `python ranks.py JOBS.json` for each of them.

The file has a list of objects: `arguments` of a training, and `dies` for one in which the second process is
killed after its third step. Each exit code is printed in a line.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """What a process printed, and its exit code."""

    code: int
    output: str
    errors: str


def run_ranks(
    jobs: Sequence[dict[str, Any]], path: Path, *, size: int = 2, timeout: float = 400
) -> list[Ended]:
    """Run trainings one after the other in `size` processes; what each process did."""
    listed = path / "jobs.json"
    ports = free_ports(len(jobs))  # where the processes of a job before met may not be free yet
    listed.write_text(json.dumps([{**job, "port": port} for job, port in zip(jobs, ports, strict=True)]))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", "OMP_NUM_THREADS": "1"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(size)}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(listed)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=path,
        )
        for rank in range(size)
    ]
    try:
        ended = [process.communicate(timeout=timeout) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [Ended(process.returncode, *said) for process, said in zip(running, ended, strict=True)]


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nobody uses."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(free.getsockname()[1]) for free in sockets]


def main(jobs: Sequence[dict[str, Any]]) -> int:
    """Run the jobs in this process; the exit code of the last."""
    from experiments import train
    from experiments.training.processes import torchrun
    from experiments.training.step import TrainingStep

    torchrun.PATIENCE = 0.1
    take, code = TrainingStep.take, 0

    def take_and_die(self: TrainingStep, step: int, batches: Any) -> int:
        if step == 4 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return take(self, step, batches)

    for job in jobs:
        os.environ["MASTER_PORT"] = str(job["port"])
        TrainingStep.take = take_and_die if job.get("dies") else take  # type: ignore[method-assign]
        code = train.command(job["arguments"])
        sys.stderr.write(f"exit code {code}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
