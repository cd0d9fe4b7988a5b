"""Which pair is put to which judge, why, and in which order.

First the pairs that are asked again at the end, so that the two sights lie a whole run apart; then
the pool, query by query, so that providers can cache what the pairs of a query share; then the
canaries and the reversed scale; last the second sights. Samples are drawn by a hash of the seed and
the pair, so they depend on nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.records import Answer, Pair, Purpose, State
from cmedteb.annotations.share import CASCADE, REVERSED, share_of

MOST_RETESTED = 0.1  # of the pool: a small pool is not asked twice
ATTEMPTS = 2


class Question(NamedTuple):
    """A pair, and why it is asked."""

    pair_id: str
    purpose: Purpose


class Samples(NamedTuple):
    """Ids of the pairs that are more than judged once.

    Attributes:
        complete: judged by every judge though a cascade may have stopped; a random sample, which
            is what agreement may be computed on. Everything where there is no cascade.
        retest: asked again at the end.
        reversed: asked once more with the scale printed from 5 to 1.
    """

    complete: frozenset[str]
    retest: frozenset[str]
    reversed: frozenset[str]


class Asked(NamedTuple):
    """What came of a question so far.

    Attributes:
        attempts: answers that came, whatever they said.
        last: what became of the last.
        grade: where there is one.
    """

    attempts: int
    last: State
    grade: int | None

    @property
    def settled(self) -> bool:
        """Whether it is not asked again."""
        done = self.last in {State.SCORED, State.REFUSED}
        return done or (self.last is not State.FAILED and self.attempts >= ATTEMPTS)


def drawn(pairs: Iterable[Pair], count: int, *, seed: int, purpose: str) -> list[Pair]:
    """A random sample of so many pairs, or all there are, in random order."""

    def lot(pair: Pair) -> str:
        return hashlib.sha256(f"{seed} {purpose} {pair.pair_id}".encode()).hexdigest()

    return sorted(pairs, key=lot)[:count]


def samples(config: AnnotationConfig, pairs: Sequence[Pair]) -> Samples:
    """The samples of an annotation: a function of its config and its pool."""
    pool = [pair for pair in pairs if pair.canary is None]
    ids = [pair.pair_id for pair in pool]
    complete = frozenset(ids)
    if config.cascade is not None:
        complete = share_of(ids, config.cascade, seed=config.seed, purpose=CASCADE)
    turned = share_of(ids, config.reversed_share, seed=config.seed, purpose=REVERSED)
    everywhere = [pair for pair in pool if pair.pair_id in complete]
    count = min(config.retest, round(MOST_RETESTED * len(pool)))
    again = drawn(everywhere, count, seed=config.seed, purpose="retest")
    return Samples(complete, frozenset(pair.pair_id for pair in again), turned & complete)


def questions(pairs: Sequence[Pair], chosen: Samples) -> tuple[list[Question], list[Question]]:
    """All questions to one judge: those in order, and those that come last of all."""
    pool = [pair for pair in pairs if pair.canary is None]
    first = [pair for pair in pool if pair.pair_id in chosen.retest]
    rest = [pair for pair in pool if pair.pair_id not in chosen.retest]
    canaries = [pair for pair in pairs if pair.canary is not None]
    turned = [pair for pair in pool if pair.pair_id in chosen.reversed]
    asked = [Question(pair.pair_id, Purpose.JUDGE) for pair in [*first, *rest]]
    asked += [Question(pair.pair_id, Purpose.CANARY) for pair in canaries]
    asked += [Question(pair.pair_id, Purpose.REVERSED) for pair in turned]
    return asked, [Question(pair.pair_id, Purpose.RETEST) for pair in first]


def asked_so_far(answers: Iterable[Answer]) -> dict[tuple[str, Question], Asked]:
    """(judge, question) -> what came of it; the last answer that came counts."""
    found: dict[tuple[str, Question], Asked] = {}
    for answer in answers:
        key = (answer.judge, Question(answer.pair_id, answer.purpose))
        state, grade = answer.verdict.state, answer.verdict.grade
        before = found[key].attempts if key in found else 0
        if state is State.FAILED and before:
            continue  # no answer says nothing against one that came
        found[key] = Asked(before + (state is not State.FAILED), state, grade)
    return found
