"""Money: what calls cost, counted, and a limit that is never exceeded.

The most that a request can cost is reserved before it is sent, and settled to what the answer says
it did cost. A request whose answer was lost may have been charged: it counts in full.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cmedteb.errors import ModelError, UsageError

MILLION = 1_000_000
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in whatever currency.

    Attributes:
        input: of the request.
        output: of the tokens written.
        cached: of input that was read from a prefix cache; None costs as other input.
    """

    input: float
    output: float = 0.0
    cached: float | None = None

    def of(self, tokens_in: int, tokens_out: int = 0, tokens_cached: int = 0) -> float:
        """What so many tokens cost; `tokens_cached` are among `tokens_in`."""
        cached = self.input if self.cached is None else self.cached
        read = min(tokens_cached, tokens_in)
        cost = self.input * (tokens_in - read) + cached * read + self.output * tokens_out
        return cost / MILLION


class BudgetError(ModelError):
    """The budget is used up."""


@dataclass
class Budget:
    """A limit shared by all threads, and by all endpoints that are given the same one.

    Args:
        limit: in the currency of the prices; None only counts.

    Raises:
        UsageError: the limit is not positive.
    """

    limit: float | None = None
    spent: float = field(default=0.0, init=False)
    reserved: float = field(default=0.0, init=False)
    _open: int = field(default=0, init=False, repr=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.limit is not None and not 0 < self.limit < float("inf"):
            raise UsageError(f"--budget must be a positive amount of money, not {self.limit}")

    def reserve(self, amount: float, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Set aside what a request can cost at most; waits while others may still give some back.

        Returns:
            False if `stopped` became true before there was room.

        Raises:
            BudgetError: there is no room, and none will come.
        """
        with self._changed:
            while not stopped():
                if self.limit is None or self.spent + self.reserved + amount <= self.limit:
                    self.reserved += amount
                    self._open += 1
                    return True
                if not self._open:
                    raise BudgetError(
                        f"the budget of {self.limit:g} is used up: {self.spent:.6g} is spent, and "
                        f"the next request can cost up to {amount:.6g}. What arrived is kept: "
                        "run again with a higher --budget to go on from there."
                    )
                self._changed.wait(POLL_S)
        return False

    def settle(self, reserved: float, actual: float) -> None:
        """Give back a reservation and count what was really charged."""
        with self._changed:
            self._open -= 1
            self.reserved = max(0.0, self.reserved - reserved) if self._open else 0.0
            self.spent += actual
            self._changed.notify_all()
