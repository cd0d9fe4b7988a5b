"""Puts questions to one judge, and writes down what came before anything reads it.

A question is asked once more where the answer was cut (with twice the tokens) or is no grade; after
that it is missing. A refusal is final. The transport, the pace, the retries of requests that had no
answer and the budget are the endpoint's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmedteb.annotations.canaries import Question as Texts
from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.journal import Ended, Intent, Journal
from cmedteb.annotations.panel import Judge, Panel, Structure
from cmedteb.annotations.prompt import Message, call_key, messages, sampling
from cmedteb.annotations.questions import Asked, Question
from cmedteb.annotations.records import Pair, Purpose, State, Verdict
from cmedteb.annotations.rubric import Rubric
from cmedteb.annotations.tables import DECLINED, PERHAPS_PAID
from cmedteb.annotations.texts import shown, text_hash
from cmedteb.annotations.verdict import read_answer
from cmedteb.endpoints import (
    Budget,
    Endpoint,
    Failure,
    Gate,
    Key,
    Price,
    Provider,
    RefusedError,
    Stop,
    declined,
    find_provider,
)
from cmedteb.errors import ModelError, UsageError
from cmedteb.models.card import family_file

PROVIDERS = "api/providers.toml"
STRUCTURES = (Structure.JSON_SCHEMA, Structure.JSON_OBJECT, Structure.TEXT)
FIRST_WIDTH = 8


def open_endpoints(panel: Panel, budget: Budget) -> dict[str, Endpoint]:
    """An endpoint for each judge; those of one account share one gate. Nothing is sent yet.

    The gate of an account keeps the smallest rate that any of its judges states, for rates are the
    account's, and starts with as many requests as it may have in flight where a rate is stated.

    Raises:
        UsageError: a budget with a limit, and a judge without a price.
    """
    if budget.limit is not None:
        unpriced = [judge.label for judge in panel.judges if judge.price is None]
        if unpriced:
            raise UsageError(
                f"--budget needs the price of every judge, and {', '.join(unpriced)} has none: "
                "add price = { input = ..., output = ... } to the panel"
            )
    gates = {account: _gate(panel, account) for account in {one.account for one in panel.judges}}
    return {judge.label: _endpoint(judge, budget, gates[judge.account]) for judge in panel.judges}


def _gate(panel: Panel, account: tuple[str, str | None]) -> Gate:
    judges = [judge for judge in panel.judges if judge.account == account]
    most = max(judge.concurrency for judge in judges)
    rpm = min((judge.rpm for judge in judges if judge.rpm is not None), default=None)
    tpm = min((judge.tpm for judge in judges if judge.tpm is not None), default=None)
    stated = rpm is not None or tpm is not None
    return Gate(
        most=most,
        start=most if stated else FIRST_WIDTH,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
    )


def _endpoint(judge: Judge, budget: Budget, gate: Gate) -> Endpoint:
    known = find_provider(judge.base_url, family_file(PROVIDERS))
    provider = Provider(
        name=known.name,
        source=known.source,
        concurrency=judge.concurrency,
        quota_codes=known.quota_codes,
    )
    price = judge.price
    return Endpoint(
        judge.base_url,
        Key(judge.key_env),
        provider,
        budget=budget,
        price=None if price is None else Price(price.input, price.output, price.cached),
        timeout=judge.timeout,
        shared_gate=gate,
    )


class JournalWatch:
    """Writes down each time that a request is sent, and what became of it."""

    def __init__(self, journal: Journal, intent: Intent) -> None:
        self._journal = journal
        self._intent = intent
        self._number = 0

    def sending(self, most: float) -> None:
        """Durable before it is sent."""
        intent = self._intent._replace(reserved=most, sent_at=time.time())
        self._number = self._journal.intend(intent)

    def arrived(self, raw: bytes) -> None:
        """Durable before it is read."""
        self._journal.add_call(self._number, Ended(time.time(), http=200, raw=raw))

    def failed(self, failure: Failure) -> None:
        """Why there is no answer, and whether it may have been paid for."""
        error = str(failure.kind)
        if declined(failure.code, failure.told):
            error = DECLINED
        elif failure.may_be_charged:
            error = PERHAPS_PAID
        ended = Ended(time.time(), failure.status, error, failure.code, failure.told)
        self._journal.add_call(self._number, ended)


@dataclass(frozen=True)
class Asker:
    """Asks one judge.

    Attributes:
        journal: where all of it is written.
        config: what was chosen.
        judge: who is asked.
        endpoint: where.
        rubric: what is asked.
        pairs: pair id -> pair.
        texts: hash -> text.
    """

    journal: Journal
    config: AnnotationConfig
    judge: Judge
    endpoint: Endpoint
    rubric: Rubric
    pairs: Mapping[str, Pair]
    texts: Mapping[str, str]

    def ask(
        self, question: Question, structure: Structure, stop: Stop, *, before: Asked | None = None
    ) -> Asked:
        """Ask until there is a grade, a refusal, or no use in asking again.

        Args:
            question: which.
            structure: how the answer is kept in shape.
            stop: give up waiting when it is set.
            before: what came of it in earlier runs.

        Raises:
            CmedtebError: as `Endpoint.chat`; not for a request that the provider refuses to read.
        """
        asked = before or Asked(0, State.FAILED, None)
        pair = self.pairs[question.pair_id]
        turned = question.purpose is Purpose.REVERSED
        seen = shown(pair, self.texts)
        conversation = messages(self.rubric, self.config.form, pair, seen, reversed_scale=turned)
        while not asked.settled:
            cut = asked.last is State.CUT
            tokens = self.judge.max_tokens * (2 if cut else 1)
            verdict = self._once(
                question, conversation, stop, attempt=asked.attempts + 1, structure=structure,
                max_tokens=tokens,
            )  # fmt: skip
            asked = Asked(asked.attempts + 1, verdict.state, verdict.grade)
            if verdict.state is State.FAILED:
                break
        return asked

    def probe(self, texts: Texts, structure: Structure, stop: Stop) -> Verdict:
        """What the judge says of two texts that belong to no pair.

        Raises:
            CmedtebError: as `Endpoint.chat`; RefusedError where this structure is not known.
        """
        pair = Pair(
            pair_id=text_hash(f"{texts.query} {texts.document}")[:16],
            query_id="",
            doc_id="",
            original=None,
            twins=(),
            ranks={},
            query_hash=text_hash(texts.query),
            document_hash=text_hash(texts.document),
            cut=None,
        )
        conversation = messages(self.rubric, self.config.form, pair, texts.shown)
        question = Question("", Purpose.PROBE)
        return self._once(question, conversation, stop, attempt=1, structure=structure)

    def find_structure(self, texts: Texts, stop: Stop) -> Structure:
        """How this judge's answers are kept in shape: tried once, and remembered in the journal.

        Raises:
            ModelError: no way gives a grade.
            CmedtebError: as `Endpoint.chat`.
        """
        if self.judge.structure is not Structure.AUTO:
            return self.judge.structure
        place = f"structure:{self.judge.label}"
        known = self.journal.recall(place)
        if known is not None:
            return Structure(known)
        told: list[str] = []
        for structure in STRUCTURES:
            try:
                verdict = self.probe(texts, structure, stop)
            except RefusedError as refused:
                told.append(f"{structure}: {refused.told}")
                continue
            if verdict.state is State.SCORED:
                self.journal.remember(place, str(structure))
                return structure
            told.append(f"{structure}: {verdict.state}, {verdict.reason}")
        raise ModelError(
            f"{self.judge.label} ({self.judge.model} at {self.judge.base_url}) gives no grade, "
            f"however it is asked. {'; '.join(told)}"
        )

    def _once(
        self,
        question: Question,
        conversation: Sequence[Message],
        stop: Stop,
        *,
        attempt: int,
        structure: Structure,
        max_tokens: int | None = None,
    ) -> Verdict:
        more: dict[str, Any] = sampling(
            self.judge, self.config.form, structure, max_tokens=max_tokens
        )
        key = call_key(self.judge, self.rubric, list(conversation), more)
        intent = Intent(
            question.pair_id, self.judge.label, question.purpose, attempt, key,
            self.judge.model, 0.0, 0.0,
        )  # fmt: skip
        watch = JournalWatch(self.journal, intent)
        try:
            raw = self.endpoint.chat_raw(self.judge.model, conversation, watch, stop=stop, **more)
        except RefusedError as refused:
            if not refused.declined:
                raise
            return Verdict(State.REFUSED, None, refused.told)
        return read_answer(raw).verdict
