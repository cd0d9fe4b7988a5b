"""Numbers that others published and we compute too.

Run: pytest tests/metrics/test_reference_values.py -q.

Needs the folder `shared` beside the repository; without it all is skipped. Every test says how
many values it compared (so that none can pass by comparing nothing) and keeps the number and the
largest difference as properties (`--junit-xml FILE -o junit_family=xunit1`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmedteb.metrics import QueryScores, rank_run, read_qrels, read_run, score_run
from cmedteb.types import Qrels, Run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
# Published with four decimals.
ROUNDING = 0.5e-4 + 1e-9
DEEP = 5000

Results = dict[str, dict[str, float]]
Grades = dict[str, dict[str, int]]
Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the reference data in ../shared/data"
)

ENGINE_TO_OURS = {
    "ndcg_cut": "ndcg",
    "map_cut": "map",
    "recall": "recall",
    "P": "precision",
    "success": "hit_rate",
}
WITHOUT_CUTOFF = {
    "map": f"map_at_{DEEP}",
    "recip_rank": f"mrr_at_{DEEP}",
    "ndcg": f"ndcg_at_{DEEP}",
    "set_recall": f"recall_at_{DEEP}",
}


class Comparison:
    """Differences between our values and published ones."""

    def __init__(self) -> None:
        self.differences: list[float] = []
        self.worst = ""

    def add(self, name: str, ours: float, theirs: float) -> None:
        difference = abs(ours - theirs)
        if difference >= max(self.differences, default=0.0):
            self.worst = f"{name}: ours {ours}, published {theirs}"
        self.differences.append(difference)

    def conclude(self, record: Record, *, count: int, tolerance: float = ROUNDING) -> None:
        record("values_compared", len(self.differences))
        record("largest_difference", max(self.differences))
        assert max(self.differences) <= tolerance, self.worst
        assert len(self.differences) == count


def our_key(measure: str) -> str | None:
    """A trec_eval measure -> our key, or None if it is not one of ours."""
    if measure in WITHOUT_CUTOFF:
        return WITHOUT_CUTOFF[measure]
    base, _, cutoff = measure.rpartition("_")
    if base in ENGINE_TO_OURS and cutoff.isdigit():
        return f"{ENGINE_TO_OURS[base]}_at_{cutoff}"
    return None


def published(path: Path) -> list[tuple[str, str, float]]:
    """Our key, query (or "all") and value of each line of trec_eval's output that we compute."""
    rows = (line.split() for line in path.read_text().splitlines() if line.strip())
    keyed = ((our_key(row[0]), row[1], row[2]) for row in rows)
    return [(key, query, float(value)) for key, query, value in keyed if key]


def cutoffs_of(keys: Iterable[str]) -> list[int]:
    return sorted({int(key.rpartition("_")[2]) for key in keys} | {DEEP})


def lookup(scores: QueryScores, key: str, query: str) -> float:
    if query == "all":
        return scores.mean()[key]
    return float(scores.values[key][scores.query_ids.index(query)])


def compare(
    rows: list[tuple[str, str, float]], scores: QueryScores, into: Comparison | None = None
) -> Comparison:
    comparison = into or Comparison()
    for key, query, value in rows:
        comparison.add(f"{key} of {query}", lookup(scores, key, query), value)
    return comparison


def from_level(qrels: Grades, level: int) -> Grades:
    """What `-l LEVEL` does for the binary measures: lower grades are not relevant."""
    return {
        q: {d: g if g >= level else min(g, 0) for d, g in docs.items()} for q, docs in qrels.items()
    }


def as_columns(run: Results, qrels: Grades) -> tuple[Run, Qrels, list[str], list[str]]:
    query_ids = list(qrels)
    doc_ids = sorted({doc for q in query_ids for doc in run.get(q, {})})
    row = {doc: i for i, doc in enumerate(doc_ids)}
    absent = tuple(sorted({doc for docs in qrels.values() for doc in docs} - set(row)))
    row |= {doc: len(doc_ids) + i for i, doc in enumerate(absent)}
    found = [(row[d], s) for q in query_ids for d, s in run.get(q, {}).items()]
    judged = [(row[d], g) for q in query_ids for d, g in qrels[q].items()]
    return (
        Run(
            np.cumsum([0] + [len(run.get(q, {})) for q in query_ids]),
            np.array([d for d, _ in found], dtype=np.int32),
            np.array([s for _, s in found], dtype=np.float32),
        ),
        Qrels(
            np.cumsum([0] + [len(docs) for docs in qrels.values()]),
            np.array([d for d, _ in judged], dtype=np.int32),
            np.array([g for _, g in judged], dtype=np.int32),
            absent,
        ),
        query_ids,
        doc_ids,
    )


