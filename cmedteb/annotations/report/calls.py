"""What asking came to: answers and their absence, tokens, money, dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cmedteb.annotations.records import Answer, Snapshot, State
from cmedteb.annotations.report.numbers import rounded, utc
from cmedteb.annotations.report.schema import CallPart, JudgeCalls
from cmedteb.annotations.votes import Votes


def call_part(snapshot: Snapshot, votes: Votes) -> CallPart:
    """Each judge, and the whole; costs are those of all calls, for whatever purpose."""
    judges = tuple(_judge(snapshot, votes, label) for label in votes.judges)
    return CallPart(
        judges=judges,
        cost=rounded(sum(judge.cost for judge in judges)) or 0.0,
        first=_time([answer.sent_at for answer in snapshot.answers], earliest=True),
        last=_time([answer.received_at for answer in snapshot.answers], earliest=False),
    )


def _judge(snapshot: Snapshot, votes: Votes, label: str) -> JudgeCalls:
    states = Counter(state for (_, judge), state in votes.states.items() if judge == label)
    calls = [answer for answer in snapshot.answers if answer.judge == label]
    return JudgeCalls(
        judge=label,
        states={str(state): states[state] for state in State},
        unanswered=len(votes.pairs) - states.total(),
        calls=len(calls),
        tokens_in=_sum(calls, "tokens_in"),
        tokens_cached=_sum(calls, "tokens_cached"),
        tokens_out=_sum(calls, "tokens_out"),
        cost=rounded(sum(answer.cost for answer in calls)) or 0.0,
    )


def _sum(calls: Sequence[Answer], name: str) -> int:
    return sum(getattr(answer, name) or 0 for answer in calls)


def _time(times: Sequence[float], *, earliest: bool) -> str | None:
    if not times:
        return None
    return utc(min(times) if earliest else max(times))
