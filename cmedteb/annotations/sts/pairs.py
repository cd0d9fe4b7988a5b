"""Drafts become pairs that a panel checks, and checked pairs become an STS set.

One of the three variants of each sentence is drawn, as in the paper. The writer's intention is the
pair's label before the check: 1 where it says that the meaning was kept, else 0. Which scale the
paper's labels have is not stated in it; its construction has two kinds, so 1 and 0 are the default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from cmedteb import __version__
from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.consensus import Consensus, Label, LabelState
from cmedteb.annotations.pool import pair_id
from cmedteb.annotations.records import Pair
from cmedteb.annotations.sts.drafts import Draft, Kind, sampled, synonym_in
from cmedteb.annotations.sts.plan import Plan
from cmedteb.annotations.sts.vocabulary import Seed
from cmedteb.annotations.texts import text_hash
from cmedteb.types import TaskType


class Score(StrEnum):
    """What the gold score of a pair is, and which pairs are kept.

    `BINARY`: 1 or 0; kept are pairs on which the panel agrees with the writer. `MEAN`: the mean
    grade, 1 to 5; kept are pairs that every judge graded.
    """

    BINARY = "binary"
    MEAN = "mean"


class Drawn(NamedTuple):
    """A pair before it is checked."""

    seed: Seed
    kind: Kind
    sentence1: str
    sentence2: str


def draw_pairs(seeds: Sequence[Seed], drafts: Mapping[str, Draft], number: int) -> list[Drawn]:
    """One variant of each draft; a pair of sentences that came before is left out."""
    found: dict[tuple[str, str], Drawn] = {}
    for seed in seeds:
        if (draft := drafts.get(seed.seed_id)) is not None:
            kind = sampled(seed, number)
            both = (draft.sentence, draft.variants[kind])
            found.setdefault(both, Drawn(seed, kind, *both))
    return list(found.values())


def to_judge(drawn: Sequence[Drawn]) -> list[Pair]:
    """As a panel judges them: the first sentence in the query's place."""
    pairs = []
    for one in drawn:
        hashes = text_hash(one.sentence1), text_hash(one.sentence2)
        pairs.append(
            Pair(
                pair_id=pair_id(one.seed.seed_id, *hashes, None),
                query_id=one.seed.seed_id,
                doc_id=f"{one.seed.seed_id}-{one.kind}",
                original=int(one.kind is Kind.KEPT),
                twins=(),
                ranks={},
                query_hash=hashes[0],
                document_hash=hashes[1],
                cut=None,
            )
        )
    return pairs


def check_config(plan: Plan, drawn: Sequence[Drawn]) -> AnnotationConfig:
    """The config of the check; its data are the sentences."""
    told = "\n".join(f"{text_hash(one.sentence1)} {text_hash(one.sentence2)}" for one in drawn)
    return AnnotationConfig(
        task=plan.recipe.name,
        task_ref=str(plan.recipe.vocabulary),
        task_type=TaskType.STS,
        dataset_revision="local",
        content_hash=text_hash(told),
        cut_chars=None,
        rubric=plan.rubric.used,
        panel=plan.panel,
        threshold=plan.recipe.threshold,
        rule=plan.recipe.rule,
        retest=0,
        reversed_share=0.0,
        canaries=0,
        seed=plan.recipe.seed,
        cmedteb_version=__version__,
    )


class Checked(NamedTuple):
    """What became of the pairs: rows of the set, and rows that did not get in with the reason."""

    kept: list[dict[str, Any]]
    rejected: list[dict[str, Any]]

    def counts(self) -> dict[str, dict[str, int]]:
        """By kind of variant: how many are in the set, and why the others are not."""
        kept = Counter(row["kind"] for row in self.kept)
        found = {str(kind): {"kept": kept[str(kind)]} for kind in Kind}
        for row in self.rejected:
            reasons = found[row["kind"]]
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        return found


def check(drawn: Sequence[Drawn], consensus: Consensus, score: Score) -> Checked:
    """Sort pairs by what the panel says of them.

    Args:
        drawn: the pairs.
        consensus: of the panel, about all of them.
        score: the scale of the gold.
    """
    by_id = {label.pair.query_id: label for label in consensus.labels}
    checked = Checked([], [])
    for one in drawn:
        label = by_id[one.seed.seed_id]
        gold = _gold(one, label, score)
        row = {"sentence1": one.sentence1, "sentence2": one.sentence2}
        facts = dict(_facts(one, label, consensus.votes.judges))
        if gold is None:
            checked.rejected.append({**row, **facts, "reason": _reason(label)})
        else:
            checked.kept.append({**row, "score": gold, **facts})
    return checked


def _gold(one: Drawn, label: Label, score: Score) -> float | None:
    if score is Score.MEAN:
        grades = [grade for grade in label.grades if grade is not None]
        return sum(grades) / len(grades) if len(grades) == len(label.grades) else None
    meant = LabelState.POSITIVE if one.kind is Kind.KEPT else LabelState.NEGATIVE
    return int(one.kind is Kind.KEPT) if label.state is meant else None


def _reason(label: Label) -> str:
    """Why a pair is not in the set."""
    return str(label.basis) if label.state is LabelState.UNDECIDED else "contradicted"


def _facts(one: Drawn, label: Label, judges: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield "kind", str(one.kind)
    synonym = synonym_in(one.sentence2, one.seed)
    yield "synonym", [one.seed.term] if synonym is None else [one.seed.term, synonym]
    yield "grades", dict(zip(judges, label.grades, strict=True))
    yield "id", one.seed.seed_id
