"""Boards of any size from a seed, without receipts: what the page's tests show.

Numbers only have to be plausible and to agree with one another: ranks follow scores, groups are
runs of scores within one margin, intervals hold their scores, comparisons are differences of cells.
The way from receipts to a board has its own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cmedteb.leaderboard.board import (
    BenchmarkEntry,
    Board,
    Cell,
    Comparisons,
    Difference,
    Environment,
    HardQuery,
    JudgementsEntry,
    Latency,
    LicenceEntry,
    ModelEntry,
    Move,
    PromptUse,
    PublishedRow,
    PublishedTable,
    Relabelled,
    Standing,
    TaskEntry,
    Titled,
)
from cmedteb.tasks import catalogue

SIZES = (24e6, 102e6, 326e6, 568e6, 1.5e9, 7.1e9)
DEVICE = "NVIDIA A100-SXM4-80GB"
MARGIN = 0.012
RELABELLED = ("CmedqaRetrieval", "MedicalRetrieval", "CMedQAv2-reranking")


def make_board(models: int = 100, *, seed: int = 0) -> Board:
    """A board over the shipped benchmarks (18 tasks), relabelled where RELABELLED says so."""
    rng = np.random.default_rng(seed)
    known = catalogue()
    names = [name for listed in known.benchmarks.values() for name in listed.tasks]
    entries = [_model(number, names, rng) for number in range(models)]
    scores = _scores(entries, names, rng)
    tasks = tuple(_task(name, known, rng) for name in names)
    benchmarks = tuple(
        BenchmarkEntry(
            name=key,
            title=Titled(zh=benchmark.title.zh, en=benchmark.title.en),
            tasks=benchmark.tasks,
            average="mean",
            source=benchmark.source,
        )
        for key, benchmark in known.benchmarks.items()
    )
    return Board(
        cmedteb_version="0.1.0",
        generated_from="2026-10-28",
        judgements="latest",
        seed=0,
        resamples=10_000,
        level=0.95,
        benchmarks=benchmarks,
        tasks=tasks,
        models=tuple(sorted(entries, key=lambda entry: entry.slug)),
        cells=tuple(cell for task in tasks for cell in _cells(task, scores)),
        standings=tuple(row for entry in benchmarks for row in _standings(entry, scores)),
        relabelled=tuple(_moves(name, scores, rng) for name in RELABELLED),
        published=(_published(benchmarks[0]),),
        left_out=(),
    )


def make_comparisons(board: Board) -> Iterator[Comparisons]:
    """Differences of cells, a margin wide, for every pair."""
    found = {(cell.model, cell.task): cell.score for cell in board.cells}
    means = {(row.model, row.benchmark): row.score for row in board.standings}
    columns = [task.name for task in board.tasks] + [entry.name for entry in board.benchmarks]
    slugs = [entry.slug for entry in board.models]
    for place, slug in enumerate(slugs):
        against = {}
        for other in slugs[place + 1 :]:
            values = found | means
            pairs = [(values.get((slug, c)), values.get((other, c))) for c in columns]
            against[other] = tuple(
                None if a is None or b is None else _difference(a - b) for a, b in pairs
            )
        yield Comparisons(model=slug, columns=tuple(columns), against=against)


def _difference(value: float) -> Difference:
    p = float(np.clip(np.exp(-abs(value) / MARGIN * 3), 1e-4, 1))
    return Difference(
        difference=round(value, 5),
        low=round(value - MARGIN, 5),
        high=round(value + MARGIN, 5),
        p=round(p, 4),
        holm=round(min(1.0, 4 * p), 4),
        wins=int(300 + 1000 * max(value, 0)),
        ties=200,
        losses=int(300 + 1000 * max(-value, 0)),
    )


def _model(number: int, tasks: list[str], rng: np.random.Generator) -> ModelEntry:
    size: int | None = int(SIZES[number % len(SIZES)] * rng.uniform(0.95, 1.05))
    document = size
    family, api = "sentence-transformer", number % 10 == 9
    name, revision = f"lab-{number % 7}/embed-{number:03d}", f"{number:040x}"
    vectors = True
    if number == 0:
        name, family, size, document, vectors = "cmedteb/bm25", "bm25", 0, 0, False
        revision = "1"
    elif api:
        family, size, document, revision = "api", None, None, "2026-05-01"
    elif number % 7 == 3:
        family, size, document = "pair", int(3.05e8), int(rng.choice([4e9, 8e9]))
    p50 = 1.5 * (((size or 9e8) + 5e6) / 1e8) ** 0.7 * float(rng.uniform(0.7, 1.4))
    seen = [None if number % 4 == 3 else bool(rng.random() < 0.1 * (number % 4)) for _ in tasks]
    facts: dict[str, Any] = {
        "slug": f"{name.replace('/', '__')}-{revision[-8:]}",
        "name": name,
        "revision": revision,
        "title": name.split("/")[1],
        "family": family,
        "query_parameters": size,
        "document_parameters": document,
        "asymmetric": family == "pair",
        "api": api,
        "open_weights": not api if number % 11 else None,
        "licence": ("MIT", "Apache-2.0", "CC-BY-NC-SA-4.0")[number % 3],
        "similarity": "cosine" if vectors else None,
        "dimension": (512, 768, 1024)[number % 3] if vectors else None,
        "pooling": "cls" if vectors else None,
        "max_length": 512 if vectors else None,
        "settings": {} if vectors else {"k1": 0.9, "b": 0.4},
        "training_sets": None if number % 4 == 3 else ("cMedQA2",) * (number % 2),
        "trained_on": dict(zip(tasks, seen, strict=True)),
        "bytes_per_document": 3072.0 if vectors else None,
        "storage": "float32" if vectors else None,
        "prompts": (PromptUse(prompts={"query": "Find: "}, tasks=tuple(tasks)),),
        "environments": (
            Environment(
                device=DEVICE, dtype="float16", libraries={"torch": "2.9.0"}, tasks=tuple(tasks)
            ),
        ),
        "latency": (_latency(p50, vectors),) if number % 3 != 2 else (),
        "date": "2026-10-28",
    }
    return ModelEntry(**facts)


def _latency(p50: float, vectors: bool) -> Latency:
    return Latency(
        device=DEVICE,
        cpu="a processor",
        dtype="float16",
        task="CmedqaRetrieval",
        quick=False,
        measured="encode" if vectors else "search",
        p50=round(p50, 3),
        p95=round(1.4 * p50, 3),
        p99=round(1.9 * p50, 3),
        queries_per_second=round(4000 / p50, 1),
        sustained=round(700 / p50, 1),
        peak_bytes=2_000_000_000,
    )


def _scores(
    entries: list[ModelEntry], names: list[str], rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Task -> slug -> score; a model that lacks a task is every ninth."""
    ease = rng.normal(0.6, 0.5, len(names))
    table: dict[str, dict[str, float]] = {name: {} for name in names}
    for number, entry in enumerate(entries):
        capacity = entry.document_parameters or 4e8
        skill = 0.28 * np.log10(max(capacity, 1e6) / 1e8) + rng.normal(0, 0.18)
        for place, name in enumerate(names):
            if number % 9 == 8 and place == number % len(names):
                continue
            logit = ease[place] + skill + rng.normal(0, 0.08)
            table[name][entry.slug] = round(float(1 / (1 + np.exp(-logit))), 5)
    return table


