"""Who watches a long job: the runner tells, a terminal or nobody listens."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Told what happens; never decides anything."""

    def task_started(self, name: str, *, number: int, total: int) -> None:
        """A task begins."""

    def phase_started(self, name: str, *, units: int | None = None) -> None:
        """A phase of the task begins; `units` is how many texts it will count, if it counts."""

    def advanced(self, units: int) -> None:
        """So many more units of the phase are done."""

    def task_ended(self, outcome: str) -> None:
        """The task is over; `outcome` is one line about it."""

    def note(self, text: str) -> None:
        """Something that the user should know."""


class Silent:
    """Nobody watches."""

    def task_started(self, name: str, *, number: int, total: int) -> None:
        """Nothing."""

    def phase_started(self, name: str, *, units: int | None = None) -> None:
        """Nothing."""

    def advanced(self, units: int) -> None:
        """Nothing."""

    def task_ended(self, outcome: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
