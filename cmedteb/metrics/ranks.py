"""Where the relevant documents of a run stand, without ordering anything else.

A run comes as arrays, usually in the right order. Only rows whose scores rise somewhere are
sorted, and ids are looked at only inside a tie that holds a relevant document. Work is done in
blocks of about a million entries, so memory does not grow with the run.

The room refuses (ScoreError) what would have no rank: a score that is not a finite float32, a
document twice in a row, a row that names no document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmedteb.errors import ScoreError
from cmedteb.metrics.cutoffs import Found, Relevant, place_in_run
from cmedteb.types import Float32Array, Int64Array, Qrels, Run

# trec_eval reserves memory in proportion to the largest grade, and overflows at 2**31 - 1.
MAX_GRADE = 10_000
_BLOCK_ENTRIES = 1 << 20


class Names(NamedTuple):
    """The ids behind the rows; those of documents that are only judged come last."""

    queries: Sequence[str]
    docs: Sequence[str]
    absent: Sequence[str]

    def doc(self, row: int) -> str:
        """The id of a document row."""
        known = len(self.docs)
        return self.docs[row] if row < known else self.absent[row - known]


class Judged(NamedTuple):
    """The judgements of the judged queries.

    Attributes:
        rows: the query rows that have a judgement, ascending; shape (judged,).
        keys: `place in rows * width + document row` of the relevant judgements, ascending.
        grades: theirs; above 0.
        width: document rows, absent ones included.
    """

    rows: Int64Array
    keys: Int64Array
    grades: Int64Array
    width: int

    def relevant(self) -> Relevant:
        """As the measures need them."""
        return Relevant(self.keys // self.width, self.grades)


class _Block(NamedTuple):
    """The results of some judged queries, one after another.

    Attributes:
        start: the place in `Judged.rows` of the first of these queries.
        offsets: those of query `start + n` are `offsets[n]:offsets[n + 1]`.
        doc: for each result its document row; shape (results,).
        score: its score.
    """

    start: int
    offsets: Int64Array
    doc: Int64Array
    score: Float32Array

    def rows(self) -> Int64Array:
        """For each result the place of its query, ascending."""
        lengths = np.diff(self.offsets)
        return np.repeat(np.arange(self.start, self.start + len(lengths)), lengths)

    def rows_of(self, at: Int64Array) -> Int64Array:
        """The same for the results at these positions."""
        found = np.searchsorted(self.offsets, at, side="right")
        return np.asarray(self.start - 1 + found, dtype=np.int64)


def judged(qrels: Qrels, names: Names) -> Judged:
    """Check and sort the judgements.

    Raises:
        ScoreError: a document is judged twice for a query, or is not there; a grade is too high.
    """
    lengths = np.diff(qrels.offsets)
    rows = np.flatnonzero(lengths)
    width = max(1, len(names.docs) + len(names.absent))
    place = np.repeat(np.arange(len(rows)), lengths[rows])
    docs = qrels.docs[_entries(qrels.offsets, rows)].astype(np.int64)
    grades = qrels.grades[_entries(qrels.offsets, rows)].astype(np.int64)
    if (bad := _outside(docs, width)) is not None:
        raise _bad_doc(names.queries[rows[place[bad]]], width, what="judgements")
    if len(grades) and grades.max() > MAX_GRADE:
        bad = int(grades.argmax())
        query, doc = names.queries[rows[place[bad]]], names.doc(int(docs[bad]))
        raise bad_grade(query, doc, int(grades[bad]))
    keys = place * width + docs
    order = np.argsort(keys)
    keys, grades = keys[order], grades[order]
    _check_once(keys, rows, width, names, what="judged")
    return Judged(rows, keys[grades > 0], grades[grades > 0], width)


def find_relevant(run: Run, judgements: Judged, names: Names) -> Found:
    """The ranks of all relevant documents that the run returned.

    Raises:
        ScoreError: see the module's docstring; only rows of judged queries are looked at.
    """
    wanted = np.zeros(judgements.width, dtype=bool)
    wanted[judgements.keys % judgements.width] = True
    parts = [
        _find_in_block(_checked(block, judgements, names), judgements, wanted, names)
        for block in _blocks(run, judgements.rows)
    ]
    return Found(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _blocks(run: Run, rows: Int64Array) -> Iterator[_Block]:
    """The results of these query rows, whole rows of about `_BLOCK_ENTRIES` entries at a time."""
    lengths = np.diff(run.offsets)[rows]
    number = np.cumsum(lengths) // _BLOCK_ENTRIES
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(rows)]
    for start, stop in pairwise(cuts):
        entries = _entries(run.offsets, rows[start:stop])
        with np.errstate(over="ignore"):
            score = np.asarray(run.scores[entries], dtype=np.float32)
        offsets = np.concatenate([[0], np.cumsum(lengths[start:stop])])
        yield _Block(start, offsets, run.docs[entries].astype(np.int64), score)


def _entries(offsets: Int64Array, rows: Int64Array) -> slice | Int64Array:
    """The entries of these rows, in order; a slice where they lie side by side."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(offsets[rows[0]]), int(offsets[rows[-1] + 1]))
    lengths = offsets[rows + 1] - offsets[rows]
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) + np.repeat(offsets[rows] - before, lengths))


