"""How simulated judges grade: hidden gold, moved by errors that are partly shared.

The grade of judge j on pair p is `gold + leniency_j + noise_j * (sqrt(c) * S_p + sqrt(1 - c) *
E_jp)`, rounded and clipped to 1..5, with S and E standard normal and c the correlation of the
errors (Lord and Novick 1968, the parallel-tests model). All of it is a function of the seed, so
a question that is repeated gets the same answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

from cmedteb.annotations.demo.faults import FaultRates, uniform

NORMAL = NormalDist()


@dataclass(frozen=True)
class SimulatedJudge:
    """One judge and the endpoint it answers from.

    Attributes:
        model: the name it is asked by.
        leniency: added to every grade.
        noise: standard deviation of its error, in grades.
        wobble: the same for each time that it is asked again; 0 repeats itself.
        key: requests without it get 401; None asks for none.
        formats: kinds of `response_format` that it takes; others get 400. Text needs none.
        rpm: requests a minute, in a bucket that holds a second's worth; None is no limit.
        retry_after: seconds that a refusal by `rpm` names; None names none.
        latency: of an answer, in seconds.
        stall: seconds that the faults `STALL` and `DRIP` last.
        rates: of faults.
        answers_as: the model name in its answers; None repeats what was asked for.
        fingerprint: `system_fingerprint` of its answers.
        shutdown_date: told by `/v1/models`.
    """

    model: str
    leniency: float = 0.0
    noise: float = 0.4
    wobble: float = 0.0
    key: str | None = None
    formats: tuple[str, ...] = ("json_schema", "json_object")
    rpm: float | None = None
    retry_after: float | None = 1.0
    latency: float = 0.0
    stall: float = 5.0
    rates: FaultRates = field(default_factory=FaultRates)
    answers_as: str | None = None
    fingerprint: str = "fp_simulated"
    shutdown_date: str | None = None


@dataclass(frozen=True)
class Simulation:
    """The judges of one server.

    Attributes:
        judges: each with a model name of its own.
        correlation: of the judges' errors, 0 to 1.
        seed: of all errors and faults.
    """

    judges: tuple[SimulatedJudge, ...]
    correlation: float = 0.3
    seed: int = 0

    def grade(self, judge: SimulatedJudge, pair: str, gold: float, *, asked: int = 0) -> int:
        """The grade of a judge, 1 to 5.

        Args:
            judge: who.
            pair: what is asked about.
            gold: the grade of a perfect judge.
            asked: how often it was asked before; only `wobble` knows the difference.
        """
        seed = str(self.seed)
        error = math.sqrt(self.correlation) * _normal(seed, "shared", pair)
        error += math.sqrt(1 - self.correlation) * _normal(seed, "own", judge.model, pair)
        moved = gold + judge.leniency + judge.noise * error
        if judge.wobble and asked:
            moved += judge.wobble * _normal(seed, "again", judge.model, pair, str(asked))
        return min(5, max(1, math.floor(moved + 0.5)))

    def write(self, path: Path) -> None:
        """Write it as JSON, for a server in a process of its own."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Simulation:
        """Read what `write` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**document, "judges": tuple(map(_judge, document["judges"]))})


def _judge(told: Mapping[str, Any]) -> SimulatedJudge:
    formats, rates = tuple(told["formats"]), FaultRates(**told["rates"])
    return SimulatedJudge(**{**told, "formats": formats, "rates": rates})


def _normal(*parts: str) -> float:
    return NORMAL.inv_cdf(uniform(*parts))