def deepest(run: Results, depth: int) -> Results:
    return {
        q: dict(sorted(docs.items(), key=lambda item: (item[1], item[0]), reverse=True)[:depth])
        for q, docs in run.items()
    }


@pytest.mark.parametrize(
    ("output", "results", "depth", "count"),
    [
        ("out.test", "results.test", None, 11),
        ("out.test.a", "results.test", None, 43),
        ("out.test.aq", "results.test", None, 172),
        ("out.test.aqc", "results.trunc", None, 172),
        ("out.test.aqcM", "results.trunc", 100, 172),
        ("out.test.meas_params", "results.test", None, 44),
    ],
)
def test_trec_evals_own_output(
    output: str, results: str, depth: int | None, count: int, record_property: Record
) -> None:
    folder = DATA / "trec_eval_ref"
    rows = published(folder / output)
    run, qrels = read_run(folder / results), read_qrels(folder / "qrels.test")
    if depth:
        run = deepest(run, depth)
    scores = rank_run(run, qrels, cutoffs=cutoffs_of(key for key, _, _ in rows))
    compare(rows, scores).conclude(record_property, count=count)


def test_trec_evals_own_output_with_grades(record_property: Record) -> None:
    """`-l2`: binary measures from grade 2, gains from every grade; some judgements are -1."""
    folder = DATA / "trec_eval_ref"
    rows = published(folder / "out.test.aql")
    run, qrels = read_run(folder / "results.test"), read_qrels(folder / "qrels.rel_level")
    cutoffs = cutoffs_of(key for key, _, _ in rows)
    graded = [row for row in rows if row[0].startswith("ndcg")]
    binary = [row for row in rows if not row[0].startswith("ndcg")]
    comparison = compare(graded, rank_run(run, qrels, cutoffs=cutoffs))
    compare(binary, rank_run(run, from_level(qrels, 2), cutoffs=cutoffs), comparison)
    comparison.conclude(record_property, count=172)


@pytest.mark.parametrize("name", ["UIUC03Rd1", "aplrob03a", "uic0301"])
def test_robust_2003(name: str, record_property: Record) -> None:
    folder = DATA / "robust03"
    rows = published(folder / f"{name}.trec_eval.txt")
    run, qrels = read_run(folder / f"{name}.run.gz"), read_qrels(folder / "qrels.txt.gz")
    scores = rank_run(run, qrels, cutoffs=cutoffs_of(key for key, _, _ in rows))
    compare(rows, scores).conclude(record_property, count=101 * 43)


def trectools_rows(node: Mapping[str, Any], query: str = "all") -> list[tuple[str, str, float]]:
    """Flatten {measure: value | {cutoff: value}}."""
    rows = []
    for measure, value in node.items():
        if isinstance(value, dict):
            for cutoff, number in value.items():
                rows.append((our_key(f"{measure}_{cutoff}"), query, number))
        else:
            rows.append((our_key(measure), query, value))
    return [(key, q, number) for key, q, number in rows if key]


def test_trectools(record_property: Record) -> None:
    folder = DATA / "robust03"
    values = json.loads((folder / "trectools_unittest_values.json").read_text())
    tiny = next(value for key, value in values.items() if key.startswith("tiny"))
    per_query = values["per_query"]
    plain = {k: v for k, v in values.items() if our_key(k) or k == "recall"}
    rows = trectools_rows(plain)
    for measure, numbers in per_query.items():
        key = our_key(measure)
        assert key
        rows += [(key, query, number) for query, number in numbers.items()]
    cutoffs = cutoffs_of(key for key, _, _ in [*rows, *trectools_rows(tiny)])
    run, qrels = read_run(folder / "uic0301.run.gz"), read_qrels(folder / "qrels_cs.txt.gz")
    comparison = compare(rows, rank_run(run, qrels, cutoffs=cutoffs))
    run, qrels = read_run(folder / "tiny_r4.run"), read_qrels(folder / "tiny_qrel1.txt")
    compare(trectools_rows(tiny), rank_run(run, qrels, cutoffs=cutoffs), comparison)
    comparison.conclude(record_property, count=12 + 13 + 4)


