"""Jobs on a Ray cluster, each a task in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from elmo.errors import reason_of
from elmo.registry import REGISTRY
from elmo.values import NotNegative, Range, Threads
from experiments.sweep.launchers.launcher import Ended
from experiments.sweep.launchers.remote import RemoteLauncher


@REGISTRY.register("launcher", "ray")
class RayLauncher(RemoteLauncher):
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
        super().__init__(jobs=jobs, cpus=cpus, package="ray", extra="ray")
        self.address, self.gpus, self.init = address, gpus, dict(init or {})

    def _submit(self, path: Path, work: Callable[..., int], *arguments: object) -> Any:
        import ray  # late: few users have it

        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False, **self.init)
        # With max_calls, the process of a job takes no other one after it.
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_calls=1, max_retries=0)(work)
        return task.remote(*arguments)

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
