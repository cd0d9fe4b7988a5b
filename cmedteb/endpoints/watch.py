"""Somebody who writes down every request of an endpoint before and after it, durably."""

from __future__ import annotations

from typing import Protocol

from cmedteb.endpoints.transport import Failure


class Watch(Protocol):
    """What `Endpoint.chat_raw` tells of each time that it sends a request.

    Every `sending` is followed by one `arrived` or one `failed`, unless the process dies.
    """

    def sending(self, most: float) -> None:
        """A request is about to be sent; it can cost this much. It is sent when this returns."""

    def arrived(self, raw: bytes) -> None:
        """The body of an answer, before anything of it was read."""

    def failed(self, failure: Failure) -> None:
        """There is no answer."""


class NoWatch:
    """Writes nothing down."""

    def sending(self, most: float) -> None:
        """Nobody is told."""

    def arrived(self, raw: bytes) -> None:
        """Nobody is told."""

    def failed(self, failure: Failure) -> None:
        """Nobody is told."""
