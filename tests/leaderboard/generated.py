"""A results folder of models that nobody trained: real files in the real layout, from a seed.

Every model has a skill, every query a difficulty that all models share, so scores are correlated
as those of real models are. Written by the writers that `cmedteb run` uses: receipts, judgements,
results, `model.json` with latencies, `card.toml`, and (on request) overlays that add what was
judged not relevant by omission. Without `scale` and with `depth=100` a task is as large as the set
it is named after.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmedteb.leaderboard.known import known_data
from cmedteb.metrics import Interval, score_run
from cmedteb.models import ModelFacts
from cmedteb.results import ResultStore
from cmedteb.results.files import write_gzip
from cmedteb.results.receipts import (
    content_hash,
    grade_lines,
    run_lines,
    similarity_lines,
    write_table,
)
from cmedteb.results.schema import Judgements, Receipt
from cmedteb.runner.record import Effort, Setting, Work, make_result
from cmedteb.runner.timing import Measured, Phases
from cmedteb.tasks import Scored, TaskCard, catalogue
from cmedteb.tasks.base import correlate, summarise
from cmedteb.types import Float64Array, Provenance, Qrels, Run, TaskType
from leaderboard.generated_models import facts_of, write_card, write_latency

OVERLAID = ("CmedqaRetrieval", "MedicalRetrieval")
DOCUMENTS = 20_000


@dataclass(frozen=True)
class Sizes:
    """How large the folder becomes.

    Attributes:
        models: how many.
        scale: share of a set's queries; at least 12 are kept.
        depth: documents a query returns.
        intervals: write each result's own interval, as a run does (10,000 samples each).
    """

    models: int = 8
    scale: float = 0.03
    depth: int = 20
    intervals: bool = True


@dataclass(frozen=True)
class TaskData:
    """One made-up task: judged documents, unjudged relevant ones, and how hard each query is."""

    card: TaskCard
    query_ids: list[str]
    doc_ids: list[str]
    relevant: list[int]
    missed: list[int]
    difficulty: Float64Array
    gold: Float64Array

    @property
    def table(self) -> dict[str, dict[str, int]]:
        """The original judgements."""
        return {
            query: {self.doc_ids[DOCUMENTS + 8 * row + nth]: 1 for nth in range(self.relevant[row])}
            for row, query in enumerate(self.query_ids)
        }

    @property
    def lines(self) -> list[str]:
        """The judgements as they are stored."""
        if self.card.type is TaskType.STS:
            pairs = zip(self.query_ids, self.gold.tolist(), strict=True)
            return [f"{pair}\tgold:{gold!r}" for pair, gold in pairs]
        return list(grade_lines(self.table))

    @property
    def judgements(self) -> Judgements:
        """As a result names them."""
        return Judgements(version="original", sha256=content_hash(self.lines))

    @property
    def provenance(self) -> Provenance:
        """The known data's, though this is other data; else a revision and a hash of the name."""
        if (agreed := known_data().get(self.card.name)) is not None:
            return Provenance(agreed.revision, agreed.content_hash)
        digest = hashlib.sha256(self.card.name.encode()).hexdigest()
        return Provenance(self.card.source.revision or digest[:40], digest)


def write_results(
    root: Path, sizes: Sizes = Sizes(), *, seed: int = 0, overlays: Path | None = None
) -> ResultStore:
    """Write everything; the same arguments write the same scores and receipts.

    Args:
        root: the results folder; made.
        sizes: how large.
        seed: of all that is drawn.
        overlays: where to write overlays of two tasks, if anywhere.
    """
    store = ResultStore(root)
    tasks = list(make_tasks(sizes, seed))
    for data in tasks:
        write_table(store.judgement_file(data.card.name, data.judgements.sha256), data.lines)
        if overlays is not None and data.card.name in OVERLAID:
            write_overlay(overlays, data)
    for number in range(sizes.models):
        write_model(store, tasks, number, sizes, seed=seed)
    return store


def write_model(
    store: ResultStore, tasks: list[TaskData], number: int, sizes: Sizes, *, seed: int = 0
) -> None:
    """Write all results of one model; every ninth lacks one task."""
    rng = np.random.default_rng([seed, 7, number])
    facts = facts_of(number, rng)
    skill = 0.35 + 0.9 * number / max(1, sizes.models - 1) + rng.normal(0, 0.1)
    missing = number % len(tasks) if number % 9 == 8 else -1
    for place, data in enumerate(tasks):
        if place != missing:
            taste = skill + rng.normal(0, 0.12)
            draws = np.random.default_rng([seed, number, zlib.crc32(data.card.name.encode())])
            _write_result(store, data, facts, taste, sizes=sizes, rng=draws)
    folder = store.folder(facts.name, facts.revision)
    write_card(folder, number, facts)
    write_latency(store, number, facts, rng)


def make_tasks(sizes: Sizes, seed: int) -> Iterator[TaskData]:
    """The tasks of the shipped benchmarks, with made-up contents."""
    known = catalogue()
    for benchmark in sorted(known.benchmarks):
        for name in known.benchmarks[benchmark].tasks:
            yield _make_task(known.cards[name], sizes, np.random.default_rng([seed, len(name)]))


def write_overlay(folder: Path, data: TaskData) -> None:
    """Judge what was missed, as a panel would."""
    lines = ["op\tquery-id\tcorpus-id\tgrade"]
    for row, query in enumerate(data.query_ids):
        first = DOCUMENTS + 8 * row + 4
        missed = data.doc_ids[first : first + data.missed[row]]
        lines.extend(f"+\t{query}\t{doc}\t1" for doc in missed)
    home = folder / data.card.name
    home.mkdir(parents=True)
    write_gzip(home / "v1.tsv.gz", lines)
    header = {
        "task": data.card.name,
        "version": "v1",
        "parent": data.judgements.sha256,
        "statistics": {"fleiss_kappa": 0.73, "fleiss_kappa_low": 0.71, "fleiss_kappa_high": 0.75},
    }
    (home / "v1.json").write_text(json.dumps(header), encoding="utf-8")


