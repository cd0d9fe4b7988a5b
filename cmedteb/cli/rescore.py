"""`cmedteb rescore`: stored receipts under other judgements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import note, points, print_json, show
from cmedteb.cli.options import EXISTING_FOLDER, json_option, results_option, tasks_option
from cmedteb.errors import CheckError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.results.select import Stored

TOLERANCE = 1e-6


@click.command("rescore")
@click.option("--judgements", required=True, metavar="original|vN", help="The version to use.")
@click.option("-m", "--model", "models", multiple=True, help="Only this model; repeatable.")
@tasks_option("Only this task; repeatable.")
@click.option(
    "--overlays", type=EXISTING_FOLDER, help="Where versions lie: DIR/<Task>/vN.tsv.gz and vN.json."
)
@results_option
@json_option
def command(
    judgements: str,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    overlays: Path | None,
    results: Path,
    as_json: bool,
) -> None:
    """Score stored receipts again: no model, no GPU, no texts.

    New scores lie beside the old ones, in a folder named after the version. `--judgements
    original` writes nothing: it recomputes what is stored, and ends with 3 where it differs.
    """
    from cmedteb.results import ResultStore
    from cmedteb.results.select import select

    store = ResultStore(results)
    stored = select(store, models=models, tasks=tasks)
    if not stored:
        raise UsageError(f"{results} holds no results of that kind. `cmedteb run` makes some.")
    if judgements == "original":
        rows = [_verified(store, one) for one in stored]
    else:
        rows = _rescored(store, stored, judgements, overlays)
    if as_json:
        print_json(rows)
    else:
        show(_table(rows, judgements))
    wrong = [row["path"] for row in rows if not row.get("holds", True)]
    if wrong:
        raise CheckError(f"{len(wrong)} stored scores differ from their receipts: {wrong[0]}, ...")


def _verified(store: Any, one: Stored) -> dict[str, Any]:
    from cmedteb.runner.rescore import recompute

    after = recompute(store, one.path, one.result)
    stored = one.result.values
    holds = all(abs(stored[name] - value) <= TOLERANCE for name, value in after.scores.items())
    return {**_row(one.result, after.main_score, one.path), "holds": holds}


def _rescored(
    store: Any,
    stored: list[Stored],
    version: str,
    folder: Path | None,
) -> list[dict[str, Any]]:
    from cmedteb.annotations import read_overlay
    from cmedteb.runner.rescore import rescore

    rows = []
    for one in stored:
        if one.result.task_type == "sts":
            note(f"{one.path}: pairs have original judgements only; left out")
            continue
        overlay = read_overlay(one.result.task_name, version, folder)
        done = rescore(store, one.path, one.result, overlay)
        rows.append(_row(done.before, done.after.main_score, done.path))
    return rows


def _row(before: Any, after: float, path: Path) -> dict[str, Any]:
    return {
        "model": before.model.name,
        "revision": before.model.revision,
        "task": before.task_name,
        "main_score_name": before.main_score_name,
        "before": before.main_score,
        "after": after,
        "path": str(path),
    }


def _table(rows: list[dict[str, Any]], judgements: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption="scores x 100")
    table.add_column("model", overflow="fold")
    table.add_column("task", overflow="fold")
    table.add_column("score")
    for heading in ("stored", judgements if judgements != "original" else "recomputed", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        change = 100 * (row["after"] - row["before"])
        table.add_row(
            row["model"],
            row["task"],
            row["main_score_name"],
            points(row["before"]),
            points(row["after"]),
            f"{change:+.2f}",
        )
    return table
