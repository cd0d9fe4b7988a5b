"""`cmedteb annotate doctor`: can each judge of a panel work?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmedteb.cli.console import print_json, show
from cmedteb.cli.options import json_option
from cmedteb.errors import NotAvailableError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.annotations.doctor import Diagnosis

FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


@click.command("doctor")
@click.argument("folder", type=FOLDER, metavar="DIR", required=False)
@click.option("--panel", metavar="NAME|FILE", help="A panel instead of a planned annotation.")
@json_option
def command(folder: Path | None, *, panel: str | None, as_json: bool) -> None:
    """Ask each judge whether it can work: a few small calls, none where a key is missing.

    Key, model list, an announced end, the shape in which answers hold, a plain medical text that
    content filters have been seen to stop, and whether a pooled system is of the judge's own
    family. Exit code 4: a judge cannot work.
    """
    from cmedteb.annotations.annotate import examine

    if (folder is None) == (panel is None):
        raise UsageError("give either the folder of a planned annotation, or --panel")
    found = examine(folder, panel)
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        show(_table(found), *_notes(found))
    broken = [one.judge for one in found if not one.works]
    if broken:
        raise NotAvailableError(f"{len(broken)} of {len(found)} judges cannot work: {broken[0]}")


def _table(found: tuple[Diagnosis, ...]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("judge", "works", "key", "listed", "answers in", "plain medicine"):
        table.add_column(heading, overflow="fold")
    for one in found:
        listed = {True: "yes", False: "no", None: "-"}[one.listed]
        medicine = (one.refuses or "graded") if one.works else "-"
        works = "yes" if one.works else "no"
        table.add_row(one.judge, works, one.key, listed, one.structure or "-", medicine)
    return table


def _notes(found: tuple[Diagnosis, ...]) -> list[str]:
    lines = [f"{one.judge}: {one.problem}" for one in found if one.problem is not None]
    return lines + [f"{one.judge}: {told}" for one in found for told in one.warnings]
