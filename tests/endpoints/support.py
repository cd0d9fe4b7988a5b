"""What the tests of endpoints share."""

from __future__ import annotations

import socket
from typing import Any

from cmedteb.endpoints import Endpoint, Key, Provider


def endpoint_at(base_url: str, *, key_env: str | None = None, **more: Any) -> Endpoint:
    """An endpoint at a test's server; `provider` may hold limits."""
    limits = {"name": "test", "source": "the test", **more.pop("provider", {})}
    return Endpoint(base_url, Key(key_env), Provider(**limits), **more)


def closed_port() -> int:
    """A port of the loopback at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
