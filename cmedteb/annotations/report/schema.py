"""What `report.json` holds: strict, with a version, and no number that JSON lacks.

An undefined statistic is `null` with the reason beside it in `why`; it is never 0 and never NaN.
Numbers have nine significant digits, so that the last bit of a sum does not decide whether two
reports are equal. Rates and coefficients are fractions, money is in the currency of the panel.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from cmedteb.annotations.report.values import Est, Strict, View

SCHEMA: Literal["cmedteb-annotation-report/1"] = "cmedteb-annotation-report/1"


class Judge(Strict):
    """A judge as it was asked."""

    label: str
    model: str
    host: str
    family: str | None
    temperature: float | None
    note: str | None


class Choices(Strict):
    """What was chosen, and what the paper does not say about it."""

    rule: str
    threshold: int
    adjudication: str
    depth: int
    systems: tuple[str, ...]
    cut_chars: int | None
    rubric: str
    rubric_sha256: str
    form: str
    cascade: float | None
    seed: int
    resamples: int
    level: float
    panel: str
    currency: str
    judges: tuple[Judge, ...]
    not_stated: dict[str, str]


class Pool(Strict):
    """What was judged.

    Attributes:
        queries: with a pair in the pool.
        pairs: of a query and a text; documents of one text are one pair.
        documents: with all twins.
        originals: pairs that the original judgements call relevant.
        complete: pairs that every judge graded.
        cut: pairs of which judges saw a part of the document.
    """

    queries: int
    pairs: int
    documents: int
    originals: int
    complete: int
    cut: int


class Scope(StrEnum):
    """Which pairs agreement is measured on."""

    POOL = "whole-pool"
    SHARE = "fully-judged-share"


class AgreementPart(Strict):
    """Agreement of the panel, before any rule selects pairs; None where nothing can be measured."""

    scope: Scope
    pairs: int
    of: int
    binary: View | None
    graded: View | None


class LabelPart(Strict):
    """How many pairs are what, and what that rests on."""

    positive: int
    negative: int
    undecided: int
    by_basis: dict[str, int]


class Depth(Strict):
    """False negatives per query that some system ranks at `depth` or better."""

    depth: int
    per_query: Est


class LeftOut(Strict):
    """False negatives per query without one system: what the others would have found."""

    system: str
    per_query: Est
    only_here: int


class FoundPart(Strict):
    """Where original judgements and labels differ.

    Attributes:
        total: false negatives: relevant pairs that were not labelled relevant.
        documents: the same with all twins.
        per_query: their mean over all queries of the pool.
        by_depth: of the pool.
        leaving_out: each system.
        histogram: number of false negatives of a query -> queries.
        confirmed: original positives that are positive.
        rejected: original positives that are negative.
        open: original positives that are undecided, and stay as they are.
        rejection_rate: rejected, of all original positives.
        bare_queries: queries that have no positive left.
    """

    total: int
    documents: int
    per_query: Est
    by_depth: tuple[Depth, ...]
    leaving_out: tuple[LeftOut, ...]
    histogram: dict[int, int]
    confirmed: int
    rejected: int
    open: int
    rejection_rate: Est
    bare_queries: int


class JudgeCalls(Strict):
    """What asking one judge came to.

    Attributes:
        judge: its label.
        states: of the questions for labels: state -> pairs.
        unanswered: pairs without an answer of this judge.
        calls: of every purpose, repeated ones too.
        tokens_in: of all calls, as the endpoint said.
        tokens_cached: of these.
        tokens_out: of all answers.
        cost: of all calls.
    """

    judge: str
    states: dict[str, int]
    unanswered: int
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost: float


class CallPart(Strict):
    """All calls; dates in UTC."""

    judges: tuple[JudgeCalls, ...]
    cost: float
    first: str | None
    last: str | None


class Repeated(Strict):
    """A judge asked twice: `shift` is second grade less first; kappas are of first and second."""

    judge: str
    pairs: int
    identical: Est
    kappa: Est
    kappa_quadratic: Est
    shift: Est


class Canary(Strict):
    """One trick on one judge, held against the same document without a trick.

    Attributes:
        judge: its label.
        trick: which.
        asked: canaries that the judge graded with the trick and without.
        fooled: of these, positive with the trick and not without.
        shift: mean grade with the trick less that without.
    """

    judge: str
    trick: str
    asked: int
    fooled: int
    shift: float


class Answered(Strict):
    """A model that answered for a judge, and when."""

    judge: str
    requested: str
    returned: str | None
    fingerprint: str | None
    answers: int
    first: str
    last: str


class DriftPart(Strict):
    """Whether judges stayed the same, and whether a text can talk to them."""

    retest: tuple[Repeated, ...]
    reversed: tuple[Repeated, ...]
    canaries: tuple[Canary, ...]
    models: tuple[Answered, ...]
    changed: tuple[str, ...]


class Stratum(Strict):
    """Experts on one stratum, as it was sampled; intervals are Wilson's."""

    name: str
    population: int
    sampled: int
    agreement: Est
    positive: Est


