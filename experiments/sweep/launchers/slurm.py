"""Jobs on a Slurm cluster, each submitted by submitit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from elmo.registry import REGISTRY
from elmo.values import Positive, Range, Threads
from experiments.sweep.launchers.launcher import Ended
from experiments.sweep.launchers.remote import RemoteLauncher

_POLL_SECONDS = 0.2


@REGISTRY.register("launcher", "slurm")
class SlurmLauncher(RemoteLauncher):
    """Submits each job to Slurm; the sweep's process stays, on a login node for example, and waits for them.

    The working directory lies on a file system that all machines share.

    Args:
        jobs: submitted at a time.
        partition: None: the cluster's default.
        minutes: of time for each job; before they are over, it saves a checkpoint, and the sweep's next start
            goes on with it.
        cpus: of each job.
        gpus: of each job.
        gigabytes: of memory for each job; None: the cluster's default.
        parameters: further ones of sbatch, such as `account`.
        cluster: `local` runs the jobs on this machine, for a try.
    """

    def __init__(
        self,
        *,
        jobs: Annotated[int, Range(1, 10_000)] = 100,
        partition: str | None = None,
        minutes: Annotated[int, Range(1, 1_000_000)] = 60,
        cpus: Threads = 1,
        gpus: Annotated[int, Range(0, 1024)] = 0,
        gigabytes: Positive | None = None,
        parameters: Mapping[str, Any] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        super().__init__(jobs=jobs, cpus=cpus, package="submitit", extra="slurm")
        self.cluster = cluster
        self.parameters = {
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus or None,
            "mem_gb": gigabytes,
            "slurm_partition": partition,
            "slurm_additional_parameters": dict(parameters or {}) or None,
        }

    def _submit(self, path: Path, work: Callable[..., int], *arguments: object) -> Any:
        from submitit import AutoExecutor  # late: few users have it

        executor = AutoExecutor(folder=path / "submitit", cluster=self.cluster)
        executor.update_parameters(name=path.name, **self.parameters)
        return executor.submit(work, *arguments)

    def wait(self, seconds: float) -> list[Ended]:
        end = time.monotonic() + seconds
        while True:
            ended = [_ended(job, path) for path, job in self._running.items() if job.done()]
            if ended or time.monotonic() >= end:
                break
            time.sleep(min(seconds, _POLL_SECONDS))
        for each in ended:
            del self._running[each.path]
        return ended

    def interrupt(self) -> None:
        super().interrupt()
        for job in self._running.values():
            if job.state == "PENDING":
                job.cancel(check=False)

    def close(self) -> None:
        for job in self._running.values():
            job.cancel(check=False)
        self._running.clear()


def _ended(job: Any, path: Path) -> Ended:
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return Ended(path, job.result())
    except UncompletedJobError:  # it left no result: it was killed, or cancelled before it began
        return Ended(path, 1, f"job {job.job_id} ended without a result: memory or time may have run out")
    except FailedJobError as error:
        return Ended(path, 1, str(error).strip().splitlines()[-1])
