"""`cmedteb annotate run`: let the panel judge."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from cmedteb.cli.annotate.estimates import money, show_estimate
from cmedteb.cli.console import note, print_json
from cmedteb.cli.options import EXISTING_FOLDER, json_option

if TYPE_CHECKING:
    from cmedteb.annotations.judging import Tally


@click.command("run")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MONEY",
    help="What the whole annotation may cost, earlier runs included, in the currency of the "
    "panel. Reserved before each request, so it is never exceeded.",
)
@click.option("--dry-run", is_flag=True, help="Say what is left to be asked and paid; no call.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@json_option
def command(
    folder: Path, *, budget: float | None, dry_run: bool, quiet: bool, as_json: bool
) -> None:
    """Let the panel judge what it has not judged yet.

    Every answer is on the disk before it is read. The same command again goes on where it stopped;
    after a crash at most the requests that were in flight are paid twice. Ctrl-C sends nothing
    new, waits for what is in flight, and ends with 130.
    """
    from cmedteb.annotations.annotate import judge, left
    from cmedteb.annotations.journal import Journal

    if dry_run:
        with Journal.open(folder, writable=False) as journal:
            snapshot = journal.snapshot()
        told = left(folder, snapshot)
        if as_json:
            print_json({"folder": str(folder), "task": snapshot.config.task, **told.as_json()})
        else:
            show_estimate(told, snapshot.config)
        return
    with _Bars(live=sys.stderr.isatty() and not (quiet or as_json)) as bars:
        tallies = judge(folder, budget=budget, progress=bars.update)
    with Journal.open(folder) as journal:
        currency = journal.config.panel.currency
        cost = sum(answer.cost for answer in journal.snapshot().answers)
    _told(tallies, folder, cost=cost, currency=currency, as_json=as_json, quiet=quiet)


def _told(
    tallies: Sequence[Tally],
    folder: Path,
    *,
    cost: float,
    currency: str,
    as_json: bool,
    quiet: bool,
) -> None:
    missing = sum(one.total - one.settled for one in tallies)
    if as_json:
        judges = [_row(one) for one in tallies]
        print_json({"folder": str(folder), "cost": cost, "currency": currency, "judges": judges})
        return
    if quiet:
        return
    for one in tallies:
        states = ", ".join(f"{count:,} {state}" for state, count in sorted(one.states.items()))
        note(f"{one.judge}: {one.settled:,} of {one.total:,}" + (f" ({states})" if states else ""))
    note(f"cost so far: {money(cost)} {currency}")
    again = f"{missing:,} questions have no answer yet: run again. "
    note(f"{again if missing else ''}Next: cmedteb annotate report {folder}")


def _row(one: Tally) -> dict[str, Any]:
    states = {str(state): count for state, count in sorted(one.states.items())}
    return {"judge": one.judge, "total": one.total, "settled": one.settled, "states": states}


class _Bars:
    """One bar a judge on stderr, on a terminal."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._progress: Any = None
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if self._live:
            from cmedteb.cli.console import progress_bars

            self._progress = progress_bars()
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, tallies: Sequence[Tally]) -> None:
        """Show how far each judge is."""
        if self._progress is None:
            return
        for one in tallies:
            if one.judge not in self._bars:
                self._bars[one.judge] = self._progress.add_task(one.judge, unit="answers")
            self._progress.update(self._bars[one.judge], completed=one.settled, total=one.total)
