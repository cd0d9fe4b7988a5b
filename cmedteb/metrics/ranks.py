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
        row: for each result its place in `Judged.rows`, ascending; shape (results,).
        doc: its document row.
        score: its score.
    """

    row: Int64Array
    doc: Int64Array
    score: Float32Array


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
    _check_docs(docs, rows[place], width, names, what="judgements")
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
        row = np.repeat(np.arange(start, stop), lengths[start:stop])
        yield _Block(row, run.docs[entries].astype(np.int64), score)


def _entries(offsets: Int64Array, rows: Int64Array) -> slice | Int64Array:
    """The entries of these rows, in order; a slice where they lie side by side."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(offsets[rows[0]]), int(offsets[rows[-1] + 1]))
    lengths = offsets[rows + 1] - offsets[rows]
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) + np.repeat(offsets[rows] - before, lengths))


def _checked(block: _Block, judgements: Judged, names: Names) -> _Block:
    """The same block, in descending order of scores within each row."""
    known = len(names.docs)
    _check_docs(block.doc, judgements.rows[block.row], known, names, what="results")
    finite = np.isfinite(block.score)
    if not finite.all():
        bad = int(np.argmin(finite))
        query = names.queries[judgements.rows[block.row[bad]]]
        raise bad_score(query, names.doc(int(block.doc[bad])), float(block.score[bad]))
    keys = np.sort(block.row * judgements.width + block.doc)
    _check_once(keys, judgements.rows, judgements.width, names, what="returned")
    rises = (block.score[1:] > block.score[:-1]) & (block.row[1:] == block.row[:-1])
    if not rises.any():
        return block
    order = np.lexsort((-block.score, block.row))
    return _Block(block.row, block.doc[order], block.score[order])


def _find_in_block(
    block: _Block, judgements: Judged, wanted: NDArray[np.bool_], names: Names
) -> Found:
    row, doc, score = block
    at = np.flatnonzero(wanted[doc])
    key = row[at] * judgements.width + doc[at]
    match = np.minimum(np.searchsorted(judgements.keys, key), len(judgements.keys) - 1)
    same = judgements.keys[match] == key
    at, grade = at[same], judgements.grades[match[same]]

    opens = np.ones(len(row), dtype=bool)
    opens[1:] = (score[1:] != score[:-1]) | (row[1:] != row[:-1])
    starts = np.flatnonzero(opens)
    tie = np.cumsum(opens)[at] - 1
    sizes = np.diff(starts, append=len(row))[tie]
    rank = 1 + starts[tie] - np.searchsorted(row, row[at])
    shared = sizes > 1
    rank[shared] += _places_in_ties(doc, at[shared], starts[tie][shared], sizes[shared], names)
    order = np.lexsort((rank, row[at]))
    return Found(row[at][order], rank[order], grade[order])


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


def _check_docs(docs: Int64Array, rows: Int64Array, limit: int, names: Names, *, what: str) -> None:
    """`rows` are the query rows that the documents stand in."""
    if not len(docs) or (int(docs.min()) >= 0 and int(docs.max()) < limit):
        return
    bad = int(np.argmax((docs < 0) | (docs >= limit)))
    raise ScoreError(
        f"Query {names.queries[rows[bad]]!r}: its {what} name a document row outside "
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