class Reviewer(Strict):
    """One expert; `repeated` pairs were graded twice without saying so."""

    name: str
    pairs: int
    unsure: int
    repeated: int
    identical: Est
    same_side: Est
    kappa: Est


class Bias(Strict):
    """A judge against experts: mean difference of grades, and how often it is on their side."""

    judge: str
    pairs: int
    difference: Est
    agreement: Est


class ExpertPart(Strict):
    """What blind experts say of the labels, weighted back from the strata to the pool.

    Attributes:
        pairs: with a blind grade that has a majority of experts.
        tied: pairs on which experts are evenly split; they are left out.
        reviewers: each.
        agreement: among experts, on pairs that several graded; not weighted.
        pipeline: expert against label over all decided pairs of the pool.
        strata: each by itself.
        confirmation: of the false negatives, how many experts confirm.
        confirmed_per_query: false negatives per query times that.
        rejection: of the rejected original positives, how many experts reject too.
        undecided_positive: of the undecided pairs, how many experts call relevant.
        bias: each judge, weighted.
        error_correlation: mean correlation of the judges' errors; weighted.
        effective_judges: how many judges with independent errors would be as good (Kish 1965).
    """

    pairs: int
    tied: int
    reviewers: tuple[Reviewer, ...]
    agreement: View | None
    pipeline: dict[str, Est]
    strata: tuple[Stratum, ...]
    confirmation: Est
    confirmed_per_query: float | None
    rejection: Est
    undecided_positive: Est
    bias: tuple[Bias, ...]
    error_correlation: float | None
    effective_judges: float | None


class SecondOpinion(Strict):
    """Dawid and Skene's model beside the rule; it takes the judges' errors as independent."""

    prevalence: float
    sensitivity: dict[str, float | None]
    specificity: dict[str, float | None]
    positive: int
    converged: bool


class Family(Strict):
    """A judge and a system that rest on the same base: the judge may favour what it finds."""

    judge: str
    system: str
    family: str


class Move(Strict):
    """One model under the new judgements; scores are fractions."""

    model: str
    revision: str
    before: float
    after: float
    change: Est
    rank_before: int
    rank_after: int


class ScorePart(Strict):
    """How stored results move; from receipts, so not from the journal alone."""

    main_score: str
    moves: tuple[Move, ...]
    kendall_tau: float | None
    left_out: tuple[str, ...]


class Report(Strict):
    """All that is said of an annotation."""

    report: Literal["cmedteb-annotation-report/1"] = SCHEMA
    cmedteb_version: str
    journal_sha256: str
    task: str
    task_type: str
    dataset_revision: str
    content_hash: str
    split: str
    judgements: dict[str, Any] | None
    choices: Choices
    pool: Pool
    agreement: AgreementPart
    labels: LabelPart
    found: FoundPart
    calls: CallPart
    drift: DriftPart
    experts: ExpertPart | None
    second_opinion: SecondOpinion | None
    families: tuple[Family, ...]
    scores: ScorePart | None
