"""`cmedteb annotate status`: how far each judge is, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmedteb.cli.annotate.estimates import hours, money, tokens
from cmedteb.cli.console import print_json, show
from cmedteb.cli.options import EXISTING_FOLDER, json_option

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.annotations.status import JudgeStatus


@click.command("status")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@json_option
def command(folder: Path, *, as_json: bool) -> None:
    """Say how far each judge is, what it cost, and whether it is still the same model.

    It may be called while `run` is at work.
    """
    from cmedteb.annotations.annotate import progress

    task, currency, judges = progress(folder)
    cost = sum(one.cost for one in judges)
    if as_json:
        rows = [one.as_json() for one in judges]
        print_json({"task": task, "currency": currency, "cost": cost, "judges": rows})
        return
    show(_table(judges, currency), *_notes(judges, currency))


def _table(judges: tuple[JudgeStatus, ...], currency: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("judge", overflow="fold")
    for heading in ("done", "graded", "missing", "tokens", f"cost {currency}", "/s", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in judges:
        scored = one.states["scored"]
        share = one.settled / one.total if one.total else 1.0
        table.add_row(
            one.judge,
            f"{100 * share:.1f} %",
            f"{scored:,}",
            f"{one.settled - scored:,}",
            tokens(one.tokens_in + one.tokens_out),
            money(one.cost),
            f"{one.speed:.1f}",
            _left(one),
        )
    return table


def _left(one: JudgeStatus) -> str:
    if one.settled >= one.total:
        return "done"
    return "-" if one.seconds_left is None else hours(one.seconds_left / 3600)


def _notes(judges: tuple[JudgeStatus, ...], currency: str) -> list[str]:
    lines = []
    for one in judges:
        states = one.states
        missing = ", ".join(
            f"{states[state]:,} {state}"
            for state in ("refused", "cut", "invalid", "failed")
            if states[state]
        )
        if missing:
            lines.append(f"{one.judge}: {missing}. Missing is never a grade.")
        if one.unfinished:
            lines.append(
                f"{one.judge}: a crash cut off {one.unfinished} requests, which may have cost up "
                f"to {money(one.at_risk)} {currency} besides."
            )
        if one.drifted:
            names = ", ".join([*one.returned_models, *one.fingerprints])
            lines.append(f"{one.judge}: more than one model or build has answered: {names}")
    return lines
