"""Whose receipt is it: the same as another model's, or better than anything that was measured?

Equal bytes under another model's name are a fault: nobody returns another model's scores to nine
digits by chance. What is merely unlikely is a warning, since a first good model looks like that:
the same ten documents in the same order for every query, a score far above the best, next to
nothing in common with any other model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.errors import CmedtebError
from cmedteb.leaderboard.bounded import read_bytes, unpack
from cmedteb.leaderboard.check.faults import Faults, plain
from cmedteb.leaderboard.check.receipts import TOLERANCE, Checked
from cmedteb.leaderboard.receipt import Columns, parse
from cmedteb.leaderboard.score import MAX_PACKED
from cmedteb.metrics import CUTOFFS
from cmedteb.models.card import Family
from cmedteb.results import TaskResult
from cmedteb.types import TaskType

JUMP = 0.15
TOP = 10
AT_TOP = tuple(f"_at_{k}" for k in CUTOFFS if k <= TOP)
OVERLAP = 0.02
REFERENCES = 5
MASK = (1 << 64) - 1

UInt64Array = NDArray[np.uint64]


@dataclass(frozen=True)
class Other:
    """A result that is there already, of any model."""

    path: Path
    folder: Path
    result: TaskResult

    @cached_property
    def at_top(self) -> dict[str, float]:
        """See `_at_top`."""
        return _at_top(self.result)

    def summary(self) -> Summary | None:
        """Of its receipt; None where it cannot be read, which is told where it is checked."""
        path = self.folder / "receipts" / f"{self.result.task_name}.tsv.gz"
        return _summary_of(path, self.result.receipts.sha256, is_reranked(self.result))


class Summary(NamedTuple):
    """What is compared of a receipt.

    Attributes:
        order: a hash of the first documents of every query, in order.
        first: a number for each query and document among these, ascending.
        candidates: a hash of which documents each query has, in whatever order; None where they
            were not given to models.
    """

    order: str
    first: UInt64Array
    candidates: str | None


def check_original(checked: Checked, others: list[Other], faults: Faults) -> None:
    """Compare a receipt with those of all other models on the same task and data."""
    mine = checked.result
    rivals = [
        one
        for one in others
        if one.result.task_name == mine.task_name
        and one.result.dataset_content_hash == mine.dataset_content_hash
        and one.result.model.name != mine.model.name
    ]
    for one in rivals:
        if one.result.receipts.sha256 == mine.receipts.sha256:
            faults.add(checked.path, f"its receipt is that of {plain(one.result.model.name)}")
            return
    _check_jump(checked, others, faults)
    if mine.task_type != TaskType.STS and rivals:
        _check_rankings(checked, rivals, faults)


def _check_jump(checked: Checked, others: list[Other], faults: Faults) -> None:
    mine = checked.result
    if mine.main_score > 0.995:
        faults.warn(checked.path, f"a score of {100 * mine.main_score:.2f} is all but perfect")
    same = [one for one in others if one.result.task_name == mine.task_name]
    best = max((one.result.main_score for one in same if one.path != checked.path), default=None)
    if best is not None and mine.main_score > best + JUMP:
        faults.warn(
            checked.path,
            f"{100 * mine.main_score:.2f} is {100 * (mine.main_score - best):.2f} above the best "
            "model so far",
        )


def _check_rankings(checked: Checked, rivals: list[Other], faults: Faults) -> None:
    mine = summary(checked.columns, reranked=is_reranked(checked.result))
    for one in _maybe_alike(checked.result, rivals):
        theirs = one.summary()
        if theirs is not None and theirs.order == mine.order:
            name = plain(one.result.model.name)
            faults.warn(checked.path, f"ranks the first {TOP} of every query as {name} does")
            return
    references = [found for one in _references(rivals) if (found := one.summary()) is not None]
    if any(one.candidates != mine.candidates for one in references):
        faults.add(checked.path, "ranks other candidates than other models were given")
    shares = [_overlap(mine, one) for one in references]
    if shares and max(shares) < OVERLAP:
        faults.warn(
            checked.path,
            f"shares {100 * max(shares):.1f} % of its first {TOP} documents with any other model",
        )


def _maybe_alike(mine: TaskResult, rivals: list[Other]) -> Iterator[Other]:
    """Those whose scores leave it open that they rank the same documents first.

    Equal first documents make equal scores down to TOP under the same judgements, so nearly all
    receipts need not be read.
    """
    at_top = _at_top(mine)
    for one in rivals:
        shared = at_top.keys() & one.at_top.keys()
        if one.result.judgements.sha256 != mine.judgements.sha256 or all(
            abs(at_top[name] - one.at_top[name]) <= 2 * TOLERANCE for name in shared
        ):
            yield one


def _at_top(result: TaskResult) -> dict[str, float]:
    """Scores that the first TOP documents and judgements decide."""
    ((entry,),) = result.scores.values()
    return {name: score for name, score in entry.items() if name.endswith(AT_TOP)}


def is_reranked(result: TaskResult) -> bool:
    """Whether models were given what to rank."""
    return result.task_type == TaskType.RERANKING


def _references(rivals: list[Other]) -> list[Other]:
    """BM25 where it is there, and the best others: enough to tell what is out of the way."""
    ordered = sorted(
        rivals,
        key=lambda one: (
            one.result.model.family != Family.BM25,
            -one.result.main_score,
            str(one.path),
        ),
    )
    return ordered[:REFERENCES]


@cache
def _summary_of(path: Path, sha256_: str, reranked: bool) -> Summary | None:
    """Read once a process, however many are compared with it; the hash keeps it honest."""
    del sha256_
    try:
        columns = parse(path, unpack(path, read_bytes(path, MAX_PACKED)))
        return summary(columns, reranked=reranked)
    except CmedtebError:
        return None


def summary(columns: Columns, *, reranked: bool) -> Summary:
    """What is compared of a receipt."""
    rows = sorted(_rows(columns, most=None if reranked else TOP))
    first = {hash((one, doc)) & MASK for one, docs in rows for doc in docs[:TOP]}
    return Summary(
        order=_digest((one, docs[:TOP]) for one, docs in rows),
        first=np.sort(np.fromiter(first, dtype=np.uint64, count=len(first))),
        candidates=_digest((one, sorted(docs)) for one, docs in rows) if reranked else None,
    )


def _rows(columns: Columns, *, most: int | None) -> Iterator[tuple[str, list[str]]]:
    """Ids with their documents, at most so many."""
    spans = zip(columns.ids, columns.offsets[:-1], columns.offsets[1:], strict=True)
    for one, start, stop in spans:
        last = stop if most is None else min(stop, start + most)
        yield one, columns.key[start:last].to_pylist()


def _digest(rows: Iterable[tuple[str, list[str]]]) -> str:
    digest = sha256()
    for one, docs in rows:
        digest.update("\t".join([one, *docs]).encode() + b"\n")
    return digest.hexdigest()


def _overlap(mine: Summary, theirs: Summary) -> float:
    """The share of first documents that both have."""
    both = np.intersect1d(mine.first, theirs.first, assume_unique=True)
    return len(both) / max(1, len(mine.first))
