"""What judging will take, before and while it is paid for: tokens, money and hours for each judge.

Until answers have told their tokens, a character counts as one token (about right for Chinese with
the tokenizers of Qwen and DeepSeek, low for OpenAI's), an answer as 60 tokens and 4 seconds, and
nothing as cached; then all of these are measured. A cascade may save what is counted here for its
later judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.dispatch import Dispatch, Queue
from cmedteb.annotations.panel import Judge
from cmedteb.annotations.prompt import NONCE_DIGITS
from cmedteb.annotations.questions import Question
from cmedteb.annotations.records import Answer, Pair, Snapshot
from cmedteb.annotations.rubric import Rubric
from cmedteb.endpoints import Price

TOKENS_A_CHARACTER = 1.0
TOKENS_OUT = 60.0
SECONDS = 4.0
ENOUGH = 20  # answers that make a measurement
HOUR = 3600.0


@dataclass(frozen=True)
class Rates:
    """What one question takes.

    Attributes:
        measured: whether answers have told; else guessed.
        tokens_a_character: of what is sent.
        cached: share of these that came from a prefix cache.
        tokens_out: of an answer.
        seconds: of a call.
    """

    measured: bool = False
    tokens_a_character: float = TOKENS_A_CHARACTER
    cached: float = 0.0
    tokens_out: float = TOKENS_OUT
    seconds: float = SECONDS


@dataclass(frozen=True)
class JudgeEstimate:
    """What is left for one judge.

    Attributes:
        judge: its label.
        calls: questions without an answer that stands.
        tokens_in: of them.
        tokens_out: of their answers.
        cost: in the currency of the panel; None without a price.
        hours: with the account to itself, at the stated rates and the stated concurrency.
        rates: what this rests on.
    """

    judge: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    hours: float
    rates: Rates


@dataclass(frozen=True)
class Estimate:
    """What is left for the panel.

    Attributes:
        queries: in the pool.
        pairs: in the pool.
        positives: of these, judged relevant by the original judgements.
        twins: documents whose text another document of the query has: judged with it.
        cut: pairs whose document is longer than judges see.
        canaries: texts that try to speak to the judge.
        currency: of the costs.
        judges: in the order of the panel.
        hours: judges of one account after each other, accounts side by side.
    """

    queries: int
    pairs: int
    positives: int
    twins: int
    cut: int
    canaries: int
    currency: str
    judges: tuple[JudgeEstimate, ...]
    hours: float

    @property
    def cost(self) -> float | None:
        """Of all judges; None where one has no price."""
        costs = [judge.cost for judge in self.judges]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "cost": self.cost}


def estimate(snapshot: Snapshot, waiting: Dispatch, lengths: Mapping[str, int]) -> Estimate:
    """What is left to be paid.

    Args:
        snapshot: of the journal.
        waiting: who is still to be asked what.
        lengths: hash of a text -> its characters.
    """
    config: AnnotationConfig = snapshot.config
    sizes = _sizes(config, snapshot.pairs, lengths)
    by_judge: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in snapshot.answers:
        by_judge[answer.judge].append(answer)
    judges = tuple(
        _of_judge(config.panel.judge(queue.judge), queue, sizes, by_judge[queue.judge])
        for queue in waiting.queues
    )
    accounts: defaultdict[tuple[str, str | None], float] = defaultdict(float)
    for judge in judges:
        accounts[config.panel.judge(judge.judge).account] += judge.hours
    pool = [pair for pair in snapshot.pairs if pair.canary is None]
    return Estimate(
        queries=len({pair.query_id for pair in pool}),
        pairs=len(pool),
        positives=sum((pair.original or 0) > 0 for pair in pool),
        twins=sum(len(pair.twins) for pair in pool),
        cut=sum(_is_cut(pair, lengths) for pair in pool),
        canaries=len(snapshot.pairs) - len(pool),
        currency=config.panel.currency,
        judges=judges,
        hours=max(accounts.values(), default=0.0),
    )


def _is_cut(pair: Pair, lengths: Mapping[str, int]) -> bool:
    return pair.cut is not None and lengths[pair.document_hash] > pair.cut


def _sizes(
    config: AnnotationConfig, pairs: Iterable[Pair], lengths: Mapping[str, int]
) -> dict[str, int]:
    """Pair id -> characters of its request."""
    rubric = Rubric.of(config.rubric)
    frame = len(rubric.system(config.form)) + 4 * NONCE_DIGITS
    frame += sum(len(rubric.sections[name]) for name in ("query", "document", "ask"))
    sizes = {}
    for pair in pairs:
        document = lengths[pair.document_hash]
        seen = document if pair.cut is None else min(document, pair.cut)
        sizes[pair.pair_id] = frame + lengths[pair.query_hash] + seen
    return sizes


def _of_judge(
    judge: Judge, queue: Queue, sizes: Mapping[str, int], answers: list[Answer]
) -> JudgeEstimate:
    rates = _rates(answers, sizes)
    left: list[Question] = [*queue.ready, *queue.last]
    tokens_in = round(rates.tokens_a_character * sum(sizes[one.pair_id] for one in left))
    tokens_out = round(rates.tokens_out * len(left))
    cost = None
    if judge.price is not None:
        price = Price(judge.price.input, judge.price.output, judge.price.cached)
        cost = price.of(tokens_in, tokens_out, round(rates.cached * tokens_in))
    seconds = rates.seconds * len(left) / judge.concurrency
    if judge.rpm is not None:
        seconds = max(seconds, 60.0 * len(left) / judge.rpm)
    if judge.tpm is not None:
        seconds = max(seconds, 60.0 * (tokens_in + tokens_out) / judge.tpm)
    return JudgeEstimate(judge.label, len(left), tokens_in, tokens_out, cost, seconds / HOUR, rates)


def _rates(answers: list[Answer], sizes: Mapping[str, int]) -> Rates:
    told = [one for one in answers if one.tokens_in is not None and one.pair_id in sizes]
    if len(told) < ENOUGH:
        return Rates()
    tokens = sum(one.tokens_in or 0 for one in told)
    return Rates(
        measured=True,
        tokens_a_character=tokens / sum(sizes[one.pair_id] for one in told),
        cached=sum(one.tokens_cached or 0 for one in told) / max(1, tokens),
        tokens_out=sum(one.tokens_out or 0 for one in told) / len(told),
        seconds=sum(one.received_at - one.sent_at for one in told) / len(told),
    )
