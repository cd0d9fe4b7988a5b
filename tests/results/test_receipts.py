"""Receipts: the format, its precision, its errors. Run: pytest tests/results/test_receipts.py -q.

Degenerate inputs: ids with colons, spaces and CJK, a query without results, scores at the ends of
float32, an id twice, a document twice, NaN, infinity, no colon, a word for a score, a cut file.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from builders import qrels, strings, text_column

from cmedteb.data.judgements import as_table
from cmedteb.errors import DataError
from cmedteb.results.files import read_gzip, write_gzip
from cmedteb.results.receipts import (
    content_hash,
    gold_lines,
    grade_lines,
    read_table,
    run_lines,
    similarity_lines,
    write_table,
)
from cmedteb.types import Pairs, Run


def a_run(*rows: Sequence[tuple[int, float]]) -> Run:
    """Per query its (document row, score)."""
    flat = [entry for row in rows for entry in row]
    return Run(
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        np.array([doc for doc, _ in flat], dtype=np.int32),
        np.array([score for _, score in flat], dtype=np.float32),
    )


def test_format() -> None:
    run = a_run([(1, 0.5), (0, 0.25)], [(2, -3)])
    lines = list(run_lines(run, query_ids=["q1", "q2"], doc_ids=["a", "b", "c"], depth=100))
    assert lines == ["q1\tb:0.5\ta:0.25", "q2\tc:-3"]


def test_depth_cuts_every_query() -> None:
    run = a_run([(row, 9 - row) for row in range(5)], [(0, 1.0)])
    ids = [f"d{row}" for row in range(5)]
    cut = list(run_lines(run, query_ids=["a", "b"], doc_ids=ids, depth=2))
    assert cut == ["a\td0:9\td1:8", "b\td0:1"]
    whole = list(run_lines(run, query_ids=["a", "b"], doc_ids=ids, depth=None))
    assert whole[0].count("\t") == 5


def test_every_float32_survives(tmp_path: Path) -> None:
    """Bit patterns over the whole range, the smallest subnormal and the largest number included."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 4000, dtype=np.uint64).astype(np.uint32)
    values = np.concatenate([bits.view(np.float32), np.array([1e-45, 3.4028235e38], np.float32)])
    values = values[np.isfinite(values)]
    ids = [f"d{row}" for row in range(len(values))]
    run = a_run([(row, float(value)) for row, value in enumerate(values)])
    write_table(tmp_path / "r.tsv.gz", run_lines(run, query_ids=["q"], doc_ids=ids, depth=None))
    back = read_table(tmp_path / "r.tsv.gz")["q"]
    read = np.array([back[doc] for doc in ids], dtype=np.float32)
    np.testing.assert_array_equal(read.view(np.uint32), values.view(np.uint32))


def test_ids_of_all_kinds_survive(tmp_path: Path) -> None:
    docs = [
        "a:b",
        "http://x:1/y",
        ":",
        "1:0.5",
        "\u75c5\u4eba\uff1a1",
        "with space",
        "\u3000x",
        "#",
    ]
    queries = ["q:1", "\u95ee\u9898 2", "-"]
    run = a_run([(row, -float(row)) for row in range(len(docs))], [], [(3, 1.0)])
    write_table(tmp_path / "r.gz", run_lines(run, query_ids=queries, doc_ids=docs, depth=100))
    table = read_table(tmp_path / "r.gz")
    assert list(table) == queries
    assert list(table["q:1"]) == docs
    assert table["\u95ee\u9898 2"] == {}, "a query without results keeps its line"
    assert table["-"] == {"1:0.5": 1.0}


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    run = a_run([(0, 1 / 3), (1, 0.1)])
    lines = list(run_lines(run, query_ids=["q"], doc_ids=["a", "b"], depth=100))
    first, second = write_table(tmp_path / "1.gz", lines), write_table(tmp_path / "2.gz", lines)
    assert first == second == hashlib.sha256((tmp_path / "2.gz").read_bytes()).hexdigest()


def test_similarities_and_gold_survive(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    similarity = {"similarity": rng.normal(size=5), "dot": 1e9 * rng.normal(size=5)}
    ids = [f"p{row}" for row in range(5)]
    pairs = Pairs(strings(ids), text_column(ids), text_column(ids), rng.normal(size=5))
    write_table(tmp_path / "s.gz", similarity_lines(similarity, pair_ids=ids))
    write_table(tmp_path / "g.gz", gold_lines(pairs))
    table, gold = read_table(tmp_path / "s.gz"), read_table(tmp_path / "g.gz")
    assert [table[one]["dot"] for one in ids] == similarity["dot"].tolist(), "float64, all digits"
    assert list(table["p0"]) == ["dot", "similarity"]
    assert [gold[one]["gold"] for one in ids] == pairs.scores.tolist()


def test_judgements_do_not_depend_on_order(tmp_path: Path) -> None:
    """Equal sets of judgements have one hash."""
    ids = {"query_ids": ["q2", "q1"], "doc_ids": ["b", "a", "c:1"]}
    first = qrels([{0: 1, 1: 0, 3: 2}, {2: 1}], absent=["gone"])
    other = {"query_ids": ["q1", "q2"], "doc_ids": ["c:1", "b", "a"]}
    second = qrels([{0: 1}, {3: 2, 2: 0, 1: 1}], absent=["gone"])
    lines = list(grade_lines(as_table(first, **ids)))
    assert lines == ["q1\tc:1:1", "q2\ta:0\tb:1\tgone:2"]
    assert lines == list(grade_lines(as_table(second, **other)))
    write_table(tmp_path / "j.gz", lines)
    assert content_hash(read_gzip(tmp_path / "j.gz")) == content_hash(lines)


BAD = {
    "q\ta:1\nq\tb:1": "line 2: 'q' stands twice",
    "p\ta:1\nq\ta:1\ta:2": "line 2: 'q' names a key twice",
    "q\ta:nan": "line 1: a value of 'q' is no finite number",
    "q\ta:inf": "no finite number",
    "q\ta:1e999": "no finite number",
    "q\ta": "no finite number",
    "q\ta:": "no finite number",
    "q\ta:high": "no finite number",
    "q\t": "no finite number",
}


@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_malformed_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    write_gzip(tmp_path / "bad.tsv.gz", text.split("\n"))
    with pytest.raises(DataError, match=r"bad\.tsv\.gz") as caught:
        read_table(tmp_path / "bad.tsv.gz")
    assert message in str(caught.value)


def test_a_cut_receipt_is_an_error(tmp_path: Path) -> None:
    write_table(tmp_path / "r.gz", [f"q{row}\td:{row}" for row in range(1000)])
    content = (tmp_path / "r.gz").read_bytes()
    for keep in (0.2, 0.5, 0.99):
        (tmp_path / "r.gz").write_bytes(content[: int(keep * len(content))])
        with pytest.raises(DataError, match="not a whole gzip file"):
            read_table(tmp_path / "r.gz")
    (tmp_path / "r.gz").write_bytes(gzip.compress(b"q\ta:1\n"))
    assert read_table(tmp_path / "r.gz") == {"q": {"a": 1.0}}
