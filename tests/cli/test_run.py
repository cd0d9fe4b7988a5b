"""`cmedteb run`. Run: pytest tests/cli/test_run.py.

Exit codes, the JSON document, the table, --limit, --overwrite, --keep-going, --overlays, and an
interrupt in the middle of encoding (a real process).
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from runner.support import contents, lines_of, retrieval, start, write_overlay

from cli.conftest import Cli
from cmedteb.metrics import QueryScores, bootstrap_mean, rank_run, read_qrels, score_run
from cmedteb.results import ResultStore
from cmedteb.results.files import read_json
from cmedteb.results.receipts import read_table

TOP = {"model", "revision", "results", "benchmarks", "failed"}
# Those that DESIGN names, and what a reader needs to read them rightly.
DESIGNED = {"task", "split", "main_score_name", "main_score", "scores", "path", "seconds"}
ENTRY = DESIGNED | {"interval", "judgements", "partial", "reused"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def named(*folders: Path) -> list[str]:
    return [part for folder in folders for part in ("-t", str(folder))]


def test_json_is_one_document_of_the_designed_shape(cli: Cli, tasks: list[Path], out: Path) -> None:
    ended = cli("run", "-m", "hashing", *named(*tasks), "--output", out, "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.document
    assert set(document) == TOP
    assert (document["model"], document["revision"], document["failed"]) == ("hashing", "1", [])
    assert [one["task"] for one in document["results"]] == ["Set", "Lists", "Pairs"]
    for one in document["results"]:
        assert set(one) == ENTRY
        stored = read_json(Path(one["path"]))
        assert one["main_score"] == stored["scores"]["test"][0]["main_score"]
        assert one["scores"].items() <= stored["scores"]["test"][0].items()
        assert one["main_score"] == one["scores"][one["main_score_name"]]
        assert (one["split"], one["partial"], one["reused"]) == ("test", False, False)
        assert one["seconds"] == stored["evaluation_time"]


def test_defaults_are_bm25_on_smoke(cli: Cli, tmp_path: Path) -> None:
    """From a folder that holds nothing: results go to leaderboard/results below it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        document = cli("run", "--json").document
    assert document["model"] == "bm25"
    assert [one["task"] for one in document["results"]] == [
        "SmokeRetrieval",
        "SmokeReranking",
        "SmokeSts",
    ]
    mean = sum(one["main_score"] for one in document["results"]) / 3
    assert document["benchmarks"] == {"smoke": {"average": pytest.approx(mean)}}
    assert (tmp_path / "leaderboard/results/cmedteb__bm25/1/SmokeSts.json").is_file()


def test_the_same_again_is_reused(cli: Cli, tasks: list[Path], out: Path) -> None:
    command = ("run", "-m", "bm25", *named(*tasks), "--output", out)
    first = cli(*command, "--json").document
    second = cli(*command, "--json").document
    assert [one["reused"] for one in second["results"]] == [True] * 3
    for one in (*first["results"], *second["results"]):
        one.pop("reused")
    assert first == second
    assert cli(*command).out.count("as before") == 3


def broken(folder: Path) -> Path:
    """A set whose judgements name a document that is not there."""
    data = retrieval(folder)
    (data / "qrels.tsv").write_text("q:00\tnone\t1\n")
    return data


def test_a_failed_task_ends_the_run_with_1(
    cli: Cli, tasks: list[Path], out: Path, tmp_path: Path
) -> None:
    bad = broken(tmp_path / "Bad")
    command = ("run", "-m", "bm25", *named(tasks[0], bad, tasks[1]), "--output", out, "--json")
    ended = cli(*command)
    assert ended.code == 1
    document = ended.document
    assert set(document) == TOP
    assert [one["task"] for one in document["results"]] == ["Set"]
    [failure] = document["failed"]
    assert set(failure) == {"task", "error"}
    assert failure["task"] == "Bad"
    assert "'none'" in failure["error"]
    assert [path.stem for path, _ in ResultStore(out).results()] == ["Set"]


