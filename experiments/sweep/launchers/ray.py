"""Jobs on a Ray cluster, each a task in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from elmo.errors import reason_of
from elmo.registry import REGISTRY
from elmo.values import NotNegative, Range, Threads
from experiments.sweep.launchers.launcher import Ended, Launcher, Run
from experiments.sweep.launchers.remote import clear_request, request_stop, require, run_remotely


@REGISTRY.register("launcher", "ray")
class RayLauncher(Launcher):
    """Runs each job as a task of Ray, which waits until a machine has its cores and GPUs to spare.

    The working directory lies on a file system that all machines share.

    Args:
        jobs: given to Ray at a time.
        address: of the cluster, such as `auto`; None: Ray is started on this machine.
        cpus: of each job.
        gpus: of each job; a part of one if jobs share it.
        init: further arguments of `ray.init`.
    """

    def __init__(
        self,
        *,
        jobs: Annotated[int, Range(1, 10_000)] = 100,
        address: str | None = None,
        cpus: Threads = 1,
        gpus: NotNegative = 0.0,
        init: Mapping[str, Any] | None = None,
    ) -> None:
        require("ray", extra="ray")
        self.jobs, self.address, self.cpus, self.gpus = jobs, address, cpus, gpus
        self.init = dict(init or {})
        self._running: dict[Path, Any] = {}

    def has_room(self) -> bool:
        return len(self._running) < self.jobs

    def num_slots(self) -> int:
        return self.jobs

    def num_threads(self) -> int:
        return self.cpus

    def start(self, run: Run, arguments: Sequence[str], path: Path) -> None:
        import ray  # late: few users have it

        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False, **self.init)
        clear_request(path)
        # With max_calls, the process of a job takes no other one after it.
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_calls=1, max_retries=0)(run_remotely)
        self._running[path] = task.remote(run, list(arguments), str(path), str(Path.cwd()))

    def wait(self, seconds: float) -> list[Ended]:
        import ray

        places = {reference: path for path, reference in self._running.items()}
        if not places:
            return []
        done, _ = ray.wait(list(places), num_returns=1, timeout=seconds)
        ended = [_ended(reference, places[reference]) for reference in done]
        for each in ended:
            del self._running[each.path]
        return ended

    def interrupt(self) -> None:
        for path in self._running:
            request_stop(path)

    def close(self) -> None:
        import ray

        for reference in self._running.values():
            ray.cancel(reference, force=True)
        self._running.clear()
        if ray.is_initialized():
            ray.shutdown()


def _ended(reference: Any, path: Path) -> Ended:
    import ray

    try:
        return Ended(path, ray.get(reference))
    except ray.exceptions.RayError as error:  # such as the end of its process, when memory has run out
        return Ended(path, 1, reason_of(error))