def _make_task(card: TaskCard, sizes: Sizes, rng: np.random.Generator) -> TaskData:
    published = card.sizes.queries or card.sizes.pairs or 100
    count = max(12, min(published, round(published * sizes.scale)))
    names = [f"d{row:06d}" for row in range(DOCUMENTS + 8 * count)]
    prefix = "p" if card.type is TaskType.STS else "q"
    return TaskData(
        card=card,
        query_ids=[f"{prefix}{row:05d}" for row in range(count)],
        doc_ids=names,
        relevant=(1 + rng.binomial(2, 0.25, size=count)).tolist(),
        missed=rng.binomial(3, 0.4, size=count).tolist(),
        difficulty=rng.normal(0.0, 1.2, size=count),
        gold=rng.integers(0, 6, size=count).astype(np.float64),
    )


def _write_result(
    store: ResultStore,
    data: TaskData,
    facts: ModelFacts,
    skill: float,
    *,
    sizes: Sizes,
    rng: np.random.Generator,
) -> None:
    card = data.card
    if card.type is TaskType.STS:
        lines, scored = _pairs(data, skill, rng, facts)
        depth = None
    else:
        depth = sizes.depth if card.type is TaskType.RETRIEVAL else None
        run = _run(data, skill, max(10, sizes.depth), rng)
        ids = {"query_ids": data.query_ids, "doc_ids": data.doc_ids}
        lines = list(run_lines(run, **ids, depth=depth))
        by_query = score_run(run, _qrels(data), **ids, depth=depth)
        scored = (
            summarise(by_query, task=card.name, main_score=card.main_score)
            if (sizes.intervals)
            else _without_interval(by_query.mean(), card, len(data.query_ids))
        )
    receipt = store.receipt(facts.name, facts.revision, card.name)
    sha256 = write_table(receipt, lines)
    setting = Setting(
        card=card,
        facts=facts,
        provenance=data.provenance,
        judgements=data.judgements,
        limit=None,
        depth=max(10, sizes.depth),
        batch_tokens=4096,
    )
    result = make_result(
        setting,
        scored,
        effort=Effort(Phases([Measured("encode", 0.0, 2.0)]), 1000, Work(100, 0, 3072.0)),
        receipt=Receipt(path=f"receipts/{card.name}.tsv.gz", sha256=sha256, depth=depth),
    )
    day = 1 + zlib.crc32(facts.name.encode()) % 28
    dated = result.model_copy(update={"date": f"2026-10-{day:02d}T08:00:00+00:00"})
    store.write(store.path(facts.name, facts.revision, card.name), dated)


def _run(data: TaskData, skill: float, depth: int, rng: np.random.Generator) -> Run:
    """Relevant documents at drawn ranks among distractors; scores fall strictly."""
    count = len(data.query_ids)
    start = rng.integers(0, DOCUMENTS, size=(count, 1))
    distractors = (start + 7 * np.arange(depth)) % DOCUMENTS
    special = DOCUMENTS + 8 * np.arange(count)[:, None] + np.arange(8)
    exists = np.zeros((count, 8), dtype=bool)
    exists[:, :4] = np.arange(4) < np.asarray(data.relevant)[:, None]
    exists[:, 4:] = np.arange(4) < np.asarray(data.missed)[:, None]
    drawn = np.exp(2.2 + data.difficulty[:, None] - 2.2 * skill + rng.normal(0, 1, (count, 8)))
    keys = np.hstack([0.5 + np.arange(depth) + np.zeros((count, 1)), np.where(exists, drawn, 1e9)])
    order = np.argsort(keys, axis=1, kind="stable")[:, :depth]
    docs = np.take_along_axis(np.hstack([distractors, special]), order, axis=1)
    falls = rng.uniform(1e-4, 4e-3, size=(count, depth)).cumsum(axis=1)
    return Run(
        offsets=np.arange(0, count * depth + 1, depth, dtype=np.int64),
        docs=docs.ravel().astype(np.int32),
        scores=(0.95 - falls).ravel().astype(np.float32),
    )


def _qrels(data: TaskData) -> Qrels:
    lengths = np.asarray(data.relevant)
    docs = [DOCUMENTS + 8 * row + nth for row, count in enumerate(lengths) for nth in range(count)]
    return Qrels(
        offsets=np.cumsum([0, *lengths]).astype(np.int64),
        docs=np.asarray(docs, dtype=np.int32),
        grades=np.ones(len(docs), dtype=np.int32),
        absent=(),
    )


def _pairs(
    data: TaskData, skill: float, rng: np.random.Generator, facts: ModelFacts
) -> tuple[list[str], Scored]:
    noise = rng.normal(0, 2.2 - skill, len(data.gold)) + data.difficulty
    values = np.tanh(0.1 * (data.gold - 2.5 + noise))
    names = ["similarity"] if facts.similarity is None else ["cosine", "similarity"]
    columns: Mapping[str, Float64Array] = dict.fromkeys(names, values)
    card = data.card
    scored = correlate(columns, data.gold, task=card.name, main_score=card.main_score)
    return list(similarity_lines(columns, pair_ids=data.query_ids)), scored


def _without_interval(scores: dict[str, float], card: TaskCard, units: int) -> Scored:
    nothing: Any = Interval(float("nan"), float("nan"), 0.95)
    return Scored(scores, scores[card.main_score], nothing, units)
