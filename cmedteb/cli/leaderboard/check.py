"""`cmedteb leaderboard check`: what a submission must pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmedteb.cli.console import note
from cmedteb.cli.options import EXISTING_FOLDER, results_option, tasks_dir_option
from cmedteb.errors import CheckError, UsageError

if TYPE_CHECKING:
    from cmedteb.leaderboard.check.context import Context
    from cmedteb.leaderboard.check.history import Base


@click.command("check")
@click.argument("folders", nargs=-1, type=EXISTING_FOLDER, metavar="[FOLDER]...")
@click.option(
    "--changed",
    metavar="COMMIT",
    help="Only what changed since COMMIT, of which nothing may be lost (git).",
)
@click.option(
    "--base",
    type=EXISTING_FOLDER,
    help="The same with another results folder: as it was before.",
)
@tasks_dir_option
@click.option(
    "--overlays", type=EXISTING_FOLDER, help="Where versions lie: DIR/<Task>/vN.tsv.gz and vN.json."
)
@results_option
def command(
    folders: tuple[Path, ...],
    changed: str | None,
    base: Path | None,
    tasks_dir: Path | None,
    overlays: Path | None,
    results: Path,
) -> None:
    """Check results: all of them, FOLDERs of models or revisions, or what changed.

    Every score is recomputed from its receipt. Faults go to stdout, one a line; warnings, which a
    person should look at, to stderr. Exit code 3: there are faults.
    """
    from cmedteb.leaderboard.check.submission import check

    if not results.is_dir():
        raise UsageError(f"there is no results folder {results}. `cmedteb run` makes one.")
    inside = [folder.resolve() for folder in folders]
    root = results.resolve()
    if outside := [folder for folder in inside if root not in {folder, *folder.parents}]:
        raise UsageError(f"{outside[0]} does not lie in {root}. Name its results folder: --results")
    found = check(
        _context(root, tasks_dir, overlays), only=inside or None, base=_base(root, changed, base)
    )
    faults = [one for one in found if not one.warning]
    for one in found:
        click.echo(str(one), err=one.warning)
    if faults:
        raise CheckError(f"{len(faults)} faults")
    note("no fault")


def _context(root: Path, tasks_dir: Path | None, overlays: Path | None) -> Context:
    from cmedteb.cli.leaderboard.options import released_judgements
    from cmedteb.leaderboard.check.context import Context
    from cmedteb.leaderboard.describe import cards_by_model
    from cmedteb.leaderboard.known import known_data
    from cmedteb.tasks import catalogue

    return Context(
        root=root,
        tasks=catalogue(tasks_dir).cards,
        data=known_data(),
        releases=released_judgements(overlays),
        cards=cards_by_model(),
    )


def _base(root: Path, changed: str | None, base: Path | None) -> Base | None:
    from cmedteb.leaderboard.check.history import folder_base, git_base

    if changed is not None and base is not None:
        raise UsageError("--changed and --base both say what was there before: give one")
    if changed is not None:
        return git_base(root, changed)
    return folder_base(base) if base is not None else None
