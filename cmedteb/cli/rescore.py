"""`cmedteb rescore`: stored receipts under other judgements."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import note, points, print_json, show
from cmedteb.cli.options import EXISTING_FOLDER, json_option, results_option, tasks_option
from cmedteb.errors import CheckError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.results import TaskResult
    from cmedteb.results.select import Stored
    from cmedteb.tasks import Scored

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
        rows = _rescored(store, stored, judgements, folder=overlays, named=bool(tasks))
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
    return {**_row(one.result, after.main_score, one.path), "holds": _holds(one.result, after)}


def _holds(result: TaskResult, after: Scored) -> bool:
    """Whether every stored number that the receipt gives is the one it gives."""
    low, high, _ = after.interval
    given = {**after.scores, "main_score": after.main_score, "low": low, "high": high}
    stored = {**result.values, "low": result.interval.low, "high": result.interval.high}
    return all(_equal(stored.get(name), value) for name, value in given.items())


def _equal(stored: float | None, value: float) -> bool:
    return isnan(value) if stored is None else abs(stored - value) <= TOLERANCE


def _rescored(
    store: Any,
    stored: list[Stored],
    version: str,
    *,
    folder: Path | None,
    named: bool,
) -> list[dict[str, Any]]:
    """Rescore what has such judgements; a task that was named must have them."""
    from cmedteb.annotations import read_overlay
    from cmedteb.runner.rescore import rescore

    rows, without = [], []
    for one in stored:
        if one.result.task_type == "sts":
            note(f"{one.path}: pairs have original judgements only; left out")
            continue
        try:
            overlay = read_overlay(one.result.task_name, version, folder)
        except UsageError as error:
            if named:
                raise
            without.append(str(error))
            continue
        done = rescore(store, one.path, one.result, overlay)
        rows.append(_row(done.before, done.after.main_score, done.path))
    if without and not rows:
        raise UsageError(without[0])
    for message in without:
        note(f"left out: {message}")
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