@pytest.mark.parametrize(
    ("name", "queries"), [("zh_med_mini", 500), ("kuake_qtr", 1000), ("chip_cdn_icd10", 1000)]
)
def test_baseline_runs(name: str, queries: int, record_property: Record) -> None:
    folder = DATA / name / "baseline_run"
    rows = published(folder / "trec_eval.txt")
    run, qrels = read_run(folder / "bm25.run.gz"), read_qrels(folder / "qrels.trec.gz")
    scores = rank_run(run, qrels, cutoffs=cutoffs_of(key for key, _, _ in rows))
    assert len(scores.query_ids) == queries
    compare(rows, scores).conclude(record_property, count=20 * (queries + 1))
    run_columns, qrels_columns, query_ids, doc_ids = as_columns(run, qrels)
    by_column = score_run(
        run_columns, qrels_columns, query_ids=query_ids, doc_ids=doc_ids, depth=100
    )
    by_mapping = rank_run(run, qrels, cutoffs=[1, 3, 5, 10, 20, 100])
    assert by_column.query_ids == by_mapping.query_ids
    assert set(by_column.values) == set(by_mapping.values)
    for key, column in by_column.values.items():
        np.testing.assert_array_equal(column, by_mapping.values[key])


IR_MEASURE = re.compile(
    r"(?P<name>AP|P|R|RR|nDCG|Success|SetR)(\((rel=(?P<rel>\d+)|dcg='(?P<dcg>exp-log2)')\))?(@(?P<k>\d+))?"
)
IR_TO_OURS = {
    "AP": "map",
    "P": "precision",
    "R": "recall",
    "SetR": "recall",
    "RR": "mrr",
    "nDCG": "ndcg",
    "Success": "hit_rate",
}


def ir_toy(toy: Mapping[str, str], folder: Path) -> tuple[Results, Grades]:
    (folder / "run.txt").write_text(toy["run"])
    (folder / "qrels.txt").write_text(toy["qrels"])
    return read_run(folder / "run.txt"), read_qrels(folder / "qrels.txt")


@pytest.mark.parametrize(("name", "count"), [("pytrec_eval", 24), ("ranx", 29), ("gdeval", 6)])
def test_ir_measures(name: str, count: int, tmp_path: Path, record_property: Record) -> None:
    """Linear gain everywhere but in gdeval and exp-log2, whose gain 2**grade - 1 is put in here."""
    values = json.loads((DATA / "ir_measures_ref" / f"{name}.json").read_text())
    comparison = Comparison()
    for entry in values["expected"]:
        found = IR_MEASURE.fullmatch(entry["measure"])
        if not found or (found["name"] == "SetR" and found["k"]):
            continue
        run, qrels = ir_toy(values["toys"][entry["toy"]], tmp_path)
        if found["dcg"] or name == "gdeval":
            qrels = {q: {d: 2 ** max(g, 0) - 1 for d, g in x.items()} for q, x in qrels.items()}
        if found["rel"]:
            qrels = from_level(qrels, int(found["rel"]))
        cutoff = int(found["k"] or DEEP)
        key = f"{IR_TO_OURS[found['name']]}_at_{cutoff}"
        scores = rank_run(run, qrels, cutoffs=[cutoff])
        expected = dict(entry["per_query"])
        if entry["mean"] is not None:
            expected["all"] = entry["mean"]
        for query, value in expected.items():
            comparison.add(f"{entry['measure']} of {query}", lookup(scores, key, query), value)
    comparison.conclude(record_property, count=count)


def test_pytrec_eval_unit_cases(record_property: Record) -> None:
    values = json.loads((DATA / "ir_measures_ref" / "pytrec_eval_unit.json").read_text())
    comparison = Comparison()
    for case in values["cases"]:
        for query, expected in case["expect"].items():
            keyed = {key: v for name, v in expected.items() if (key := our_key(name))}
            scores = rank_run(case["run"], values["qrel"], cutoffs=cutoffs_of(keyed))
            for key, value in keyed.items():
                comparison.add(f"{key} of {query}", lookup(scores, key, query), value)
    comparison.conclude(record_property, count=8, tolerance=1e-9)
