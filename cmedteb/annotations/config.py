"""What an annotation was asked to do: every choice, frozen in its journal when it was planned.

The paper (CMedTEB, arXiv 2604.10937) leaves much open. Each such choice is a field here, its
default is the reading named in `NOT_STATED`, and no code below decides anything that is not here.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cmedteb.annotations.panel import Panel, Strict
from cmedteb.types import TaskType

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

NOT_STATED = {
    "systems": "which retrievers were pooled is not stated in the paper",
    "depth": "the depth of the pool is not stated in the paper (50 is that of its training data)",
    "threshold": "which of the five points is positive is not stated in the paper",
    "rule": "the paper keeps what all three agree on; not whether the points must be equal",
    "rubric": "neither the anchors of the five points nor the prompt are stated in the paper",
    "form": "whether judges gave reasons is not stated in the paper",
    "cut_chars": "what became of long documents is not stated in the paper",
    "temperature": "the temperature of the judges is not stated in the paper",
}


class Rule(StrEnum):
    """When a pair is positive. A pair without an answer of every judge never is, by any rule.

    `UNANIMOUS`: every grade is at or above the threshold (the paper's, as read here).
    `IDENTICAL`: all grades are equal, and at or above it. `MAJORITY`: more than half are at or
    above it. `DAWID_SKENE`: the class that Dawid and Skene's model (1979) finds likelier.
    """

    UNANIMOUS = "unanimous"
    IDENTICAL = "identical"
    MAJORITY = "majority"
    DAWID_SKENE = "dawid-skene"


class Form(StrEnum):
    """What a judge writes first: part of the prompt, so part of every key."""

    SCORE_FIRST = "score-first"
    REASON_FIRST = "reason-first"


class System(Strict):
    """One system whose results were pooled, or whose texts were judged.

    Attributes:
        name: as in `Pair.ranks`.
        kind: where its results came from.
        sha256: of the receipt or the run; of the model's fingerprint.
        base: the model that it rests on, where known; for the own-family warning.
    """

    name: str
    kind: Literal["receipt", "trec", "model"]
    sha256: str
    base: str | None = None


class RubricUsed(Strict):
    """The rubric, whole, so that a journal can be read without this package."""

    name: str
    sha256: str
    text: str


class Judgements(Strict):
    """The judgements that were the start: `original` or `vN`."""

    version: str = "original"
    sha256: str


class AnnotationConfig(Strict):
    """All that was chosen.

    Attributes:
        task: name of the task.
        task_ref: what `-t` was given: a name or a folder.
        task_type: of the task.
        dataset_revision: of the data.
        content_hash: of the data.
        split: of the judgements.
        judgements: that the new ones are made for; None where the task has none (synonym pairs).
        systems: pooled.
        depth: of the pool, for each system.
        query_sample: how many queries were drawn for the pool; None is all.
        excluded_queries: ids that were left out.
        cut_chars: characters of a document that judges see at most; None is all.
        rubric: what the judges were told.
        form: score or reason first.
        panel: the judges.
        threshold: the lowest grade that is positive.
        rule: when a pair is positive.
        cascade: share of the pool that every judge judges all the same, where the others stop as
            soon as unanimity is impossible; None asks every judge everything.
        retest: pairs that are judged first, and once more at the end.
        reversed_share: share of the pool that is asked once more with the scale printed from 5.
        canaries: texts that try to speak to the judge, for each trick.
        seed: of every sample.
        cmedteb_version: that planned it.
    """

    task: str
    task_ref: str
    task_type: TaskType = TaskType.RETRIEVAL
    dataset_revision: str
    content_hash: str
    split: str = "test"
    judgements: Judgements | None = None
    systems: tuple[System, ...] = ()
    depth: Annotated[int, Field(ge=1)] = 50
    query_sample: Annotated[int, Field(ge=1)] | None = None
    excluded_queries: tuple[str, ...] = ()
    cut_chars: Annotated[int, Field(ge=1)] | None = 2000
    rubric: RubricUsed
    form: Form = Form.SCORE_FIRST
    panel: Panel
    threshold: Annotated[int, Field(ge=2, le=5)] = 4
    rule: Rule = Rule.UNANIMOUS
    cascade: Share | None = None
    retest: Count = 200
    reversed_share: Share = 0.05
    canaries: Count = 5
    seed: int = 42
    cmedteb_version: str

    @model_validator(mode="after")
    def _cascade_needs_unanimity(self) -> Self:
        if self.cascade is not None and self.rule not in {Rule.UNANIMOUS, Rule.IDENTICAL}:
            raise ValueError(
                f"a cascade stops when unanimity is impossible, and the rule is {self.rule}: "
                "leave the cascade out, or take the rule unanimous or identical"
            )
        return self

    def to_json(self) -> str:
        """The config in canonical form."""
        return canonical(self.model_dump(mode="json"))


def canonical(value: Any) -> str:  # noqa: ANN401  whatever JSON can say
    """One text for one value: sorted keys, no blanks, as it is hashed."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
