"""How far each judge is, what it cost, how fast it goes, and whether it is still the same model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.dispatch import Dispatch, Queue
from cmedteb.annotations.journal import Exposure
from cmedteb.annotations.panel import Judge
from cmedteb.annotations.questions import asked_so_far
from cmedteb.annotations.records import Answer, Purpose, Snapshot, State

WINDOW_S = 300.0


@dataclass(frozen=True)
class JudgeStatus:
    """One judge.

    Attributes:
        judge: its label.
        model: the name that is asked for.
        total: questions to it; with a cascade, as far as they are known.
        settled: with an answer that stands.
        states: how the questions that were asked stand now.
        calls: requests that ended, whatever came.
        tokens_in: as the endpoint says.
        tokens_cached: of these, read from a prefix cache.
        tokens_out: as the endpoint says.
        cost: in the currency of the panel.
        unfinished: requests that a crash cut off.
        at_risk: what these may have cost besides.
        speed: answers a second in the last five minutes of work.
        seconds_left: at that speed; None where it is not known.
        structure: how its answers are kept in shape, once that is known.
        returned_models: names that answered -> how often.
        fingerprints: likewise.
    """

    judge: str
    model: str
    total: int
    settled: int
    states: dict[str, int]
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost: float
    unfinished: int
    at_risk: float
    speed: float
    seconds_left: float | None
    structure: str | None
    returned_models: dict[str, int]
    fingerprints: dict[str, int]

    @property
    def drifted(self) -> bool:
        """Whether more than one model, or more than one build of it, has answered."""
        return len(self.returned_models) > 1 or len(self.fingerprints) > 1

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "drifted": self.drifted}


def status(
    snapshot: Snapshot,
    waiting: Dispatch,
    exposure: dict[str, Exposure],
    structures: dict[str, str | None],
) -> tuple[JudgeStatus, ...]:
    """How far each judge is, in the order of the panel."""
    config: AnnotationConfig = snapshot.config
    by_judge: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in snapshot.answers:
        by_judge[answer.judge].append(answer)
    standing = asked_so_far(one for one in snapshot.answers if one.purpose is not Purpose.PROBE)
    states: defaultdict[str, Counter[State]] = defaultdict(Counter)
    for (label, _), asked in standing.items():
        states[label][asked.last] += 1
    return tuple(
        _of_judge(
            config.panel.judge(queue.judge),
            queue,
            by_judge[queue.judge],
            states[queue.judge],
            exposed=exposure.get(queue.judge, Exposure(0, 0.0)),
            structure=structures.get(queue.judge),
        )
        for queue in waiting.queues
    )


def _of_judge(
    judge: Judge,
    queue: Queue,
    answers: Sequence[Answer],
    states: Counter[State],
    *,
    exposed: Exposure,
    structure: str | None,
) -> JudgeStatus:
    speed = _speed(answers)
    return JudgeStatus(
        judge=judge.label,
        model=judge.model,
        total=queue.total,
        settled=queue.settled,
        states={str(state): states[state] for state in State},
        calls=len(answers),
        tokens_in=sum(one.tokens_in or 0 for one in answers),
        tokens_cached=sum(one.tokens_cached or 0 for one in answers),
        tokens_out=sum(one.tokens_out or 0 for one in answers),
        cost=sum(one.cost for one in answers),
        unfinished=exposed.calls,
        at_risk=exposed.most,
        speed=speed,
        seconds_left=queue.left / speed if speed else None,
        structure=structure,
        returned_models=_named(one.returned_model for one in answers),
        fingerprints=_named(one.fingerprint for one in answers),
    )


def _speed(answers: Sequence[Answer]) -> float:
    times = [one.received_at for one in answers if one.verdict.state is not State.FAILED]
    if len(times) < 2:
        return 0.0
    recent = [at for at in times if at > max(times) - WINDOW_S]
    return len(recent) / max(1.0, max(recent) - min(recent))


def _named(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name is not None).items()))
