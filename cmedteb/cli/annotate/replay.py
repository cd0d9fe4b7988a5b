"""`cmedteb annotate replay`: everything that was said, again, from the journal alone."""

from __future__ import annotations

from pathlib import Path

import click

from cmedteb.cli.console import note, print_json
from cmedteb.cli.options import EXISTING_FOLDER, FOLDER, json_option
from cmedteb.errors import CheckError, UsageError


@click.command("replay")
@click.argument("journal", type=click.Path(exists=True, path_type=Path), metavar="JOURNAL")
@click.option("--to", type=FOLDER, help="Write it there.")
@click.option(
    "--against",
    type=EXISTING_FOLDER,
    help="Compare with what lies there: reports, and versions of the judgements.",
)
@click.option(
    "--version",
    default="v1",
    show_default=True,
    metavar="vN",
    help="What the judgements are called, without --against.",
)
@click.option(
    "--results",
    type=EXISTING_FOLDER,
    help="The results folder, for a report that was made with one.",
)
@json_option
def command(
    journal: Path,
    to: Path | None,
    against: Path | None,
    version: str,
    results: Path | None,
    as_json: bool,
) -> None:
    """Derive every number and label again from JOURNAL alone, without a network.

    JOURNAL is a journal.sqlite, or the folder that it lies in. With --against each file is compared
    byte by byte (compressed ones by their content); a difference ends with 3.
    """
    from cmedteb.annotations.replay import (
        differences,
        has_scores,
        read_snapshot,
        replayed,
        said_by_default,
        said_in,
    )
    from cmedteb.results.files import write_atomic

    if to is None and against is None:
        raise UsageError("say where to write (--to DIR), or what to compare with (--against DIR)")
    snapshot = read_snapshot(journal)
    config = snapshot.config
    said = said_in(against, config.task) if against else said_by_default(config, version)
    if against and results is None and has_scores(against, said):
        raise UsageError(
            f"the report in {against} also tells scores, which no journal holds: give the results "
            "folder that it was made with as --results."
        )
    files = replayed(snapshot, said, results=results)
    for name, content in files.items() if to else ():
        write_atomic((to or Path()) / name, content)
    told = differences(files, against) if against else []
    if as_json:
        print_json(
            {
                "journal_sha256": snapshot.sha256,
                "files": sorted(files),
                "differences": told,
                "compared": against is not None,
            }
        )
    else:
        for name in sorted(files):
            click.echo(name)
    if told:
        raise CheckError(
            f"{len(told)} of {len(files)} files are not what {journal} gives: {told[0]}"
        )
    how = f"as in {against}" if against else f"written to {to}"
    note(f"{len(files)} files from journal {snapshot.sha256[:16]}, {how}")
