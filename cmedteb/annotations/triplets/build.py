"""From a retrieval set to training triplets: diverse queries, mined candidates, a panel's check.

One folder holds all of it: `diversity.json` (which queries are kept), the annotation (journal and
texts), and at the end `triplets.jsonl` and `stats.json`. The same call again goes on where it
stopped. The rows hold texts by nature, so they go where the user says and never into annotations/.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmedteb.annotations.annotate import judge
from cmedteb.annotations.consensus import Consensus, LabelState, label_pairs
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.planning import Choices, Sources, plan
from cmedteb.annotations.private import refuse_shipped
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.review.strata import unjudged
from cmedteb.annotations.texts import read_texts
from cmedteb.annotations.triplets.diversity import Diversity, diverse
from cmedteb.annotations.triplets.rows import Shape, training_rows
from cmedteb.annotations.triplets.vectors import query_vectors
from cmedteb.errors import DataError, UsageError
from cmedteb.models.custom import facts_of
from cmedteb.results.files import read_json, write_atomic, write_json
from cmedteb.types import RankingData

if TYPE_CHECKING:
    from cmedteb.annotations.judging import Progress
    from cmedteb.models import System
    from cmedteb.runner import Observer, RunOptions
    from cmedteb.tasks import Task

DIVERSITY, TRIPLETS, STATS = "diversity.json", "triplets.jsonl", "stats.json"


@dataclass(frozen=True)
class Nearness:
    """How near queries are found.

    Attributes:
        how: when a query is dropped.
        system: the model, bound to the task.
    """

    how: Diversity
    system: System


@dataclass(frozen=True)
class Mining:
    """What is mined, and for which queries.

    Attributes:
        models: that mine; none are those of `annotate plan`.
        nearness: how queries are de-duplicated; None keeps all.
    """

    models: Sequence[str] = ()
    nearness: Nearness | None = None


def plan_triplets(
    folder: Path,
    task: Task,
    options: RunOptions,
    mining: Mining,
    *,
    choices: Choices,
    observer: Observer | None = None,
) -> Journal:
    """Drop what is too alike, mine candidates for the rest, and plan their judging; no call.

    Args:
        folder: where everything is kept.
        task: a retrieval task.
        options: how models are run.
        mining: what is mined.
        choices: panel, rubric, depth and the like.
        observer: told of models that are run.

    Raises:
        UsageError: no retrieval set, or another annotation is there.
    """
    refuse_shipped(folder)
    dropped = _dropped(folder, task, options, mining.nearness)
    sources = Sources(models=mining.models, excluded_queries=dropped)
    return plan(folder, task, options, sources, choices=choices, observer=observer)


def _dropped(
    folder: Path, task: Task, options: RunOptions, nearness: Nearness | None
) -> tuple[str, ...]:
    """Ids of the queries that are left out; kept, so that nothing is encoded twice."""
    if nearness is None:
        return ()
    data = task.load(options.access, limit=options.limit)
    if not isinstance(data, RankingData):
        raise UsageError(f"{task.card.name} has no queries and documents to make triplets of.")
    facts = facts_of(nearness.system)
    made_by = {
        **asdict(nearness.how),
        "model": facts.name,
        "revision": facts.revision,
        "content_hash": data.provenance.content_hash,
    }
    path = folder / DIVERSITY
    if path.is_file():
        kept = read_json(path)
        if kept.get("made_by") != made_by:
            raise UsageError(
                f"{path} was made with other choices or other data. Give another folder with --to."
            )
        return tuple(kept["dropped"])
    chosen = diverse(query_vectors(nearness.system, data.queries.texts), nearness.how)
    ids = data.queries.ids.to_pylist()
    dropped = [name for name, keep in zip(ids, chosen, strict=True) if not keep]
    write_json(path, {"made_by": made_by, "queries": len(ids), "dropped": dropped})
    return tuple(dropped)


def build_triplets(
    folder: Path, shape: Shape, *, budget: float | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Let the panel judge what is planned, and write the triplets; returns the statistics.

    Args:
        folder: that was planned.
        shape: of a row.
        budget: what the judging may cost in all.
        progress: told now and then how far it is.

    Raises:
        UsageError: judging is not finished.
        DataError: no query has both a positive and negatives.
        CmedtebError: why judging stopped; the same call goes on.
    """
    judge(folder, budget=budget, progress=progress)
    texts = read_texts(folder)
    with Journal.open(folder) as journal:
        snapshot = journal.snapshot()
    waiting = unjudged(snapshot)
    if waiting:
        raise UsageError(f"{len(waiting)} pairs are not judged yet: the same command goes on.")
    consensus = label_pairs(snapshot)
    rows = list(training_rows(consensus, texts, shape))
    if not rows:
        raise DataError(
            "no query has both a positive and enough negatives by the panel: mine deeper "
            "(--pool-depth), or ask for fewer (--fewest)."
        )
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    write_atomic(folder / TRIPLETS, content)
    stats = _stats(folder, snapshot, consensus, rows, shape)
    stats["sha256"] = hashlib.sha256(content).hexdigest()
    write_json(folder / STATS, stats)
    return stats


def _stats(
    folder: Path,
    snapshot: Snapshot,
    consensus: Consensus,
    rows: Sequence[dict[str, Any]],
    shape: Shape,
) -> dict[str, Any]:
    config, labels = snapshot.config, consensus.labels
    path = folder / DIVERSITY
    diversity = read_json(path) if path.is_file() else None
    states = Counter(str(label.state) for label in labels)
    negatives = [len(row["neg"]) for row in rows]
    return {
        "task": config.task,
        "dataset_revision": config.dataset_revision,
        "content_hash": config.content_hash,
        "diversity": diversity
        and {
            **diversity["made_by"],
            "queries": diversity["queries"],
            "dropped": len(diversity["dropped"]),
        },
        "systems": [system.model_dump(mode="json") for system in config.systems],
        "depth": config.depth,
        "panel": {"name": config.panel.name, "judges": list(config.panel.labels)},
        "rubric": {"name": config.rubric.name, "sha256": config.rubric.sha256},
        "threshold": consensus.threshold,
        "rule": str(consensus.rule),
        "queries": len({label.pair.query_id for label in labels}),
        "pairs": len(labels),
        "labels": {str(state): states.get(str(state), 0) for state in LabelState},
        "false_negatives_removed": sum(label.is_false_negative for label in labels),
        "rejected_originals": sum(label.is_rejected_original for label in labels),
        "shape": asdict(shape),
        "rows": len(rows),
        "queries_with_rows": len({row["query_id"] for row in rows}),
        "negatives": {"mean": sum(negatives) / len(rows), "fewest": min(negatives)},
        "cost": sum(answer.cost for answer in snapshot.answers),
        "currency": config.panel.currency,
        "journal_sha256": snapshot.sha256,
    }
