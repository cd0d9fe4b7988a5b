"""From a results folder to scores: which results count, on which data, recomputed.

Models are comparable on a task only where they saw the same data and were judged alike, so each
task has one content hash: the known one, else that of most results. What does not fit (other data,
a part of the queries, an earlier version of the task) is left out with a reason, never mixed in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cmedteb.data import Layout, Source
from cmedteb.data.judgements import Overlay
from cmedteb.leaderboard.board import LeftOut
from cmedteb.leaderboard.known import KnownData
from cmedteb.leaderboard.score import Batch, ModelScores, ReceiptFile, judged_columns, score_batches
from cmedteb.leaderboard.workers import Workers
from cmedteb.results import ORIGINAL, ResultStore, TaskResult
from cmedteb.tasks import Catalogue, TaskCard
from cmedteb.tasks.card import Licence, Title
from cmedteb.types import Float64Array, TaskType

BATCH = 10


class Release(NamedTuple):
    """A version of a task's judgements, and what its header says of it."""

    overlay: Overlay
    header: Mapping[str, Any]


Releases = Mapping[str, Sequence[Release]]


class Stored(NamedTuple):
    """A result, where it lies, and the model it belongs to."""

    slug: str
    path: Path
    result: TaskResult


@dataclass(frozen=True)
class ScoredTask:
    """All models on one task.

    Attributes:
        card: what the task is.
        stored: the results that count, by slug, sorted.
        releases: the versions of judgements that fit its data.
        judgements: sha256 of the original ones.
        ids: of its queries or pairs, in the order of all per-query values.
        gold: of its pairs; empty for rankings.
        scores: version -> slug -> what the receipts give.
    """

    card: TaskCard
    stored: dict[str, Stored]
    releases: tuple[Release, ...]
    judgements: str
    ids: list[str]
    gold: Float64Array
    scores: dict[str, dict[str, ModelScores]]

    @property
    def any_result(self) -> TaskResult:
        """One of them; all agree on the data."""
        return next(iter(self.stored.values())).result

    def values(self, version: str) -> Float64Array:
        """Per-query values of all models, shape (models, queries)."""
        return np.stack([one.values for one in self.scores[version].values()])


@dataclass(frozen=True)
class Loaded:
    """Everything that counts.

    Attributes:
        known: cards and benchmarks.
        tasks: those with results, by name.
        models: slug -> its results, one at least.
        left_out: what does not count, and why.
    """

    known: Catalogue
    tasks: dict[str, ScoredTask]
    models: dict[str, list[Stored]]
    left_out: list[LeftOut] = field(default_factory=list)


def load(
    store: ResultStore,
    known: Catalogue,
    *,
    releases: Releases,
    data: Mapping[str, KnownData],
    workers: Workers,
) -> Loaded:
    """Read and score a results folder.

    Args:
        store: the folder.
        known: cards and benchmarks; a task without a card is what its results say of it.
        releases: task -> its versions of judgements.
        data: task -> the data it must have been run on, where that is agreed.
        workers: to share the scoring.

    Raises:
        DataError: a result, receipt or judgement file cannot be read, or was changed.
    """
    left_out: list[LeftOut] = []
    found = _by_task(store)
    cards = {task: known.cards.get(task) or _card_of(one[0].result) for task, one in found.items()}
    chosen = {
        task: _chosen(results, cards[task], data.get(task), left_out)
        for task, results in found.items()
    }
    plans = {
        task: _batches(store, cards[task], results, releases.get(task, ()), left_out)
        for task, results in sorted(chosen.items())
        if results
    }
    answers = iter(score_batches([batch for plan in plans.values() for batch in plan], workers))
    tasks: dict[str, ScoredTask] = {}
    models: dict[str, list[Stored]] = {}
    for task, plan in plans.items():
        answer = [one for _ in plan for one in next(answers)]
        fitting = [one for one in releases.get(task, ()) if one.overlay.version in plan[0].overlays]
        tasks[task] = _scored(cards[task], chosen[task], fitting, plan[0], answer)
        for one in chosen[task]:
            models.setdefault(one.slug, []).append(one)
    left_out.sort(key=lambda one: (one.task, one.model, one.reason))
    return Loaded(known, tasks, dict(sorted(models.items())), left_out)


