"""Plans an annotation: data, systems and choices become a pool, a config and an empty journal.

Nothing is asked of any judge here. The same choices on the same data make the same pairs, so a plan
that is made twice is one plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cmedteb import __version__
from cmedteb.annotations.canaries import make_canaries
from cmedteb.annotations.config import AnnotationConfig, Judgements
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.panel import PANEL, find_panel
from cmedteb.annotations.pool import build_pool, choose_queries, pair_texts
from cmedteb.annotations.retrieve import DEFAULT_MODELS, retrieve
from cmedteb.annotations.rubric import RUBRIC, find_rubric
from cmedteb.annotations.systems import Returned, read_receipts, read_trec
from cmedteb.annotations.texts import write_texts
from cmedteb.data.judgements import as_table
from cmedteb.errors import UsageError
from cmedteb.results.receipts import content_hash, grade_lines
from cmedteb.types import PairData, RankingData

if TYPE_CHECKING:
    from cmedteb.runner import Observer, RunOptions
    from cmedteb.tasks import Task


@dataclass(frozen=True)
class Sources:
    """Where the pool comes from.

    Attributes:
        models: evaluated now, as `run -m` takes them, or chosen of `results`.
        results: a folder of stored receipts; None evaluates the models.
        runs: TREC runs, `PATH` or `NAME=PATH`.
        query_sample: how many queries; None is all.
        excluded_queries: ids to leave out.
    """

    models: Sequence[str] = ()
    results: Path | None = None
    runs: Sequence[str] = ()
    query_sample: int | None = None
    excluded_queries: Sequence[str] = ()


@dataclass(frozen=True)
class Choices:
    """What else is chosen.

    Attributes:
        panel: name or path.
        rubric: name or path.
        depth: of the pool.
        cut_chars: of a document; None is all.
        seed: of all samples.
        more: other fields of `AnnotationConfig`.
    """

    panel: str = PANEL
    rubric: str = RUBRIC
    depth: int = 50
    cut_chars: int | None = 2000
    seed: int = 42
    more: Mapping[str, Any] = field(default_factory=dict)


def plan(
    folder: Path,
    task: Task,
    options: RunOptions,
    sources: Sources,
    *,
    choices: Choices,
    observer: Observer | None = None,
) -> Journal:
    """Plan an annotation in a folder; returns its journal, open.

    Args:
        folder: `journal.sqlite` and `texts.jsonl.gz` are written there.
        task: a retrieval or reranking task.
        options: how models are run, and which judgements are the start.
        sources: where the pool comes from.
        choices: what else is chosen.
        observer: told of models that are run.

    Raises:
        UsageError: an STS task, choices that contradict each other, or another annotation there.
        CmedtebError: as loading data, evaluating models and reading runs.
    """
    panel, rubric = find_panel(choices.panel), find_rubric(choices.rubric)  # before hours of work
    data = task.load(options.access, limit=options.limit)
    if isinstance(data, PairData):
        raise UsageError(
            f"{task.card.name} is an STS task, which has no pool. `cmedteb annotate sts` builds "
            "and checks synonym pairs."
        )
    data = _judged(data, task, options)
    returned = _returned(task, data, options, sources, depth=choices.depth, observer=observer)
    rows = choose_queries(
        data, sample=sources.query_sample, exclude=sources.excluded_queries, seed=choices.seed
    )
    pairs = build_pool(
        data, returned, depth=choices.depth, cut_chars=choices.cut_chars, queries=rows
    )
    ids = {"query_ids": data.queries.ids.to_pylist(), "doc_ids": data.corpus.ids.to_pylist()}
    lines = grade_lines(as_table(data.qrels, **ids))
    config = _config(
        **choices.more,
        task=task.card.name,
        task_ref=str(task.folder or task.card.name),
        task_type=task.card.type,
        dataset_revision=data.provenance.revision,
        content_hash=data.provenance.content_hash,
        split=task.card.split,
        judgements=Judgements(version=options.judgements, sha256=content_hash(lines)),
        systems=tuple(one.system for one in returned),
        depth=choices.depth,
        query_sample=sources.query_sample,
        excluded_queries=tuple(sorted(sources.excluded_queries)),
        cut_chars=choices.cut_chars,
        rubric=rubric.used,
        panel=panel,
        seed=choices.seed,
        cmedteb_version=__version__,
    )
    texts = pair_texts(data, pairs)
    canaries, written = make_canaries(config, pairs, texts)
    journal = Journal.create(folder, config, [*pairs, *canaries])
    write_texts(folder, [*texts.values(), *written])
    return journal


def _judged(data: RankingData, task: Task, options: RunOptions) -> RankingData:
    """The data with the judgements that are the start."""
    from cmedteb.runner.evaluate import with_overlay

    overlay = options.overlays.get(task.card.name)
    return data if overlay is None else with_overlay(data, overlay, whole=options.limit is None)


def _returned(
    task: Task,
    data: RankingData,
    options: RunOptions,
    sources: Sources,
    *,
    depth: int,
    observer: Observer | None,
) -> tuple[Returned, ...]:
    """What the systems returned: receipts, models run now, TREC runs."""
    found: tuple[Returned, ...] = ()
    if sources.results is not None:
        found = read_receipts(
            data, sources.results, task=task.card.name, models=sources.models, depth=depth
        )
    elif sources.models or not sources.runs:
        found = retrieve(
            task,
            data,
            options,
            models=sources.models or DEFAULT_MODELS,
            depth=depth,
            observer=observer,
        )
    return (*found, *read_trec(data, sources.runs))


def _config(**facts: Any) -> AnnotationConfig:  # noqa: ANN401  its fields
    try:
        return AnnotationConfig(**facts)
    except ValidationError as error:
        told = "; ".join(
            str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors()
        )
        raise UsageError(f"these choices do not go together: {told}") from error
