"""`cmedteb score`. Run: pytest tests/cli/test_score.py.

By task and by file of judgements, and malformed runs: no file, empty, too few columns, a word for
a score, NaN, a document twice, a run of other queries.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

import cmedteb
from cli.conftest import Cli
from cmedteb.interop.tables import write_trec
from cmedteb.results import ResultStore, TaskResult
from cmedteb.results.select import select


@pytest.fixture(scope="module")
def result(tasks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[TaskResult, Path]:
    """A stored result, and its TREC run."""
    home = tmp_path_factory.mktemp("score")
    [result] = cmedteb.evaluate("hashing", [tasks[0]], output=home / "out")
    store = ResultStore(home / "out")
    [run] = write_trec(store, select(store), home)
    return result, run


@pytest.fixture
def qrels(tasks: list[Path]) -> Path:
    return tasks[0] / "qrels.tsv"


def test_an_exported_run_has_the_stored_scores(
    cli: Cli, tasks: list[Path], result: tuple[TaskResult, Path], qrels: Path
) -> None:
    stored, run = result
    for judged in (["--qrels", qrels], ["-t", tasks[0]]):
        ended = cli("score", run, *judged, "--json")
        assert (ended.code, ended.err) == (0, "")
        assert set(ended.document) == {"scores", "queries"}
        assert ended.document["queries"] == 12
        expected = {key: value for key, value in stored.values.items() if key != "main_score"}
        assert ended.document["scores"] == pytest.approx(expected, abs=1e-12)


def test_cutoffs(cli: Cli, result: tuple[TaskResult, Path], qrels: Path) -> None:
    stored, run = result
    command = ("score", run, "--qrels", qrels, "-k", "7", "-k", "2", "--json")
    scores = cli(*command).document["scores"]
    assert {name.rpartition("_")[2] for name in scores} == {"2", "7"}
    assert stored.values["recall_at_5"] <= scores["recall_at_7"] <= stored.values["recall_at_10"]


@pytest.mark.parametrize("rank", ["0", "-1", "ten"])
def test_a_rank_that_is_none_is_refused(
    cli: Cli, result: tuple[TaskResult, Path], qrels: Path, rank: str
) -> None:
    ended = cli("score", result[1], "--qrels", qrels, "-k", rank)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_per_query_values_have_the_means(
    cli: Cli, result: tuple[TaskResult, Path], qrels: Path
) -> None:
    document = cli("score", result[1], "--qrels", qrels, "--json", "--per-query").document
    assert len(document["per_query"]) == 12
    for name, mean in document["scores"].items():
        values = [row[name] for row in document["per_query"].values()]
        assert sum(values) / 12 == pytest.approx(mean)


def test_the_table_fits_and_says_the_same(
    cli: Cli, result: tuple[TaskResult, Path], qrels: Path
) -> None:
    stored, run = result
    ended = cli("score", run, "--qrels", qrels)
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    row = next(line for line in ended.out.splitlines() if line.split()[:1] == ["10"])
    assert f"{100 * stored.values['ndcg_at_10']:.2f}" in row.split()
    assert "12 queries" in ended.out


def test_a_query_without_results_counts_0(
    cli: Cli, result: tuple[TaskResult, Path], qrels: Path, tmp_path: Path
) -> None:
    stored, run = result
    kept = [line for line in run.read_text().splitlines() if not line.startswith("q:00 ")]
    (tmp_path / "short.run").write_text("\n".join(kept) + "\n")
    document = cli("score", tmp_path / "short.run", "--qrels", qrels, "--json").document
    assert document["queries"] == 12
    assert document["scores"]["ndcg_at_10"] < stored.values["ndcg_at_10"]


BAD = {
    "": "the run is empty",
    "q:00 Q0 d:00 1 0.5": "line 1: expected the six columns",
    "q:00 Q0 d:00 1 high tag": "line 1: the score 'high' is not a finite",
    "q:00 Q0 d:00 1 nan tag": "is not a finite",
    "q:00 Q0 d:00 1 2 t\nq:00 Q0 d:00 2 1 t": "line 2: document 'd:00' is listed twice",
}


@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_bad_lines_end_with_1_and_are_named(
    cli: Cli, tmp_path: Path, qrels: Path, text: str, message: str
) -> None:
    (tmp_path / "x.run").write_text(text)
    ended = cli("score", tmp_path / "x.run", "--qrels", qrels, "--json")
    assert ended.code == 1
    assert ended.out == ""
    assert message in ended.err
    assert "x.run" in ended.err


def test_a_run_of_other_queries_is_no_score_of_0(cli: Cli, tmp_path: Path, qrels: Path) -> None:
    (tmp_path / "x.run").write_text("other Q0 d:00 1 0.5 tag\n")
    ended = cli("score", tmp_path / "x.run", "--qrels", qrels, "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "none of its 1 queries is judged (such as 'other'; judged is 'q:00')" in ended.err


def test_missing_files_are_named(cli: Cli, tmp_path: Path, qrels: Path) -> None:
    ended = cli("score", tmp_path / "gone.run", "--qrels", qrels)
    assert ended.code == 1
    assert "gone.run" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either -t TASK or --qrels FILE"),
        (["-t", "SmokeRetrieval", "--qrels", "x"], "give either -t TASK or --qrels FILE"),
        (["-t", "smoke"], "smoke is a benchmark: name one task"),
        (["-t", "SmokeSts"], "SmokeSts is an STS task"),
    ],
)
def test_what_judges_must_be_one_ranking_task(
    cli: Cli, result: tuple[TaskResult, Path], arguments: list[str], message: str
) -> None:
    ended = cli("score", result[1], *arguments)
    assert ended.code == 2
    assert message in ended.err
