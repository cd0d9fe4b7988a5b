"""How a judge server decides what to answer; knows nothing of sockets."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cmedteb.annotations.demo.answers import (
    FAILURES,
    PAGE,
    Failure,
    completion,
    text_of,
    usage,
    verdict,
)
from cmedteb.annotations.demo.faults import Fault
from cmedteb.annotations.demo.gold import Found, Gold, PairFinder
from cmedteb.annotations.demo.judges import SimulatedJudge, Simulation
from cmedteb.annotations.demo.ledger import Ledger


class Plan(NamedTuple):
    """What is to be sent.

    Attributes:
        status: of HTTP.
        body: of the answer.
        wait: seconds before it.
        fault: one that lies in how it is sent: `STALL`, `DRIP`, `RESET_BEFORE`, `RESET_AFTER`.
        retry_after: header; None sends none.
        html: whether the body is a web page.
    """

    status: int
    body: bytes
    wait: float = 0.0
    fault: Fault | None = None
    retry_after: float | None = None
    html: bool = False


@dataclass
class _Bucket:
    """Tokens that fill at a rate, up to a second's worth."""

    per_second: float
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.level = self._most

    @property
    def _most(self) -> float:
        return max(1.0, self.per_second)

    def take(self) -> bool:
        now = time.monotonic()
        self.level = min(self._most, self.level + (now - self.at) * self.per_second)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Bench:
    """All judges of one server; used by one thread.

    Attributes:
        script: faults that come first, one a request of any judge; None is none.
    """

    def __init__(self, gold: Gold, simulation: Simulation, ledger: Ledger) -> None:
        self.gold = gold
        self.simulation = simulation
        self.ledger = ledger
        self.judges = {judge.model: judge for judge in simulation.judges}
        self.script: deque[Fault | None] = deque()
        self._finder = PairFinder(gold)
        self._buckets = {
            judge.model: _Bucket(judge.rpm / 60) for judge in simulation.judges if judge.rpm
        }
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self._prefixes: dict[tuple[str, str], str] = {}

    def answer(self, raw: bytes, authorization: str) -> Plan:
        """What to answer to a request for a completion; charges what is charged."""
        body: dict[str, Any] = json.loads(raw)
        judge = self.judges.get(str(body.get("model")))
        if judge is None:
            return _failed(Failure(404, "model_not_found", f"no model {body.get('model')!r}"))
        if judge.key is not None and authorization != f"Bearer {judge.key}":
            told = f"Incorrect API key provided: {authorization.removeprefix('Bearer ')}"
            return _failed(Failure(401, "invalid_api_key", told))
        if judge.model in self._buckets and not self._buckets[judge.model].take():
            self.ledger.reject(judge.model)
            return _failed(FAILURES[Fault.RATE], retry_after=judge.retry_after)
        kind = (body.get("response_format") or {}).get("type", "text")
        if kind != "text" and kind not in judge.formats:
            told = f"This response_format type is unavailable now: {kind}"
            return _failed(Failure(400, "invalid_request_error", told))
        found = self._about(body)
        return self._judged(judge, body, found, hashlib.sha256(raw).hexdigest())

    def _about(self, body: Mapping[str, Any]) -> Found:
        messages = body["messages"]
        rest = [message for message in messages if message.get("role") != "system"]
        found = self._finder.find(text_of(rest))
        return found if found.query is not None else self._finder.find(text_of(messages))

    def _judged(
        self, judge: SimulatedJudge, body: dict[str, Any], found: Found, digest: str
    ) -> Plan:
        query, document = found.query or "", found.document or ""
        key = judge.model, query, document
        asked, self._seen[key] = self._seen[key], self._seen[key] + 1
        fault = self._fault(judge, found, asked)
        if fault is not None:
            self.ledger.fault(judge.model, fault)
        if fault in FAILURES:
            return _failed(FAILURES[fault], retry_after=judge.retry_after)
        if fault is Fault.RESET_BEFORE:
            return Plan(200, b"", fault=fault)
        gold = self.gold.grade(query, document) if query and document else self.gold.other
        pair = f"{query}\t{document}"
        content = verdict(body, self.simulation.grade(judge, pair, gold, asked=asked))
        tokens = usage(body, content, cached=self._cached(judge, query, body))
        self.ledger.charge(judge.model, digest, (query, document), tokens)
        if fault is Fault.PAGE:
            return Plan(200, PAGE, judge.latency, html=True)
        told = completion(judge, body, content, tokens=tokens, fault=fault)
        wait = judge.latency + (judge.stall if fault is Fault.STALL else 0.0)
        return Plan(200, json.dumps(told, ensure_ascii=False).encode(), wait, fault)

    def _fault(self, judge: SimulatedJudge, found: Found, asked: int) -> Fault | None:
        if self.script:
            return self.script.popleft()
        if found.query is None or found.document is None:
            return None
        pair = f"{found.query}\t{found.document}"
        return judge.rates.draw(self.simulation.seed, judge.model, pair, asked)

    def _cached(self, judge: SimulatedJudge, query: str, body: Mapping[str, Any]) -> int:
        """Characters that this prompt shares with the last one of its query."""
        text = text_of(body["messages"])
        before = self._prefixes.get((judge.model, query), "")
        self._prefixes[judge.model, query] = text
        shared = 0
        step = 1 << max(0, min(len(text), len(before)).bit_length() - 1)
        while step:
            if text.startswith(before[: shared + step]) and shared + step <= len(before):
                shared += step
            step >>= 1
        return shared


def _failed(failure: Failure, *, retry_after: float | None = None) -> Plan:
    wait = retry_after if failure.status == 429 else None
    return Plan(failure.status, failure.body(), retry_after=wait)
