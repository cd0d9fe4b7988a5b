"""One gate an endpoint, through which all its requests go.

It holds three limits: requests in flight, and requests and tokens in any minute where they are
known. How many in flight is found by trying: one more for each success until the first rejection
halves them; later rejections take a fifth, and the way back slows down near the width that was too
much, as in TCP Cubic (RFC 9438). A rejection pauses everybody, for as long as the server asks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]

WINDOW_S = 61.0  # a minute, and a second for requests that travel at different speeds
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
FIRST_CUT = 0.5
CUT = 0.8
SLOWLY = 0.2
POLL_S = 0.2


@dataclass
class Permit:
    """One request: when it was sent, its tokens, and whether it is in the running minute."""

    entered: float
    tokens: int
    counted: bool = True


@dataclass
class Gate:
    """Paces requests; safe to share between threads.

    Args:
        most: requests in flight at any time.
        start: requests in flight at first.
        requests_per_minute: None is unknown.
        tokens_per_minute: None is unknown.
        clock: seconds that only go forward.
    """

    most: int
    start: int = 4
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    clock: Clock = time.monotonic
    width: float = field(init=False)
    in_flight: int = field(default=0, init=False)
    rejections: int = field(default=0, init=False)
    last_success: float | None = field(default=None, init=False)
    _recent: deque[Permit] = field(default_factory=deque, init=False, repr=False)
    _recent_tokens: int = field(default=0, init=False, repr=False)
    _paused_until: float = field(default=float("-inf"), init=False, repr=False)
    _cut_at: float = field(default=float("-inf"), init=False, repr=False)
    _too_much: float = field(default=float("inf"), init=False, repr=False)
    _in_a_row: int = field(default=0, init=False, repr=False)
    _changed: threading.Condition = field(
        default_factory=threading.Condition, init=False, repr=False
    )

    def __post_init__(self) -> None:
        self.width = float(min(self.start, self.most))

    def enter(self, tokens: int, stopped: Callable[[], bool] = lambda: False) -> Permit | None:
        """Wait until a request may be sent; None if `stopped` became true before."""
        with self._changed:
            while not stopped():
                entered = self.try_enter(tokens)
                if isinstance(entered, Permit):
                    return entered
                self._changed.wait(min(entered, POLL_S))
        return None

    def try_enter(self, tokens: int) -> Permit | float:
        """A permit, or the seconds after which to try again (at the latest)."""
        with self._changed:
            now = self.clock()
            self._forget(now)
            wait = max(self._paused_until - now, self._until_room(now, tokens))
            if wait <= 0 and self.in_flight >= int(self.width):
                wait = POLL_S
            if wait > 0:
                return wait
            permit = Permit(now, tokens)
            self.in_flight += 1
            self._recent.append(permit)
            self._recent_tokens += tokens
            return permit

    def succeeded(self, permit: Permit, tokens: int) -> None:
        """A request was answered; `tokens` is what it really had."""
        with self._changed:
            if permit.counted:
                self._recent_tokens += tokens - permit.tokens
                permit.tokens = tokens
            self._in_a_row = 0
            self.last_success = self.clock()
            self.width = min(float(self.most), self.width + self._growth())
            self._leave()

    def rejected(self, permit: Permit, retry_after: float | None) -> None:
        """The server wants fewer requests: a narrower gate, and a pause for all.

        Requests that were sent before the last cut say nothing new, and do not cut again.
        """
        with self._changed:
            now = self.clock()
            self.rejections += 1
            if permit.entered > self._cut_at:
                first = self._too_much == float("inf")
                self._too_much = self.width
                self.width = max(1.0, self.width * (FIRST_CUT if first else CUT))
                self._in_a_row += 1
                self._cut_at = now
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (max(1, self._in_a_row) - 1))
            wanted = now + (pause if retry_after is None else retry_after)
            self._paused_until = max(self._paused_until, wanted)
            self._leave()

    def failed(self, permit: Permit) -> None:
        """A request ended for a reason that says nothing of its rate."""
        del permit
        with self._changed:
            self._leave()

    def _growth(self) -> float:
        """How much a success adds to the width."""
        if self._too_much == float("inf"):
            return 1.0
        near = CUT * self._too_much <= self.width <= self._too_much
        return (SLOWLY if near else 1.0) / self.width

    def _leave(self) -> None:
        self.in_flight -= 1
        self._changed.notify_all()

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0].entered <= now - WINDOW_S:
            permit = self._recent.popleft()
            permit.counted = False
            self._recent_tokens -= permit.tokens

    def _until_room(self, now: float, tokens: int) -> float:
        """Seconds until a request with so many tokens fits in the running minute."""
        most, allowed = self.requests_per_minute, self.tokens_per_minute
        full = most is not None and len(self._recent) >= most
        heavy = allowed is not None and self._recent and self._recent_tokens + tokens > allowed
        if not full and not heavy:
            return 0.0
        return self._recent[0].entered + WINDOW_S - now