def test_keep_going_runs_the_rest_and_still_ends_with_1(
    cli: Cli, tasks: list[Path], out: Path, tmp_path: Path
) -> None:
    bad = broken(tmp_path / "Bad")
    command = ("run", "-m", "bm25", *named(tasks[0], bad, tasks[1]), "--output", out)
    ended = cli(*command, "--keep-going", "--json")
    assert ended.code == 1
    assert [one["task"] for one in ended.document["results"]] == ["Set", "Lists"]
    assert [one["task"] for one in ended.document["failed"]] == ["Bad"]
    ended = cli(*command, "--keep-going")
    assert ended.code == 1
    assert "cmedteb: Bad failed: " in ended.err
    assert "Set" in ended.out
    assert "Lists" in ended.out


def test_usage_errors_end_with_2_and_no_document(cli: Cli, tasks: list[Path], out: Path) -> None:
    for arguments, message in (
        (["-t", "SmokeRetreival"], "Did you mean SmokeRetrieval"),
        (["-m", "bm52"], "Did you mean 'bm25'?"),
        (["-m", "bm25", "--query-prompt", "x", *named(tasks[0])], "bm25 takes no --query-prompt"),
        (["-m", "bm25", "--judgements", "v9", *named(tasks[0])], "There are: original"),
    ):
        ended = cli("run", *arguments, "--output", out, "--json")
        assert ended.code == 2, arguments
        assert ended.out == ""
        assert message in ended.err
        assert ended.err.startswith("cmedteb: ")
    assert not out.exists()


