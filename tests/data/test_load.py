"""Which queries are kept, limits and warnings (run: `pytest tests/data/test_load.py`).

Degenerate inputs: queries without judgements, queries judged only 0, a limit of 0, a limit larger
than the set, an STS type given to the ranking loader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cmedteb.errors import UsageError
from cmedteb.types import TaskType

Load = Callable[..., Any]
QUERIES = [{"_id": f"q{row}", "text": f"query {row}"} for row in range(5)]
QRELS = "q4\td1\t1\nq1\td2\t0\nq3\td3\t2\nq3\td1\t0\n"


def test_unjudged_queries_are_dropped_and_those_judged_0_stay(make: Load, ranking: Load) -> None:
    data = ranking(make({"queries.jsonl": QUERIES, "qrels.tsv": QRELS}))
    assert data.queries.ids.to_pylist() == ["q1", "q3", "q4"]
    assert list(data.queries.texts) == ["query 1", "query 3", "query 4"]
    assert data.qrels.offsets.tolist() == [0, 1, 3, 4]
    assert data.qrels.docs.tolist() == [1, 0, 2, 0]
    assert data.qrels.grades.tolist() == [0, 0, 2, 1]
    expected = {"queries_without_judgements": 2, "queries_without_positives": 1}
    assert data.provenance.warnings == expected


@pytest.mark.parametrize(("limit", "ids"), [(1, ["q1"]), (2, ["q1", "q3"]), (99, None)])
def test_a_limit_keeps_the_first_judged_queries(
    make: Load, ranking: Load, limit: int, ids: list[str] | None
) -> None:
    data = ranking(make({"queries.jsonl": QUERIES, "qrels.tsv": QRELS}), limit=limit)
    assert data.queries.ids.to_pylist() == (ids or ["q1", "q3", "q4"])
    assert len(data.qrels) == len(data.queries)
    assert len(data.corpus) == 3


def test_a_limit_keeps_absent_documents_in_line(make: Load, ranking: Load) -> None:
    qrels = "q0\ta\t1\nq1\tb\t1\nq1\td1\t1\n"
    folder = make({"queries.jsonl": QUERIES, "qrels.tsv": qrels})
    whole = ranking(folder, lenient=True)
    assert (whole.qrels.absent, whole.qrels.docs.tolist()) == (("a", "b"), [3, 0, 4])
    first = ranking(folder, lenient=True, limit=1)
    assert (first.qrels.absent, first.qrels.docs.tolist()) == (("a",), [3])


def test_wrong_requests_are_refused(make: Load, ranking: Load, sts: Load) -> None:
    folder = make()
    with pytest.raises(UsageError, match="limit of 0"):
        ranking(folder, limit=0)
    with pytest.raises(UsageError, match="limit of -1"):
        sts(folder, limit=-1)
    with pytest.raises(UsageError, match="load_pairs"):
        ranking(folder, task_type=TaskType.STS)


def test_types_are_as_documented(make: Load, ranking: Load) -> None:
    data = ranking(make())
    kinds = [data.corpus.texts.index, data.qrels.offsets, data.qrels.docs, data.qrels.grades]
    assert [str(kind.dtype) for kind in kinds] == ["int32", "int64", "int32", "int32"]
    assert data.provenance.revision == "local"
    assert len(data.provenance.content_hash) == 64
