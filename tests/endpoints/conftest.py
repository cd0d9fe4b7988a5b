"""Fixtures of the tests of endpoints.

Run: pytest tests/endpoints -q.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai_server import OpenAIServer


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts, and pauses that no server asks for, of milliseconds."""
    monkeypatch.setattr("cmedteb.endpoints.retry.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("cmedteb.endpoints.gate.FIRST_PAUSE_S", 0.05)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server without faults."""
    with OpenAIServer() as server:
        yield server
