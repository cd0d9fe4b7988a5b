"""What a judge server saw and charged: its own count, against which a client's is held."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ledger:
    """Counts of all requests; safe to read and write from several threads.

    Attributes:
        asked: requests, by judge.
        paid: charged answers, by judge and sha256 of the request's body. Exact: the same question
            on purpose (a retest) is a repetition too.
        pairs: charged answers, by judge, query id and document id ("" where not known).
        rejected: requests above a judge's `rpm`, by judge.
        faults: that happened, by judge and kind.
        tokens: charged, by judge and kind (`in`, `cached`, `out`).
        most_at_once: requests under way at a time, by judge; "" is all together.
    """

    asked: Counter[str] = field(default_factory=Counter)
    paid: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    _at_once: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, judge: str) -> None:
        """A request came."""
        with self._lock:
            self.asked[judge] += 1
            for name in (judge, ""):
                self._at_once[name] += 1
                self.most_at_once[name] = max(self.most_at_once[name], self._at_once[name])

    def end(self, judge: str) -> None:
        """Its answer was sent, or its connection is gone."""
        with self._lock:
            self._at_once.subtract((judge, ""))

    def reject(self, judge: str) -> None:
        """It came too soon."""
        with self._lock:
            self.rejected[judge] += 1

    def fault(self, judge: str, kind: str) -> None:
        """Something went wrong with it, on purpose."""
        with self._lock:
            self.faults[judge, kind] += 1

    def charge(self, judge: str, body: str, pair: tuple[str, str], tokens: dict[str, int]) -> None:
        """An answer was made; whether it arrives is not the server's to know."""
        with self._lock:
            self.paid[judge, body] += 1
            self.pairs[judge, *pair] += 1
            for kind, count in tokens.items():
                self.tokens[judge, kind] += count

    def times(self, judge: str, body: str) -> int:
        """How often this very request was charged before."""
        with self._lock:
            return self.paid[judge, body]

    @property
    def repeated(self) -> int:
        """Charged answers beyond the first of each request."""
        with self._lock:
            return sum(self.paid.values()) - len(self.paid)

    def summary(self, *, calls: bool = False) -> dict[str, Any]:
        """All of it as JSON can say it; `calls` adds one row for each judge and pair."""
        with self._lock:
            told: dict[str, Any] = {
                "asked": dict(self.asked),
                "paid": _by_judge(self.paid),
                "requests": len(self.paid),
                "repeated": sum(self.paid.values()) - len(self.paid),
                "rejected": dict(self.rejected),
                "faults": _nested(self.faults),
                "tokens": _nested(self.tokens),
                "most_at_once": dict(self.most_at_once),
            }
            if calls:
                told["calls"] = [[*key, count] for key, count in sorted(self.pairs.items())]
        return told


def _by_judge(paid: Counter[tuple[str, str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for (judge, _), count in paid.items():
        total[judge] += count
    return dict(total)


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (judge, kind), count in sorted(counts.items()):
        table.setdefault(judge, {})[kind] = count
    return table
