"""`cmedteb compare`: is model A better than model B, or is it chance?"""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import points, print_json, show, span
from cmedteb.cli.options import json_option, results_option, tasks_option

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.runner.compare import TaskComparison


@click.command("compare")
@click.argument("a")
@click.argument("b")
@tasks_option("Only this task; repeatable.  [default: all that both have]")
@click.option("--metric", help="A ranking score such as recall_at_10.  [default: the main score]")
@click.option("--judgements", default="original", show_default=True, metavar="original|vN")
@results_option
@json_option
def command(
    a: str,
    b: str,
    tasks: tuple[str, ...],
    metric: str | None,
    judgements: str,
    results: Path,
    as_json: bool,
) -> None:
    """Compare two models query by query, from their receipts alone.

    A and B are models with stored results: bm25, org/model, org/model@revision. The interval is
    a paired bootstrap over queries, p a two-sided permutation test.
    """
    from cmedteb.results import ResultStore
    from cmedteb.runner.compare import compare

    found = compare(ResultStore(results), a, b, tasks=tasks, metric=metric, judgements=judgements)
    if as_json:
        print_json({"a": a, "b": b, "tasks": [_document(one) for one in found]})
    else:
        show(_table(a, b, found))


def _document(one: TaskComparison) -> dict[str, Any]:
    outcome = one.comparison
    low, high, level = outcome.interval
    return {
        "task": one.task,
        "metric": one.metric,
        "queries": one.units,
        "a": outcome.mean_a,
        "b": outcome.mean_b,
        "difference": outcome.difference,
        "interval": None if isnan(low) else [low, high],
        "level": level,
        "p": outcome.p_permutation,
        "wins": outcome.wins,
        "ties": outcome.ties,
        "losses": outcome.losses,
    }


def _table(a: str, b: str, found: list[TaskComparison]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"A = {a}, B = {b}",
        box=box.SIMPLE_HEAD,
        caption="scores x 100; paired bootstrap interval; permutation test; W/T/L of A by query",
    )
    table.add_column("task and score", overflow="fold")
    for heading in ("A", "B", "A - B", "95 % interval", "p", "W/T/L"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        outcome = one.comparison
        table.add_row(
            f"{one.task}\n{one.metric}",
            points(outcome.mean_a),
            points(outcome.mean_b),
            f"{100 * outcome.difference:+.2f}",
            span(outcome.interval.low, outcome.interval.high),
            f"{outcome.p_permutation:.4f}",
            f"{outcome.wins}/{outcome.ties}/{outcome.losses}",
        )
    return table