def _checked(block: _Block, judgements: Judged, names: Names) -> _Block:
    """The same block, in descending order of scores within each row."""
    _check_results(block, judgements, names)
    finite = np.isfinite(block.score)
    if not finite.all():
        bad = int(np.argmin(finite))
        query = names.queries[judgements.rows[block.rows()[bad]]]
        raise bad_score(query, names.doc(int(block.doc[bad])), float(block.score[bad]))
    rises = np.flatnonzero(block.score[1:] > block.score[:-1])
    if (block.rows_of(rises) < block.rows_of(rises + 1)).all():
        return block
    order = np.lexsort((-block.score, block.rows()))
    return block._replace(doc=block.doc[order], score=block.score[order])


def _check_results(block: _Block, judgements: Judged, names: Names) -> None:
    """Every document is there, and none twice for a query."""
    bad = _outside(block.doc, len(names.docs))
    if bad is not None:
        query = names.queries[judgements.rows[block.rows()[bad]]]
        raise _bad_doc(query, len(names.docs), what="results")
    if not _once_each_row(block):
        keys = np.sort(block.rows() * judgements.width + block.doc)
        _check_once(keys, judgements.rows, judgements.width, names, what="returned")


def _once_each_row(block: _Block) -> bool:
    """Whether no row has a document twice; False also where rows differ in length.

    Many short sorts of half as wide numbers take a sixth of the time of one long sort of keys.
    """
    lengths = np.diff(block.offsets)
    if not len(block.doc) or not (lengths == lengths[0]).all():
        return False
    table = block.doc.astype(np.int32).reshape(len(lengths), -1)
    table.sort(axis=1)
    return not (table[:, 1:] == table[:, :-1]).any()


def _find_in_block(
    block: _Block, judgements: Judged, wanted: NDArray[np.bool_], names: Names
) -> Found:
    at = np.flatnonzero(wanted[block.doc])
    row = block.rows_of(at)
    key = row * judgements.width + block.doc[at]
    match = np.minimum(np.searchsorted(judgements.keys, key), len(judgements.keys) - 1)
    same = judgements.keys[match] == key
    at, row, grade = at[same], row[same], judgements.grades[match[same]]

    rank = 1 + at - block.offsets[row - block.start]
    shared = _in_ties(block, at, row)
    if shared.any():
        rank[shared] += _moved_by_ids(block, at[shared], names)
    order = np.lexsort((rank, row))
    return Found(row[order], rank[order], grade[order])


