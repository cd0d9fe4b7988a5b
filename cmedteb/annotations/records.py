"""What an annotation consists of, as plain values: the pool, what judges said, what people said.

A `Snapshot` is all that a journal holds at one moment. Consensus, report, review, build and replay
read nothing else, so whatever they say can be said again from the journal alone. Ids, grades and
hashes only: texts stay in the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

GRADES = (1, 2, 3, 4, 5)


class State(StrEnum):
    """What became of one question to one judge. Only `SCORED` is a grade; all else is missing.

    `REFUSED`: the provider or the model declined. `CUT`: the answer ended at its token limit.
    `INVALID`: blank, no JSON, a key twice, no grade of the scale. `FAILED`: no answer came.
    """

    SCORED = "scored"
    REFUSED = "refused"
    CUT = "cut"
    INVALID = "invalid"
    FAILED = "failed"


class Purpose(StrEnum):
    """Why a judge was asked.

    `JUDGE`: for the label. `RETEST`: a pair asked again, for drift and noise. `REVERSED`: with
    the scale printed from 5 to 1. `CANARY`: a text that tries to speak to the judge.
    `PROBE`: `doctor`'s questions, which belong to no pair. `WRITE`: for sentences, not for a grade.
    """

    JUDGE = "judge"
    RETEST = "retest"
    REVERSED = "reversed"
    CANARY = "canary"
    PROBE = "probe"
    WRITE = "write"


class Phase(StrEnum):
    """Whether a reviewer saw what the judges said."""

    BLIND = "blind"
    ADJUDICATION = "adjudication"


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a document that are judged, once for all documents of the same text.

    Attributes:
        pair_id: sha256 over query id, both text hashes and the cut; 16 hex digits.
        query_id: of the data set.
        doc_id: of the data set; the smallest of the documents that share the text.
        original: its grade in the original judgements, the highest among twins; None if unjudged.
        twins: other documents with the same text that are in the pool of this query.
        ranks: system -> best rank (from 1) at which it, or a twin, was returned; empty for pairs
            that are only in the pool because they are judged.
        query_hash: sha256 of the query's text.
        document_hash: sha256 of the whole document text.
        cut: characters of the document that judges see; None if they see all of it.
        canary: which trick this is; None for a pair of the pool.
    """

    pair_id: str
    query_id: str
    doc_id: str
    original: int | None
    twins: tuple[str, ...]
    ranks: Mapping[str, int]
    query_hash: str
    document_hash: str
    cut: int | None
    canary: str | None = None


class Verdict(NamedTuple):
    """What one answer says.

    Attributes:
        state: whether there is a grade.
        grade: 1 to 5 where `state` is `SCORED`, else None.
        reason: the judge's words for it, or why there is no grade.
    """

    state: State
    grade: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One question to one judge and what came back.

    Attributes:
        pair_id: the pair; empty for `PROBE`.
        judge: label of the judge in the panel.
        purpose: why it was asked.
        attempt: from 1; an answer that is no verdict may be asked for once more.
        verdict: read from the raw answer, never stored.
        requested_model: the name that was asked for.
        returned_model: the name that answered, where the endpoint says.
        fingerprint: `system_fingerprint`, where the endpoint says.
        finish_reason: of the first choice.
        tokens_in: of the request, as the endpoint says.
        tokens_cached: of these, read from a prefix cache.
        tokens_out: of the answer.
        cost: in the currency of the panel.
        sent_at: seconds since the epoch.
        received_at: seconds since the epoch.
    """

    pair_id: str
    judge: str
    purpose: Purpose
    attempt: int
    verdict: Verdict
    requested_model: str
    returned_model: str | None
    fingerprint: str | None
    finish_reason: str | None
    tokens_in: int | None
    tokens_cached: int | None
    tokens_out: int | None
    cost: float
    sent_at: float
    received_at: float


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of one pair.

    Attributes:
        pair_id: the pair.
        reviewer: a name or pseudonym.
        phase: whether the judges' grades were hidden.
        repeat: 0 for the first sight, 1 for the hidden repeat.
        stratum: the stratum that the pair was drawn from.
        grade: 1 to 5; None where the reviewer gave none.
        unsure: marked as unsure.
        comment: free words.
        file_hash: sha256 of the file that it was imported from.
    """

    pair_id: str
    reviewer: str
    phase: Phase
    repeat: int
    stratum: str
    grade: int | None
    unsure: bool
    comment: str
    file_hash: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a journal holds at one moment.

    Attributes:
        config: of the annotation (see `config.AnnotationConfig`), frozen when it was planned.
        pairs: the pool and the canaries, sorted by query id and document id.
        answers: in the order in which they came.
        reviews: in the order of import.
        sha256: over every row of the journal in canonical form: independent of SQLite's pages.
        strata: of every pair of the pool, frozen when the first pairs were drawn for review:
            pair id -> stratum. Their counts are the population that reviews are weighted back to.
            Empty before that.
    """

    config: Any
    pairs: tuple[Pair, ...]
    answers: tuple[Answer, ...]
    reviews: tuple[Review, ...]
    sha256: str
    strata: Mapping[str, str] = field(default_factory=dict)
