"""What is written down about a run: the fingerprint before it, the result after it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import isnan
from typing import Any

from cmedteb import __version__
from cmedteb.models import ModelFacts
from cmedteb.results import TaskResult, fingerprint
from cmedteb.results.schema import (
    ApproximateSearch,
    Judgements,
    ModelRecord,
    Phase,
    Receipt,
    ScoreInterval,
    StorageRecord,
    score_entry,
)
from cmedteb.runner.timing import Phases
from cmedteb.search import SearchMethod, SearchRecord, search_settings
from cmedteb.tasks import Scored, TaskCard
from cmedteb.tasks.base import SEED
from cmedteb.types import Provenance, TaskType

SCORING_VERSION = 1
OWN_LIBRARIES = ("numpy", "scipy", "pytrec-eval-terrier")


@dataclass(frozen=True)
class Setting:
    """Everything that decides a score, known before the model runs.

    Attributes:
        card: the task.
        facts: the model, bound to the task.
        provenance: of the data.
        judgements: which version, and the hash of what they say.
        limit: how many queries, if not all.
        depth: how deep a retrieval run is cut.
        batch_tokens: recorded; not part of the fingerprint.
        method: how a corpus of dense vectors is searched.
    """

    card: TaskCard
    facts: ModelFacts
    provenance: Provenance
    judgements: Judgements
    limit: int | None
    depth: int
    batch_tokens: int
    method: SearchMethod = SearchMethod.EXACT

    @property
    def identity(self) -> dict[str, Any]:
        """What the fingerprint covers, by name."""
        facts = self.facts
        return {
            "scoring": SCORING_VERSION,
            "task": self.card.name,
            "task_version": self.card.version,
            "main_score": self.card.main_score,
            "split": self.card.split,
            "ignore_identical_ids": self.card.ignore_identical_ids,
            "data": self.provenance.content_hash,
            "judgements": self.judgements.sha256,
            "limit": self.limit,
            "depth": self.depth if self.card.type is TaskType.RETRIEVAL else None,
            **facts.identity,
            "sts_sides": list(facts.sts_sides or ()) if self.card.type is TaskType.STS else None,
            "libraries": major_versions((*OWN_LIBRARIES, *facts.libraries)),
            **self._approximate,
        }

    @property
    def _approximate(self) -> dict[str, Any]:
        """An exact search adds nothing."""
        if self.method is SearchMethod.EXACT or self.card.type is not TaskType.RETRIEVAL:
            return {}
        return {"search": {"method": self.method, **search_settings(self.method, self.depth)}}

    @property
    def fingerprint(self) -> str:
        """sha256 of `identity`."""
        return fingerprint(self.identity)

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that can move a score."""
        return versions((*OWN_LIBRARIES, *self.facts.libraries))


@dataclass
class Work:
    """What was done for a task, counted.

    Attributes:
        encoded: distinct texts (or pairs, of a pair scorer) that went through the model.
        reused: distinct texts whose vectors were kept from before.
        bytes_per_document: of the document vectors as they are stored; None where there are none.
        approximate: what an approximate search found; None where it was exact.
    """

    encoded: int = 0
    reused: int = 0
    bytes_per_document: float | None = None
    approximate: SearchRecord | None = None


@dataclass(frozen=True)
class Effort:
    """What a run cost.

    Attributes:
        phases: and how long each took.
        tokens: that the model read.
        work: what was encoded and what was there.
        cost: of calls to an endpoint, in the currency of its price.
        answered_as: what an endpoint called the model that answered.
        path: `engine`, or why the library's own loop encoded.
    """

    phases: Phases
    tokens: int | None
    work: Work
    cost: float | None = None
    answered_as: str | None = None
    path: str | None = None


def make_result(
    setting: Setting, scored: Scored, *, effort: Effort, receipt: Receipt
) -> TaskResult:
    """The result of a task that has just been scored."""
    card, facts = setting.card, setting.facts
    phases = effort.phases.done
    return TaskResult(
        task_name=card.name,
        task_type=card.type,
        task_version=card.version,
        dataset_revision=setting.provenance.revision,
        dataset_content_hash=setting.provenance.content_hash,
        dataset_warnings=setting.provenance.warnings,
        judgements=setting.judgements,
        cmedteb_version=__version__,
        scores={card.split: [score_entry(scored.scores, scored.main_score)]},
        main_score_name=card.main_score,
        interval=as_interval(scored),
        units=scored.units,
        partial=setting.limit is not None,
        limit=setting.limit,
        depth=setting.depth,
        model=model_record(facts),
        prompts=facts.prompts,
        sts_sides=_sides(facts) if card.type is TaskType.STS else None,
        pooling=facts.pooling,
        similarity=facts.similarity,
        max_length=facts.max_length,
        dtype=facts.dtype,
        dimension=facts.dimension,
        device=facts.device,
        library_versions={
            "cmedteb": __version__,
            "python": platform.python_version(),
            **setting.libraries,
        },
        batch_tokens=setting.batch_tokens,
        evaluation_time=sum(phase.end - phase.start for phase in phases),
        evaluation_phases=[
            Phase(name=phase.name, start=phase.start, end=phase.end, split=card.split)
            for phase in phases
        ],
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        tokens=effort.tokens,
        cost=effort.cost,
        answered_as=effort.answered_as,
        encoding_path=effort.path,
        texts_encoded=effort.work.encoded,
        cache_hits=effort.work.reused,
        storage=_storage(facts, effort.work),
        search=_search(effort.work),
        fingerprint=setting.fingerprint,
        fingerprint_of=setting.identity,
        receipts=receipt,
    )


def as_interval(scored: Scored) -> ScoreInterval:
    """The interval of the main score as it is stored."""
    low, high, level = scored.interval
    return ScoreInterval(
        low=None if isnan(low) else low,
        high=None if isnan(high) else high,
        level=level,
        method="percentile bootstrap over queries or pairs",
        seed=SEED,
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of the settings in which two identities differ."""
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def model_record(facts: ModelFacts) -> ModelRecord:
    """The model as `model.json` holds it."""
    return ModelRecord(
        name=facts.name,
        revision=facts.revision,
        family=facts.family,
        parameters=facts.parameters,
        similarity=facts.similarity,
        dimension=facts.dimension,
        pooling=facts.pooling,
        max_length=facts.max_length,
        settings=facts.settings,
    )


def _storage(facts: ModelFacts, work: Work) -> StorageRecord | None:
    if work.bytes_per_document is None:
        return None
    return StorageRecord(
        vectors=facts.storage,
        rescored=facts.rescore,
        bytes_per_document=work.bytes_per_document,
    )


def _search(work: Work) -> ApproximateSearch | None:
    return ApproximateSearch(**work.approximate._asdict()) if work.approximate else None


def _sides(facts: ModelFacts) -> dict[str, str] | None:
    if facts.sts_sides is None:
        return None
    first, second = facts.sts_sides
    return {"sentence1": str(first), "sentence2": str(second)}


def major_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Of each distribution the part of its version that a change of scores is expected to move."""
    return {name: found.split(".")[0] for name, found in versions(names).items()}


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """The installed version of each distribution, or `unknown`."""
    return {name: _version(name) for name in sorted(names)}


@cache
def _version(name: str) -> str:
    """Read once: what Python keeps of a distribution is parsed for milliseconds."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
