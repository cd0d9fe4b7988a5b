"""`cmedteb leaderboard build`: the board of a results folder as a static site."""

from __future__ import annotations

from pathlib import Path

import click

from cmedteb.cli.console import note
from cmedteb.cli.leaderboard.options import board_options, built
from cmedteb.cli.options import FOLDER


@click.command("build")
@board_options
@click.option("--to", type=FOLDER, default=Path("dist"), show_default=True, help="Where to write.")
def command(
    results: Path, tasks_dir: Path | None, judgements: str, overlays: Path | None, to: Path
) -> None:
    """Write the site: pages, JSON, CSV.

    Every number is recomputed from receipts; what a result claims is not looked at. The pages open
    from the disk and need no server. The same results give the same bytes.
    """
    from cmedteb.leaderboard.site import write_site

    found = built(results, tasks_dir=tasks_dir, judgements=judgements, overlays=overlays)
    write_site(found.board, found.comparisons, to)
    for one in found.board.left_out:
        note(f"left out: {one.task}, {one.model or 'judgements'}: {one.reason}")
    models, cells = len(found.board.models), len(found.board.cells)
    note(f"{models} models, {cells} results")
    click.echo(to / "index.html")
