"""What goes wrong with a request to a simulated judge: by chance, or by a script.

Chance is a function of seed, judge, pair and how often the pair was asked, so a run meets the same
faults every time. A refusal sticks to its pair: providers refuse a text, not a request.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property


class Fault(StrEnum):
    """One way in which a request fails. Up to `RESET_BEFORE` nothing is charged.

    `RISK`: 400, the text is not allowed. `REFUSAL`: a refusal instead of content.
    `FILTERED`: the answer was withheld by a filter. `CUT`: it ends in the middle.
    `STALL`: it comes too late. `DRIP`: blanks come for as long. `PAGE`: a web page with 200.
    """

    RATE = "rate"
    QUOTA = "quota"
    RISK = "risk"
    SERVER = "server"
    ERROR_BODY = "error_body"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    REFUSAL = "refusal"
    FILTERED = "filtered"
    CUT = "cut"
    BAD_JSON = "bad_json"
    DUPLICATE_KEY = "duplicate_key"
    OUT_OF_RANGE = "out_of_range"
    BLANK = "blank"
    PAGE = "page"
    STALL = "stall"
    DRIP = "drip"


FREE = frozenset(
    {Fault.RATE, Fault.QUOTA, Fault.RISK, Fault.SERVER, Fault.ERROR_BODY, Fault.RESET_BEFORE}
)
STICKY = frozenset({Fault.RISK, Fault.REFUSAL, Fault.FILTERED})


@dataclass(frozen=True)
class FaultRates:
    """The probability of each fault, for a request. Named as `Fault`; at most one happens."""

    rate: float = 0.0
    quota: float = 0.0
    risk: float = 0.0
    server: float = 0.0
    error_body: float = 0.0
    reset_before: float = 0.0
    reset_after: float = 0.0
    refusal: float = 0.0
    filtered: float = 0.0
    cut: float = 0.0
    bad_json: float = 0.0
    duplicate_key: float = 0.0
    out_of_range: float = 0.0
    blank: float = 0.0
    page: float = 0.0
    stall: float = 0.0
    drip: float = 0.0

    def draw(self, seed: int, judge: str, pair: str, asked: int) -> Fault | None:
        """What happens to this request.

        Args:
            seed: of the simulation.
            judge: its model name.
            pair: what is asked about.
            asked: how often it was asked before.
        """
        for sticks, place in ((True, "always"), (False, str(asked))):
            rates = [(fault, rate) for fault, rate in self._set if (fault in STICKY) is sticks]
            chance = uniform(str(seed), "fault", judge, pair, place) if rates else 1.0
            for fault, rate in rates:
                chance -= rate
                if chance < 0:
                    return fault
        return None

    @cached_property
    def _set(self) -> tuple[tuple[Fault, float], ...]:
        """The faults that can happen at all."""
        rates = ((Fault(field.name), getattr(self, field.name)) for field in fields(self))
        return tuple((fault, float(rate)) for fault, rate in rates if rate)


def uniform(*parts: str) -> float:
    """A number in (0, 1) by a hash of texts."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) / 2**64
