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
        reason: what made it, such as `SIGTERM`; None: there is none.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._is_at_once = False

    def request(self, reason: str) -> None:
        """Ask the run to stop; the first reason is kept."""
        self.reason = self.reason or reason

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
            self.obey()
            yield
        finally:
            self._is_at_once = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Signals make the request while the block runs; the second one ends it by KeyboardInterrupt wherever
        it is."""

        def handle(number: int, frame: object) -> None:
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