def test_what_cannot_be_had_ends_with_4(
    cli: Cli,
    tasks: list[Path],
    tasks_dir: Path,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Offline and not in the cache: a data set, and a model."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    command = ("run", "-m", "bm25", "--offline", "--tasks-dir", tasks_dir, "--output", out)
    ended = cli(*command, "-t", "Far", "--json")
    assert ended.code == 4
    assert [one["task"] for one in ended.document["failed"]] == ["Far"]
    ended = cli(*command, "-t", "Set", "-t", "Far", "--data-dir", tasks[0].parent, "--json")
    assert ended.code == 4
    assert [one["task"] for one in ended.document["results"]] == ["Set"]
    ended = cli("run", "-m", "nobody/nothing", "--offline", *named(tasks[0]), "--output", out)
    assert ended.code == 4
    assert "nobody/nothing" in ended.err
    assert "Traceback" not in ended.err


def test_a_set_without_a_location_says_how_to_give_it(cli: Cli, tasks_dir: Path, out: Path) -> None:
    ended = cli("run", "--tasks-dir", tasks_dir, "-t", "Set", "--output", out)
    assert ended.code == 4
    assert "--data-dir" in ended.err


def test_a_benchmark_has_the_mean_of_its_tasks(
    cli: Cli, tasks: list[Path], tasks_dir: Path, out: Path
) -> None:
    command = ("run", "-m", "hashing", "--tasks-dir", tasks_dir, "--output", out, "-t", "Mine")
    document = cli(*command, "--data-dir", tasks[0].parent, "--json").document
    scores = [one["main_score"] for one in document["results"]]
    assert document["benchmarks"] == {"Mine": {"average": pytest.approx(sum(scores) / 2)}}
    table = cli(*command, "--data-dir", tasks[0].parent).out
    assert "Mine: mean" in table
    assert f"{50 * sum(scores):.2f}" in table


def test_a_benchmark_that_is_not_complete_has_none(
    cli: Cli, tasks: list[Path], tasks_dir: Path, out: Path, tmp_path: Path
) -> None:
    shutil.copytree(tasks[0], tmp_path / "some" / "Set")
    command = ("run", "-m", "bm25", "--tasks-dir", tasks_dir, "--output", out, "-t", "Mine")
    command = (*command, "--data-dir", tmp_path / "some", "--keep-going")
    ended = cli(*command, "--json")
    assert ended.document["benchmarks"] == {"Mine": {"average": None}}
    assert "incomplete" in cli(*command).out


def test_limit_is_stamped_everywhere(
    cli: Cli, tasks: list[Path], tasks_dir: Path, out: Path
) -> None:
    command = ("run", "-m", "bm25", "--tasks-dir", tasks_dir, "-t", "Mine", "--limit", "5")
    command = (*command, "--data-dir", tasks[0].parent, "--output", out)
    document = cli(*command, "--json").document
    assert [one["partial"] for one in document["results"]] == [True, True]
    ended = cli(*command)
    assert "Set (partial)" in ended.out
    assert "Lists (partial)" in ended.out
    assert "(partial)" in ended.out[ended.out.index("Mine:") :], (
        "and so is the mean of partial scores"
    )


def test_a_limited_run_does_not_replace_a_whole_one(cli: Cli, tasks: list[Path], out: Path) -> None:
    command = ("run", "-m", "bm25", *named(tasks[0]), "--output", out)
    assert cli(*command).code == 0
    before = contents(out)
    ended = cli(*command, "--limit", "3")
    assert ended.code == 1
    assert "a --limit run does not replace it" in ended.err
    assert contents(out) == before
    assert cli(*command, "--limit", "3", "--overwrite", "always").code == 0
    [(_, result)] = ResultStore(out).results()
    assert result.partial


def test_overwrite_never_fails_where_it_would_replace(
    cli: Cli, tasks: list[Path], out: Path
) -> None:
    command = ("run", "-m", "bm25", *named(tasks[0]), "--output", out, "--overwrite", "never")
    assert [cli(*command).code for _ in range(2)] == [0, 0]
    ended = cli(*command, "--depth", "10")
    assert ended.code == 1
    assert "--overwrite never keeps it" in ended.err


def test_flags_reach_the_result(cli: Cli, tasks: list[Path], out: Path) -> None:
    command = ("run", "-m", "hashing", *named(tasks[0]), "--output", out, "--json")
    path = Path(
        cli(*command, "--depth", "10", "--batch-tokens", "77").document["results"][0]["path"]
    )
    stored = read_json(path)
    assert (stored["depth"], stored["batch_tokens"], stored["receipts"]["depth"]) == (10, 77, 10)
    assert max(len(row) for row in read_table(path.parent / "receipts/Set.tsv.gz").values()) == 10


def test_verify_computes_anew_and_changes_nothing(cli: Cli, tasks: list[Path], out: Path) -> None:
    command = ("run", "-m", "hashing", *named(*tasks), "--output", out, "--json")
    first = cli(*command).document["results"]
    ended = cli(*command, "--verify")
    assert ended.code == 0
    for before, after in zip(first, ended.document["results"], strict=True):
        assert (after["scores"], after["reused"]) == (before["scores"], False)


def test_verify_refuses_scores_that_are_not_pytrec_eval_s(
    cli: Cli, tasks: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*given: Any, **named: Any) -> QueryScores:
        scores = score_run(*given, **named)
        scores.values["map_at_10"][2] += 1e-6
        return scores

    monkeypatch.setattr("cmedteb.tasks.retrieval.score_run", wrong)
    ended = cli("run", "-m", "hashing", *named(*tasks[:2]), "--output", out, "--verify")
    assert ended.code == 1
    assert "map_at_10 of query 'q:02' is" in ended.err
    assert not list(out.rglob("Set.json"))


def test_overlays_can_lie_anywhere(cli: Cli, tasks: list[Path], out: Path, tmp_path: Path) -> None:
    """`run --judgements v1` and `rescore --judgements v1` give the same numbers."""
    overlays = write_overlay(tmp_path / "overlays", "Set", ["+\tq:00\td:05\t2", "-\tq:01\td:01\t0"])
    version = ("--judgements", "v1", "--overlays", overlays)
    command = ("run", "-m", "hashing", *named(tasks[0]))
    original = cli(*command, "--output", out / "a", "--json").document["results"][0]
    rescored = cli("rescore", *version, "--results", out / "a", "--json").document[0]
    fresh = cli(*command, "--output", out / "b", *version, "--json").document["results"][0]
    assert rescored["after"] == fresh["main_score"] != original["main_score"]
    assert fresh["judgements"] == "v1"
    ours, theirs = (read_json(Path(one["path"])) for one in (rescored, fresh))
    for key in ("scores", "interval", "fingerprint", "judgements"):
        assert ours[key] == theirs[key], key


def test_the_table_fits_and_says_what_json_says(cli: Cli, tasks: list[Path], out: Path) -> None:
    command = ("run", "-m", "hashing", *named(*tasks), "--output", out)
    document = cli(*command, "--json").document
    ended = cli(*command)
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    for one in document["results"]:
        row = next(line for line in ended.out.splitlines() if line.split()[:1] == [one["task"]])
        low, high = one["interval"]
        assert f" {100 * one['main_score']:.2f} " in row
        assert f"[{100 * low:.1f}, {100 * high:.1f}]" in row
        assert one["main_score_name"] in row
    assert "95 % bootstrap interval" in ended.out


def test_the_interval_is_a_seeded_bootstrap_over_queries(
    cli: Cli, tasks: list[Path], out: Path
) -> None:
    command = ("run", "-m", "hashing", *named(tasks[0]), "--json", "--output")
    one, other = (cli(*command, out / name).document["results"][0] for name in "ab")
    assert one["interval"] == other["interval"]
    low, high = one["interval"]
    assert low < one["main_score"] < high
    run = read_table(Path(one["path"]).parent / "receipts/Set.tsv.gz")
    values = rank_run(run, read_qrels(tasks[0] / "qrels.tsv")).values["ndcg_at_10"]
    elsewhere = bootstrap_mean(values, seed=12345)
    assert low == pytest.approx(elsewhere.low, abs=0.02)
    assert high == pytest.approx(elsewhere.high, abs=0.02)


def test_without_a_terminal_stderr_is_quiet(tasks: list[Path], out: Path) -> None:
    process = start("run", "-m", "hashing", *named(*tasks), "--output", out)
    printed, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told == ""
    assert "\x1b" not in printed


def test_quiet_says_nothing_at_all(cli: Cli, tasks: list[Path], out: Path) -> None:
    command = ("run", "-m", "hashing", *named(tasks[0]), "--output", out)
    assert cli(*command).code == 0
    assert "computed anew (other depth)" in cli(*command, "--depth", "10").err
    assert cli(*command, "-q", "--depth", "20").err == ""


def test_a_results_folder_that_cannot_be_written_is_named(
    cli: Cli, tasks: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ended = cli("run", *named(tasks[0]), "--output", tmp_path / "file" / "below", "--json")
    assert ended.code == 1
    assert "cannot write" in ended.document["failed"][0]["error"]


def _until(condition: Any, process: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_interrupt_ends_with_130_and_loses_nothing(
    tasks: list[Path], out: Path, tmp_path: Path
) -> None:
    """SIGINT while the second task is encoded; the same command goes on from there."""
    log = tmp_path / "log"
    command = ("run", "-m", "hashing", *named(*tasks[:2]), "--output", out, "--json")
    options = {"DRIVER_LOG": log, "DRIVER_DELAY": 0.1}
    process = start(*command, "--batch-tokens", "100", **options)
    _until((out / "cmedteb__hashing/1/Set.json").is_file, process)
    seen = len(lines_of(log))
    _until(lambda: len(lines_of(log)) > seen + 1, process)
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert printed == ""
    assert told.strip() == (
        "cmedteb: interrupted. Finished tasks are saved; the same command goes on from there."
    )
    assert [path.stem for path, _ in ResultStore(out).results()] == ["Set"]
    process = start(*command)
    document = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert [one["reused"] for one in document["results"]] == [True, False]
