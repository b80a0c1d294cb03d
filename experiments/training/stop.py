"""Ctrl-C and SIGTERM as a request to stop, which a run obeys where nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A request to stop.

    Attributes:
        asked: what made it, such as `SIGTERM`; None: there is none.
        is_shared: whether other processes have to agree.
        reason: the same, once they have agreed.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.reason: str | None = None
        self._is_at_once = False
        self.is_shared = False

    def request(self, reason: str) -> None:
        """Ask the run to stop; the first reason is kept."""
        self.asked = self.asked or reason
        if not self.is_shared:
            self.reason = self.asked

    def agree(self, reason: str) -> None:
        """Make the request of this process, or `reason` for that of another one, count."""
        self.reason = self.asked = self.asked or reason

    def obey(self) -> None:
        """Raises KeyboardInterrupt if there is a request."""
        if self.reason is not None:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While the block runs, where nothing is lost, a request by a signal ends it by KeyboardInterrupt
        wherever it is."""
        self._is_at_once = True
        try:
            if self.asked is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_at_once = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Signals make the request while the block runs; the second one ends it by KeyboardInterrupt wherever
        it is."""

        def handle(number: int, frame: object) -> None:
            if self.is_shared and self.asked is not None:
                return  # torchrun passes on what a terminal has sent already; it ends what does not stop
            self.request(signal.Signals(number).name)
            signal.signal(number, signal.default_int_handler)
            if self._is_at_once:
                raise KeyboardInterrupt

        # No other thread may set handlers; there, such as in a notebook's, only `request` makes a request.
        signals = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        before = [signal.signal(number, handle) for number in signals]
        try:
            yield
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)
