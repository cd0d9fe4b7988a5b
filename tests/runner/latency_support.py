"""A clock that only moves when it is told to, and a model that takes as long as a script says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cmedteb.models import ModelFacts
from cmedteb.runner.latency import Plan
from cmedteb.runner.latency.clock import Bench
from cmedteb.types import Float32Array, Similarity

TEXTS = [f"{'w' * (1 + row % 5)}{row:02d}" for row in range(40)]
SHORT = Plan(
    calls=40,
    seconds=60.0,
    block=5,
    rate_seconds=1.0,
    requests=(20, 200),
    batch_sizes=(1, 4),
    batch_seconds=0.05,
    pool=8,
    searches=3,
)


@dataclass
class FakeClock:
    """Time as a number."""

    time: float = 100.0

    def now(self) -> float:
        return self.time

    def wait_until(self, moment: float) -> None:
        self.time = max(self.time, moment)


@dataclass
class Scripted:
    """An encoder whose calls take as long as `takes` says of their number and their texts."""

    clock: FakeClock
    takes: Callable[[int, Sequence[str]], float]
    facts: ModelFacts = field(
        default_factory=lambda: ModelFacts(
            name="test/scripted",
            revision="1",
            family="test",
            similarity=Similarity.DOT,
            dtype="float32",
            prompts={"query": "find: ", "document": ""},
            parameters={"query": 7, "document": 70},
        )
    )
    calls: list[list[str]] = field(default_factory=list)
    tokens: int = 0

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        self.clock.time += self.takes(len(self.calls), texts)
        self.calls.append(list(texts))
        self.tokens += sum(map(len, texts))
        return np.ones((len(texts), 3), dtype=np.float32)

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        raise AssertionError("documents are not what is measured")

    @property
    def bench(self) -> Bench:
        """Under a stopwatch."""
        return Bench(self.encode_queries, self.clock)


def steady(seconds: float) -> Callable[[int, Sequence[str]], float]:
    """Every call takes the same time, however many texts it has."""
    return lambda _number, _texts: seconds


def model_json(out: Path, name: str = "test__scripted") -> Path:
    """Where the record lies."""
    return out / name / "1" / "model.json"
