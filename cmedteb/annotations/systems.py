"""What systems returned, as the pool needs it: rows of the corpus in order, query by query.

Three sources: receipts of a results folder, TREC runs, and models that are named on the spot, which
are evaluated into a results folder first and then read as receipts. Whatever the source, the order
is trec_eval's (score as float32, then document id, both descending), so equal runs pool equally.

The room refuses what would pool something else than it says: ids that the data set does not have,
receipts of other data, lists that are shorter than the pool is deep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cmedteb.annotations.config import System
from cmedteb.errors import DataError, UsageError
from cmedteb.results import ResultStore
from cmedteb.results.select import Stored, select
from cmedteb.types import Int32Array, Int64Array, RankingData

if TYPE_CHECKING:
    from cmedteb.results import TaskResult

# A system that rests on no model that a judge could share.
WITHOUT_BASE = frozenset({"bm25", "hashing", "fusion"})


@dataclass(frozen=True, slots=True)
class Returned:
    """What one system returned: entries `offsets[q]:offsets[q + 1]` belong to query row q.

    Attributes:
        system: which one.
        offsets: shape (queries + 1,).
        docs: rows of the corpus, best first.
    """

    system: System
    offsets: Int64Array
    docs: Int32Array


def read_receipts(
    data: RankingData,
    results: Path,
    *,
    task: str,
    models: Sequence[str] = (),
    depth: int,
    kind: Literal["receipt", "model"] = "receipt",
) -> tuple[Returned, ...]:
    """What the models of a results folder returned for a task, sorted by name.

    Args:
        data: the task's.
        results: the folder, such as `leaderboard/results`.
        task: its name.
        models: as `rescore -m` takes them; none are all that have results of this task.
        depth: of the pool.
        kind: as it is told of the systems.

    Raises:
        UsageError: no result; a receipt is shorter than the pool is deep, or of some queries only.
        DataError: a receipt is damaged, or was made from other data.
    """
    store = ResultStore(results)
    stored = select(store, models=models, tasks=[task])
    if not stored:
        raise UsageError(
            f"{results} holds no results of {task}. `cmedteb run -t {task} -m MODEL` makes some; "
            "or name models (-m bm25) or TREC runs (--runs FILE)."
        )
    names = _names(stored)
    made = []
    for name, one in sorted(zip(names, stored, strict=True), key=lambda pair: pair[0]):
        _check(data, one, depth=depth)
        table = store.receipt_table(one.path, one.result)
        mark = one.result.fingerprint if kind == "model" else one.result.receipts.sha256
        system = System(name=name, kind=kind, sha256=mark, base=_base(one.result))
        made.append(from_table(data, table, system, where=str(one.path)))
    return tuple(made)


def read_trec(data: RankingData, runs: Sequence[str]) -> tuple[Returned, ...]:
    """What TREC runs say, in the order given.

    Args:
        data: the task's.
        runs: paths, or `NAME=PATH`; without a name a system is called as its file is.

    Raises:
        UsageError: two runs have one name.
        DataError: a file is malformed, or names an id that the data set does not have.
    """
    from cmedteb.metrics import read_run

    made: list[Returned] = []
    for given in runs:
        name, equals, place = given.partition("=")
        path = Path(place if equals else given)
        if not equals:
            name = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        if any(name == one.system.name for one in made):
            raise UsageError(
                f"two runs are called {name!r}: give one a name, as in --runs other={path}"
            )
        table = read_run(path)
        mark = hashlib.sha256(path.read_bytes()).hexdigest()
        system = System(name=name, kind="trec", sha256=mark)
        made.append(from_table(data, table, system, where=str(path)))
    return tuple(made)


def from_table(
    data: RankingData,
    table: Mapping[str, Mapping[str, float]],
    system: System,
    *,
    where: str,
) -> Returned:
    """A run by ids as rows of the data, in trec_eval's order.

    Raises:
        DataError: it names a query or a document that the data set does not have.
    """
    query_ids = data.queries.ids.to_pylist()
    rows = {name: row for row, name in enumerate(data.corpus.ids.to_pylist())}
    unknown = sorted(set(table) - set(query_ids))
    if unknown:
        raise DataError(
            f"{where} has {len(unknown)} queries that the data set does not have, or has no "
            f"judgements of, such as {unknown[0]!r}. Use the run of this data set and split."
        )
    offsets, docs = [0], []
    for query in query_ids:
        for doc in _in_order(table.get(query, {})):
            row = rows.get(doc)
            if row is None:
                raise DataError(
                    f"{where}: query {query!r} returned {doc!r}, which is not in the corpus. Use "
                    "the run of this data set."
                )
            docs.append(row)
        offsets.append(len(docs))
    return Returned(system, np.asarray(offsets, dtype=np.int64), np.asarray(docs, dtype=np.int32))


def _in_order(results: Mapping[str, float]) -> list[str]:
    ranked = sorted(
        ((float(np.float32(score)), doc) for doc, score in results.items()), reverse=True
    )
    return [doc for _, doc in ranked]


def _check(data: RankingData, stored: Stored, *, depth: int) -> None:
    result = stored.result
    if result.partial:
        raise UsageError(
            f"{stored.path} holds the first {result.limit} queries only (--limit): run "
            f"{result.model.name} on all of them, or leave it out (-m)."
        )
    if result.dataset_content_hash != data.provenance.content_hash:
        raise DataError(
            f"{stored.path} was made from other data (sha256 {result.dataset_content_hash[:12]}, "
            f"loaded {data.provenance.content_hash[:12]}): run {result.model.name} again."
        )
    kept = result.receipts.depth
    if kept is not None and kept < depth:
        raise UsageError(
            f"the receipt of {stored.path} holds {kept} documents a query, the pool is to be "
            f"{depth} deep: take --pool-depth {kept} at most, or a TREC run that is deeper."
        )


def _names(stored: Sequence[Stored]) -> list[str]:
    """A system is called as its model is, with the revision where one model has two."""
    models = [one.result.model for one in stored]
    plain = [model.name for model in models]
    return [
        model.name if plain.count(model.name) == 1 else f"{model.name}@{model.revision[:12]}"
        for model in models
    ]


def _base(result: TaskResult) -> str | None:
    return None if result.model.family in WITHOUT_BASE else result.model.name
