"""`cmedteb export`. Run: pytest tests/cli/test_export.py. What is written: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

import cmedteb
from cli.conftest import Cli


@pytest.fixture(scope="module")
def results(tasks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    for model in ("bm25", "hashing"):
        cmedteb.evaluate(model, tasks, output=out)
    return out


@pytest.mark.parametrize(("shape", "first"), [("csv", "model,revision"), ("latex", r"\begin{tabu")])
def test_text_goes_to_stdout_or_to_a_file(
    cli: Cli, results: Path, tmp_path: Path, shape: str, first: str
) -> None:
    printed = cli("export", "--format", shape, "--results", results)
    assert (printed.code, printed.err) == (0, "")
    assert printed.out.startswith(first)
    file = tmp_path / "deep" / f"table.{shape}"
    written = cli("export", "--format", shape, "--results", results, "--to", file)
    assert (written.out, written.err) == ("", f"wrote {file}\n")
    assert file.read_text(encoding="utf-8") == printed.out


@pytest.mark.parametrize(("shape", "count"), [("mteb", 6), ("trec", 4)])
def test_files_go_to_a_folder(
    cli: Cli, results: Path, tmp_path: Path, shape: str, count: int
) -> None:
    folder = tmp_path / "there"
    ended = cli("export", "--format", shape, "--results", results, "--to", folder)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"wrote {count} files under {folder}\n"
    ended = cli("export", "--format", shape, "--results", results)
    assert ended.code == 2
    assert "say where with --to DIR" in ended.err


def test_models_and_tasks_can_be_chosen(cli: Cli, results: Path) -> None:
    command = ("export", "--format", "latex", "--results", results)
    table = cli(*command, "-m", "bm25", "-t", "Set", "-t", "Pairs").out
    assert "Model & Pairs & Set" in table
    assert "hashing" not in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "bge"], "It holds: cmedteb/bm25, cmedteb/hashing"),
        (["-t", "Nothing"], "holds no results of that kind"),
        (["--judgements", "v3"], "holds no results of that kind"),
    ],
)
def test_nothing_to_export_is_an_error(
    cli: Cli, results: Path, arguments: list[str], message: str
) -> None:
    ended = cli("export", "--format", "csv", "--results", results, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_an_exported_run_is_scored_as_stored(
    cli: Cli, results: Path, tasks: list[Path], tmp_path: Path
) -> None:
    cli("export", "--format", "trec", "--results", results, "--to", tmp_path)
    run = tmp_path / "cmedteb__bm25@1.Set.run"
    document = cli("score", run, "-t", tasks[0], "--json").document
    stored = cli("run", "-m", "bm25", "-t", tasks[0], "--output", results, "--json").document
    scores = stored["results"][0]["scores"]
    scores.pop("main_score")
    assert document["scores"] == pytest.approx(scores, abs=1e-12)
