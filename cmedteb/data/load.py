"""Loads a located data set into columns, checked and with its content hash.

Every layout goes through the same readers. A query without any judgement is dropped and counted;
one whose judgements are all 0 stays. Nothing is downloaded here (see `source`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmedteb.data.candidates import read_rows, read_top_ranked
from cmedteb.data.check import Findings, Oddity
from cmedteb.data.formats import Role, find, require
from cmedteb.data.identity import pairs_hash, ranking_hash
from cmedteb.data.qrels import Judgements, gather, read_judgements, to_offsets, to_qrels
from cmedteb.data.record import recorded_revision
from cmedteb.data.sentences import read_pairs
from cmedteb.data.texts import read_corpus, read_queries, select_rows
from cmedteb.errors import DataError, UsageError
from cmedteb.types import (
    Candidates,
    Corpus,
    Int32Array,
    PairData,
    Provenance,
    Qrels,
    Queries,
    RankingData,
    TaskType,
)

if TYPE_CHECKING:
    from cmedteb.data.source import Located

log = logging.getLogger(__name__)


class _Parts(NamedTuple):
    corpus: Corpus
    queries: Queries
    judgements: Judgements
    candidates: Candidates | None


def load_ranking(
    located: Located,
    *,
    name: str,
    split: str,
    task_type: TaskType,
    lenient: bool = False,
    limit: int | None = None,
) -> RankingData:
    """Load a retrieval or reranking set.

    Args:
        located: the folder, from `locate`.
        name: the set's name, for messages.
        split: the split whose judgements are read.
        task_type: `RERANKING` needs rows or candidate lists; `RETRIEVAL` leaves them unread.
        lenient: count the oddities official sets are known to have, instead of raising.
        limit: only the first queries that have judgements, in file order; the corpus stays whole.

    Raises:
        DataError: a table is missing or malformed, or the judgements fit nothing.
        UsageError: a limit below 1, or a task type that is no ranking.
    """
    _check_limit(limit)
    if task_type is TaskType.STS:
        raise UsageError(f"{name}: an STS set holds pairs; load it with load_pairs.")
    findings = Findings(name, lenient=lenient)
    parts = _read(located, name, split, task_type, findings)
    rows = _judged(parts, findings)
    if limit is not None:
        rows = rows[:limit]
    qrels = to_qrels(parts.judgements, rows, documents=len(parts.corpus))
    queries = Queries(*select_rows(parts.queries.texts, parts.queries.ids, rows))
    candidates = None if parts.candidates is None else _select(parts.candidates, rows)
    _check_candidates(queries, qrels, candidates, findings)
    findings.settle()
    content = ranking_hash(parts.corpus, queries, qrels, candidates)
    provenance = _provenance(located, content, findings)
    return RankingData(parts.corpus, queries, qrels, provenance, candidates)


def load_pairs(
    located: Located, *, name: str, split: str, lenient: bool = False, limit: int | None = None
) -> PairData:
    """Load an STS set.

    Args:
        located: the folder, from `locate`.
        name: the set's name, for messages.
        split: the split that is read, where the files are by split.
        lenient: count empty sentences instead of raising.
        limit: only the first pairs.

    Raises:
        DataError: no pairs, a gold score that is no finite number, or gold without variance.
        UsageError: a limit below 1.
    """
    _check_limit(limit)
    findings = Findings(name, lenient=lenient)
    paths = require(located.folder, Role.PAIRS, split=split, layout=located.layout, name=name)
    pairs = read_pairs(paths, findings, limit=limit)
    return PairData(pairs, _provenance(located, pairs_hash(pairs), findings))


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} leaves nothing to evaluate; give 1 or more.")


def _read(
    located: Located, name: str, split: str, task_type: TaskType, findings: Findings
) -> _Parts:
    folder, layout = located.folder, located.layout
    if task_type is TaskType.RERANKING:
        has_corpus = find(folder, Role.CORPUS, split=split, layout=layout)
        rows = () if has_corpus else find(folder, Role.RERANK, split=split, layout=layout)
        if rows:
            return _Parts(*read_rows(rows, findings))

    def table(role: Role, home: Path = folder) -> tuple[Path, ...]:
        return require(home, role, split=split, layout=layout, name=name)

    paths = [table(role) for role in (Role.CORPUS, Role.QUERIES)]
    paths.append(table(Role.QRELS, located.qrels_folder or folder))
    lists = table(Role.TOP_RANKED) if task_type is TaskType.RERANKING else ()
    corpus, queries = read_corpus(paths[0], findings), read_queries(paths[1], findings)
    judgements = read_judgements(
        paths[2], corpus_ids=corpus.ids, query_ids=queries.ids, findings=findings
    )
    candidates = None
    if lists:
        candidates = read_top_ranked(
            lists, corpus_ids=corpus.ids, query_ids=queries.ids, findings=findings
        )
    return _Parts(corpus, queries, judgements, candidates)


def _judged(parts: _Parts, findings: Findings) -> Int32Array:
    """The rows of the queries with judgements, ascending."""
    total = len(parts.queries)
    judged = np.bincount(parts.judgements.queries, minlength=total) > 0
    positive = parts.judgements.queries[parts.judgements.grades > 0]
    relevant = np.bincount(positive, minlength=total) > 0
    if missing := int(total - judged.sum()):
        findings.note(Oddity.UNJUDGED, "", times=missing)
    if without := int((judged & ~relevant).sum()):
        findings.note(Oddity.NO_POSITIVES, "", times=without)
    rows = np.flatnonzero(judged).astype(np.int32)
    if not len(rows):
        raise DataError(f"{findings.name}: no query has a judgement; the ids of qrels fit nothing.")
    return rows


def _select(candidates: Candidates, rows: Int32Array) -> Candidates:
    starts, ends = candidates.offsets[rows], candidates.offsets[rows + 1]
    return Candidates(to_offsets(ends - starts), candidates.docs[gather(starts, ends)])


def _check_candidates(
    queries: Queries, qrels: Qrels, candidates: Candidates | None, findings: Findings
) -> None:
    """Every query needs candidates, and its relevant documents should be among them."""
    if candidates is None:
        return
    lengths = np.diff(candidates.offsets)
    for row in np.flatnonzero(lengths == 0):
        findings.note(Oddity.EMPTY_CANDIDATES, f"query {queries.ids[int(row)].as_py()!r}")
    width = int(max(qrels.docs.max(initial=0), candidates.docs.max(initial=0))) + 1
    everyone = np.arange(len(qrels), dtype=np.int64)
    listed = np.repeat(everyone, lengths) * width + candidates.docs
    owners = np.repeat(everyone, np.diff(qrels.offsets))
    relevant = qrels.grades > 0
    missing = ~np.isin(owners * width + qrels.docs, listed) & relevant
    for row in owners[missing]:
        findings.note(
            Oddity.POSITIVES_NOT_CANDIDATES, f"one of query {queries.ids[int(row)].as_py()!r}"
        )


def _release_memory() -> None:
    """Give back what Arrow's pool keeps of the readers' buffers."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _provenance(located: Located, content: str, findings: Findings) -> Provenance:
    warnings = findings.counts()
    if warnings:
        counted = ", ".join(f"{count} {kind}" for kind, count in warnings.items())
        log.info("%s: %s", findings.name, counted)
    _release_memory()
    revision = recorded_revision(located.folder, content) or located.revision
    return Provenance(revision, content, warnings)