def _places(scores: dict[str, float]) -> list[dict[str, Any]]:
    """Ranks, rank intervals, groups and intervals, best first."""
    order = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    values = np.asarray([value for _, value in order])
    ends = np.searchsorted(-values, -(values - MARGIN), side="right") - 1
    groups: list[tuple[int, int]] = []
    for start, end in enumerate(ends.tolist()):
        if not groups or end > groups[-1][1]:
            groups.append((start, end))
    places = []
    for row, (slug, value) in enumerate(order):
        inside = [n for n, (start, end) in enumerate(groups) if start <= row <= end]
        places.append(
            {
                "model": slug,
                "score": value,
                "low": round(max(0.0, value - 0.9 * MARGIN), 5),
                "high": round(min(1.0, value + MARGIN), 5),
                "rank": int((values > value).sum()) + 1,
                "rank_low": int((values > value + MARGIN).sum()) + 1,
                "rank_high": int((values >= value - MARGIN).sum()),
                "group_low": inside[0],
                "group_high": inside[-1],
            }
        )
    return places


def _cells(task: TaskEntry, scores: dict[str, dict[str, float]]) -> Iterator[Cell]:
    for place in _places(scores[task.name]):
        values = {task.main_score_name: place["score"], "recall_at_100": 0.9}
        yield Cell(task=task.name, scores=values, search_recall=None, **place)