def _by_task(store: ResultStore) -> dict[str, list[Stored]]:
    """Task -> results, one a model: that under the original judgements where there is one."""
    found: dict[tuple[str, Path], Stored] = {}
    slugs: dict[Path, str] = {}
    for path, result in store.results():
        home = store.root.joinpath(*path.relative_to(store.root).parts[:2])
        slug = slugs.setdefault(home, slug_of(home, taken=slugs.values()))
        key = (result.task_name, home)
        if key not in found or result.judgements.version == ORIGINAL:
            found[key] = Stored(slug, path, result)
    tasks: dict[str, list[Stored]] = {}
    for (task, _), one in sorted(found.items(), key=lambda item: item[1].slug):
        tasks.setdefault(task, []).append(one)
    return tasks


def slug_of(home: Path, *, taken: Iterator[str] | Any = ()) -> str:  # noqa: ANN401  any container
    """A name for files and addresses: `org__model--revision`, and a hash where that is taken."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", f"{home.parent.name}--{home.name[:12]}")
    if plain not in set(taken):
        return plain
    return f"{plain}-{sha256(f'{home.parent.name}/{home.name}'.encode()).hexdigest()[:8]}"


def _card_of(result: TaskResult) -> TaskCard:
    """What a result says of a task that has no card: a folder of someone's own."""
    name = result.task_name
    return TaskCard(
        name=name,
        type=TaskType(result.task_type),
        version=result.task_version,
        main_score=result.main_score_name,
        splits=(result.split,),
        title=Title(zh=name, en=name),
        source=Source(kind="local", layout=Layout.BEIR),
        licence=Licence(name="unknown"),
    )


def _chosen(
    results: list[Stored], card: TaskCard, data: KnownData | None, out: list[LeftOut]
) -> list[Stored]:
    """Those of one task that can stand beside each other."""
    whole = [one for one in results if not one.result.partial]
    content = data.content_hash if data else _most(one.result.dataset_content_hash for one in whole)
    kept = []
    for one in results:
        reason = _reason(one.result, card, content)
        if reason is None:
            kept.append(one)
        else:
            model = one.result.model
            name = f"{model.name}@{model.revision}"
            out.append(LeftOut(model=name, task=card.name, reason=reason))
    return kept


def _reason(result: TaskResult, card: TaskCard, content: str | None) -> str | None:
    """Why a result cannot stand beside others; None where it can."""
    if result.partial:
        return "it was run on some of the queries only (--limit)"
    if result.dataset_content_hash != content:
        return "it was run on other data than most, or than the known data of its task"
    if (result.task_type, result.task_version) != (card.type, card.version):
        return "its task has changed since it was run"
    return None


def _batches(
    store: ResultStore,
    card: TaskCard,
    results: list[Stored],
    releases: Sequence[Release],
    out: list[LeftOut],
) -> list[Batch]:
    original = _most(
        one.result.judgements.sha256 for one in results if one.result.judgements.version == ORIGINAL
    ) or str(results[0].result.judgements.sha256)
    overlays = {}
    for release in releases:
        overlay = release.overlay
        if overlay.parent in {None, original}:
            overlays[overlay.version] = overlay.grades
        else:
            reason = f"the judgements {overlay.version} were made for others than these"
            out.append(LeftOut(model="", task=card.name, reason=reason))
    receipts = [
        ReceiptFile(
            one.path.parent / one.result.receipts.path,
            one.result.receipts.sha256,
            one.result.receipts.depth,
        )
        for one in results
    ]
    return [
        Batch(
            task=card.name,
            main_score=card.main_score,
            pairs=card.type is TaskType.STS,
            judgements=store.judgement_file(card.name, original),
            sha256=original,
            overlays=overlays,
            receipts=tuple(receipts[start : start + BATCH]),
        )
        for start in range(0, len(receipts), BATCH)
    ]


def _scored(
    card: TaskCard,
    stored: list[Stored],
    releases: list[Release],
    batch: Batch,
    answer: list[dict[str, ModelScores]],
) -> ScoredTask:
    judged = judged_columns(batch.judgements, batch.sha256)
    versions = ["original", *(release.overlay.version for release in releases)]
    return ScoredTask(
        card=card,
        stored={one.slug: one for one in stored},
        releases=tuple(releases),
        judgements=batch.sha256,
        ids=judged.ids,
        gold=judged.value if batch.pairs else np.zeros(0),
        scores={
            version: {one.slug: scores[version] for one, scores in zip(stored, answer, strict=True)}
            for version in versions
        },
    )


def _most(values: Iterator[str]) -> str | None:
    """The most frequent; of several the first in the alphabet."""
    counted = Counter(values)
    return min(counted, key=lambda value: (-counted[value], value)) if counted else None
