"""What the processes of a training decide alike: how late it is, and whether the run stops."""

from __future__ import annotations

import torch

from experiments.training.stop import Stop
from tasks.processes import Processes


class Agreement:
    """The first process's clock, and the requests to stop of all, as of the last time that they agreed.

    Whatever depends on the time, such as a limit of minutes, the learning rate under it and the next
    checkpoint, is then decided alike by all, without further words.

    Args:
        processes: of the training.
        stop: the request to stop; with several processes it is obeyed once they agree.

    Attributes:
        seconds: of the run; None: they have not agreed yet, or there is one process, whose clock counts.
    """

    def __init__(self, processes: Processes, stop: Stop) -> None:
        self.processes, self.stop = processes, stop
        self.seconds: float | None = None
        stop.is_shared = processes.size > 1

    def reach(self, seconds: float) -> None:
        """Agree on the time of the run, which is `seconds` by this process's clock, and on stopping.

        Raises:
            LostProcessError: another process has ended.
        """
        if self.processes.size == 1:
            return
        said = [seconds if self.processes.is_first else 0.0, float(self.stop.asked is not None)]
        self.seconds, num_asked = self.processes.sum(torch.tensor(said, dtype=torch.float64)).tolist()
        if num_asked:
            self.stop.agree("a signal to another process")