def _standings(entry: BenchmarkEntry, scores: dict[str, dict[str, float]]) -> Iterator[Standing]:
    complete = set.intersection(*(set(scores[name]) for name in entry.tasks))
    means = {
        slug: round(float(np.mean([scores[name][slug] for name in entry.tasks])), 5)
        for slug in complete
    }
    for place in _places(means):
        yield Standing(
            benchmark=entry.name,
            borda=float(len(means) - place["rank"]),
            borda_rank=place["rank"],
            **place,
        )


def _moves(name: str, scores: dict[str, dict[str, float]], rng: np.random.Generator) -> Relabelled:
    now = scores[name]
    before = {slug: round(value - 0.08 + rng.normal(0, 0.01), 5) for slug, value in now.items()}

    def rank(table: dict[str, float], slug: str) -> int:
        return 1 + sum(value > table[slug] for value in table.values())

    moves = [
        Move(
            model=slug,
            original=before[slug],
            relabelled=value,
            rank_original=rank(before, slug),
            rank_relabelled=rank(now, slug),
        )
        for slug, value in now.items()
    ]
    moves.sort(key=lambda move: (move.rank_relabelled, move.model))
    return Relabelled(task=name, version="v1", moves=tuple(moves))


def _task(name: str, known: Any, rng: np.random.Generator) -> TaskEntry:
    card = known.cards[name]
    versions = ["original"] + ["v1"] * (name in RELABELLED)
    header = {"statistics": {"fleiss_kappa": 0.731, "fleiss_kappa_low": 0.71}, "panel": "paper"}
    return TaskEntry(
        name=name,
        type=str(card.type),  # type: ignore[arg-type]
        title=Titled(zh=card.title.zh, en=card.title.en),
        benchmarks=tuple(key for key, entry in known.benchmarks.items() if name in entry.tasks),
        main_score_name=card.main_score,
        units=card.sizes.queries or card.sizes.pairs or 734,
        documents=card.sizes.documents,
        licence=LicenceEntry(
            name=card.licence.name, url=card.licence.url, redistribute=card.licence.redistribute
        ),
        revision=card.source.revision,
        content_hash="0" * 64,
        judgements=tuple(
            JudgementsEntry(version=v, sha256="1" * 64, header={} if v == "original" else header)
            for v in versions
        ),
        shown=versions[-1],
        derived_from=tuple(card.contamination.derived_from),
        hardest=tuple(
            HardQuery(id=f"q{n:05d}", mean=round(0.01 * n, 4), best=round(0.02 * n, 4))
            for n in range(10)
        ),
        citation=card.citation,
        note=card.note,
    )


def _published(entry: BenchmarkEntry) -> PublishedTable:
    rows = [
        PublishedRow(
            model=f"reported-{n}",
            parameters="305M / 8.19B",
            scores=dict.fromkeys(entry.tasks, 0.7 + n / 100),
            average=0.7 + n / 100,
            recomputed=0.7 + n / 100,
            note="",
        )
        for n in range(4)
    ]
    text = "Fine-tuned baselines, as the paper says."
    return PublishedTable(
        name="mar-t3",
        title=Titled(zh="Main results", en="Main results"),
        source="OpenReview JsNmDdKJmx",
        url="https://openreview.net/forum?id=JsNmDdKJmx",
        table="Table 3",
        benchmark=entry.name,
        columns=entry.tasks,
        fine_tuned=True,
        note=Titled(zh=text, en=text),
        rows=tuple(rows),
    )
