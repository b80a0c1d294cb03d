"""A quick test whether a server can be reached: offline users need not wait for a client's retries."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_PORTS = {"http": 80, "https": 443}
_PROBE_SECONDS = 1.5  # for name lookup and connection; a working network needs a tenth of it


def can_reach(url: str) -> bool:
    """Whether the server of a URL, or the proxy in front of it, accepts connections."""
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection(endpoint(url), timeout=_PROBE_SECONDS).close()
        except OSError:
            return
        answered.set()

    # In a thread: without a network, the name lookup may take much longer than the connection's timeout.
    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(_PROBE_SECONDS)
    return answered.is_set()


def endpoint(url: str) -> tuple[str, int]:
    """Host and port to connect to for a URL: those of the proxy, if there is one."""
    address = urlsplit(url)
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.hostname or ""):
        address = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return address.hostname or "", address.port or _PORTS.get(address.scheme, 443)
