"""Work in a thread beside the training: one piece at a time, whose failure is raised where one looks next."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundWriter:
    """Does one piece of work at a time in a thread.

    The interpreter waits for the thread before it ends.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], object]) -> None:
        """Begin with the work once the work before has ended.

        Raises:
            BaseException: what the work before has raised; then nothing is begun.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), name="writer")
        self._thread.start()

    def check(self) -> None:
        """Raises what the work has raised, if it has ended; it is not waited for."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Wait for the end of the work, and raise what it has raised, once."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error