def _in_ties(block: _Block, at: Int64Array, row: Int64Array) -> NDArray[np.bool_]:
    """Whether the result before or after each one, of the same query, has the same score."""
    first, last = block.offsets[row - block.start], block.offsets[row - block.start + 1] - 1
    score = block.score
    before = (at > first) & (score[np.maximum(at - 1, 0)] == score[at])
    after = (at < last) & (score[np.minimum(at + 1, len(score) - 1)] == score[at])
    return np.asarray(before | after)


def _moved_by_ids(block: _Block, at: Int64Array, names: Names) -> Int64Array:
    """How far the ids move each of these results, which share their score, from where it stands."""
    row = block.rows()
    opens = np.ones(len(row), dtype=bool)
    opens[1:] = (block.score[1:] != block.score[:-1]) | (row[1:] != row[:-1])
    starts = np.flatnonzero(opens)
    tie = np.cumsum(opens)[at] - 1
    sizes = np.diff(starts, append=len(row))[tie]
    places = _places_in_ties(block.doc, at, starts[tie], sizes, names)
    return np.asarray(starts[tie] - at + places)


def _places_in_ties(
    doc: Int64Array, at: Int64Array, starts: Int64Array, sizes: Int64Array, names: Names
) -> Int64Array:
    """How many of its tie come before each result `at`, by id descending.

    Args:
        doc: the document rows of a block.
        at: positions in the block, ascending.
        starts: where the tie of each begins.
        sizes: how many stand in it.
        names: of the documents.
    """
    ties, one = np.unique(starts, return_index=True)
    lengths = sizes[one]
    tie = np.repeat(ties, lengths)
    members = tie + place_in_run(tie)
    seen = np.zeros(len(names.docs), dtype=bool)
    seen[doc[members]] = True
    rows = np.flatnonzero(seen).tolist()
    place = np.zeros(len(names.docs), dtype=np.int64)
    place[sorted(rows, key=names.docs.__getitem__, reverse=True)] = np.arange(len(rows))
    before = np.empty_like(members)
    before[np.argsort(tie * len(place) + place[doc[members]])] = place_in_run(tie)
    return np.asarray(before[np.searchsorted(members, at)])


def _outside(docs: Int64Array, limit: int) -> int | None:
    """The position of a row that is not in 0..limit - 1; None where there is none."""
    if not len(docs) or (int(docs.min()) >= 0 and int(docs.max()) < limit):
        return None
    return int(np.argmax((docs < 0) | (docs >= limit)))


def _bad_doc(query_id: str, limit: int, *, what: str) -> ScoreError:
    return ScoreError(
        f"Query {query_id!r}: its {what} name a document row outside "
        f"0..{limit - 1}. Run, judgements and document ids must come from the same corpus."
    )


def _check_once(keys: Int64Array, rows: Int64Array, width: int, names: Names, *, what: str) -> None:
    """`keys` ascend, and are made as those of Judged."""
    repeated = keys[1:] == keys[:-1]
    if not repeated.any():
        return
    place, doc = divmod(int(keys[int(np.argmax(repeated))]), width)
    raise ScoreError(
        f"Query {names.queries[rows[place]]!r}: document {names.doc(doc)!r} is {what} twice. "
        "Each document may stand once in a query."
    )


def bad_score(query_id: str, doc: str, score: float) -> ScoreError:
    """The error for a score that has no place in an order."""
    return ScoreError(
        f"Query {query_id!r}, document {doc!r}: the score is {score}, not a finite float32, so "
        "the run has no order. Look for NaN or overflow (half precision?) in the model's output."
    )


def bad_grade(query_id: str, doc: str, grade: float) -> ScoreError:
    """The error for a grade that trec_eval cannot hold."""
    return ScoreError(
        f"Query {query_id!r}, document {doc!r}: grade {grade!r} is not an integer up to "
        f"{MAX_GRADE}, which is what trec_eval can hold. Map the grades to small integers."
    )
