"""Reading and writing TREC files. Run: pytest tests/metrics/test_trec.py -q."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from cmedteb.errors import DataError, ScoreError
from cmedteb.metrics import iter_rankings, read_qrels, read_run, write_run
from cmedteb.types import Run

IDEOGRAPHIC_SPACE = chr(0x3000)


def put(folder: Path, content: str | bytes, name: str = "file.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_read_run(tmp_path: Path) -> None:
    path = put(tmp_path, "q1 Q0 d1 1 0.5 t\r\nq1\tQ0\td2\t9\t-1e-3\tt\n\n2 Q0 d1 0 7 t")
    assert read_run(path) == {"q1": {"d1": 0.5, "d2": -0.001}, "2": {"d1": 7.0}}


def test_gzip_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    packed = gzip.compress(b"q Q0 d 1 2 t\n")
    assert read_run(put(tmp_path, packed, "a.gz")) == {"q": {"d": 2.0}}
    assert read_run(put(tmp_path, packed, "a.run")) == {"q": {"d": 2.0}}


def test_text_after_the_tag_is_ignored(tmp_path: Path) -> None:
    assert read_run(put(tmp_path, "q Q0 d 1 2 tag more text")) == {"q": {"d": 2.0}}


def test_an_id_with_a_space_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: expected the six columns"):
        read_run(put(tmp_path, "q Q0 my doc 1 2 tag"))


def test_only_ascii_white_space_parts_columns(tmp_path: Path) -> None:
    doc = f"d{IDEOGRAPHIC_SPACE}1"
    assert read_run(put(tmp_path, f"q Q0 {doc} 1 2 t")) == {"q": {doc: 2.0}}


def test_a_byte_order_mark_is_not_part_of_the_first_id(tmp_path: Path) -> None:
    assert read_run(put(tmp_path, b"\xef\xbb\xbfq Q0 d 1 2 t")) == {"q": {"d": 2.0}}
    assert read_qrels(put(tmp_path, b"\xef\xbb\xbfq 0 d 1")) == {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q Q0 d 2 0.5", "six columns"),
        ("q Q0 d 2 high t", "'high' is not a finite float32"),
        ("q Q0 d 2 nan t", "'nan' is not a finite float32"),
        ("q Q0 d 2 inf t", "'inf' is not a finite float32"),
        ("q Q0 d 2 1e39 t", "'1e39' is not a finite float32"),
        ("q Q0 d 2 1_0 t", "'1_0' is not a finite float32"),
        ("q Q0 a 2 0.5 t", "document 'a' is listed twice for query 'q'"),
    ],
)
def test_a_bad_run_line_names_file_and_line(tmp_path: Path, line: str, problem: str) -> None:
    path = put(tmp_path, f"q Q0 a 1 1 t\n\n{line}\n", "some.run")
    with pytest.raises(DataError, match=rf"some\.run, line 3: .*{problem}"):
        read_run(path)


@pytest.mark.parametrize("name", ["read_run", "read_qrels"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    read = {"read_run": read_run, "read_qrels": read_qrels}[name]
    gbk = b"q Q0 \xd6\xd0 1 1 t\n" if name == "read_run" else b"q 0 \xd6\xd0 1\n"
    with pytest.raises(DataError, match=r"line 1: .*not UTF-8"):
        read(put(tmp_path, gbk))
    with pytest.raises(DataError, match=r"absent\.txt: cannot be read"):
        read(tmp_path / "absent.txt")
    with pytest.raises(DataError, match=r"is empty|no judgement"):
        read(put(tmp_path, "\n \n"))
    whole = gzip.compress(b"q Q0 d 1 2 t\n" * 1000)
    with pytest.raises(DataError, match="damaged"):
        read(put(tmp_path, whole[:10] + b"\xff" * 20))


def test_a_gzip_file_cut_short(tmp_path: Path) -> None:
    lines = b"".join(b"q Q0 d%d 1 %d t\n" % (i, i) for i in range(1000))
    with pytest.raises(DataError, match="damaged"):
        read_run(put(tmp_path, gzip.compress(lines)[:-20]))


@pytest.mark.parametrize(
    "content",
    [
        "q 0 d 1\nr 0 e -1\n",
        "q\t0\td\t1\t\nr   0\te\t-1\n",
        "q\td\t1\nr\te\t-1\n",
        "query-id\tcorpus-id\tscore\nq\td\t1\nr\te\t-1\n",
    ],
    ids=["trec", "trec-mixed-space", "beir", "beir-header"],
)
def test_read_qrels(tmp_path: Path, content: str) -> None:
    assert read_qrels(put(tmp_path, content)) == {"q": {"d": 1}, "r": {"e": -1}}


def test_beir_ids_may_hold_spaces_below_a_header(tmp_path: Path) -> None:
    path = put(tmp_path, "query-id\tcorpus-id\tscore\nmy q\tmy d\t2\n")
    assert read_qrels(path) == {"my q": {"my d": 2}}


@pytest.mark.parametrize("first", ["my q\td\t1", "q d 1", "q d", "q 0 d 1 extra", "a, b, c, d, e"])
def test_a_first_line_that_is_neither_form(tmp_path: Path, first: str) -> None:
    with pytest.raises(DataError, match="line 1: expected `query 0 document grade`, or three"):
        read_qrels(put(tmp_path, first))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("q 0 d 1\nq 0 e 1.5", "'1.5' is not an integer"),
        ("q 0 d 1\nq 0 e one", "'one' is not an integer"),
        ("q 0 d 1\nq 0 d 0", "document 'd' is judged twice for query 'q'"),
        ("q 0 d 1\nq\te\t1", "four columns"),
        ("q\td\t1\nq 0 e 1", "three columns"),
        ("q\td\t1\nq\t\t1", "three columns"),
    ],
)
def test_a_bad_qrels_line_names_file_and_line(tmp_path: Path, content: str, problem: str) -> None:
    path = put(tmp_path, content, "some.qrels")
    with pytest.raises(DataError, match=rf"some\.qrels, line 2: .*{problem}"):
        read_qrels(path)


def test_write_run_writes_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out.run"
    lines = write_run(path, {"q": {"a": 1.0 + 1e-9, "c": 1.0, "b": 2.0}, "r": {}}.items(), tag="t")
    assert lines == 3
    assert path.read_text() == "q Q0 b 1 2 t\nq Q0 c 2 1 t\nq Q0 a 3 1 t\n"


@pytest.mark.parametrize("name", ["out.run", "out.run.gz"])
def test_written_runs_read_back_as_the_same_float32(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    scores = (rng.normal(size=200) * 10.0 ** rng.integers(-30, 30, 200)).astype(np.float32)
    doc_ids = [f"{chr(0x836F)}{i}" for i in range(100)]
    docs = np.tile(np.arange(100, dtype=np.int32), 2)
    run = Run(np.array([0, 100, 200]), docs, scores)
    write_run(tmp_path / name, iter_rankings(run, query_ids=["q", "r"], doc_ids=doc_ids))
    back = read_run(tmp_path / name)
    for row, query in enumerate(("q", "r")):
        expected = dict(zip(doc_ids, scores[row * 100 : row * 100 + 100], strict=True))
        assert {doc: np.float32(score) for doc, score in back[query].items()} == expected


def test_the_same_run_gives_the_same_gzip_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        write_run(tmp_path / name, [("q", {"d": 1.0})])
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("bad", ["", "a b", "a\tb", "a\nb"])
def test_ids_that_the_format_cannot_hold(tmp_path: Path, bad: str) -> None:
    for rankings in ([(bad, {"d": 1.0})], [("q", {bad: 1.0})]):
        with pytest.raises(DataError, match="white space"):
            write_run(tmp_path / "out.run", rankings)
    with pytest.raises(DataError, match="tag"):
        write_run(tmp_path / "out.run", [], tag=bad)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e300])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, bad: float) -> None:
    path = put(tmp_path, "old", "out.run")
    with pytest.raises(ScoreError, match=r"'r'.*'d'"):
        write_run(path, [("q", {"d": 1.0}), ("r", {"d": bad})])
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.run"]
