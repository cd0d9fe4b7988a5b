"""`cmedteb annotate review`: pairs out to experts as files, and what they say back in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmedteb.cli.console import note, print_json, show
from cmedteb.cli.options import EXISTING_FOLDER, FOLDER, json_option

FORMATS = ("csv", "html", "labelstudio")
FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


class Formats(click.ParamType[tuple[str, ...]]):
    """Kinds of files between commas."""

    name = "list"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """A text to a tuple."""
        if isinstance(value, tuple):
            return value
        parts = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        for part in parts:
            if part not in FORMATS:
                self.fail(f"{part!r} is none of {', '.join(FORMATS)}", param, ctx)
        return parts


@click.group("review")
def command() -> None:
    """Let experts check the panel: blind first, then the pairs in doubt.

    export -> files to reviewers and back -> import -> annotate report
    """


@command.command("export")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.option(
    "--pairs",
    type=click.IntRange(min=1),
    default=700,
    show_default=True,
    help="How many; 700 give +-2 points on a rate of 92 %.",
)
@click.option(
    "--reviewer",
    "reviewers",
    multiple=True,
    metavar="NAME",
    help="A name or pseudonym; repeatable.  [default: reviewer-1]",
)
@click.option(
    "--phase",
    type=click.Choice(["blind", "adjudication"]),
    default="blind",
    show_default=True,
    help="Whether the judges' grades are hidden or shown.",
)
@click.option(
    "--format",
    "formats",
    type=Formats(),
    default=",".join(FORMATS),
    show_default=True,
    metavar="A,B,...",
    help="Kinds of files.",
)
@click.option(
    "--overlap",
    type=click.FloatRange(0.2, 1),
    default=0.2,
    show_default=True,
    help="Share of the pairs that every reviewer gets.",
)
@click.option(
    "--repeats",
    type=click.FloatRange(0, 0.4),
    default=0.1,
    show_default=True,
    help="Share that a reviewer gets twice, unmarked.",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Of the sample.")
@click.option(
    "--to", type=FOLDER, metavar="DIR", help="Where to write.  [default: review in the annotation]"
)
@click.option("--without-blind", is_flag=True, help="Adjudicate though no blind review is in.")
@click.option("--overwrite", is_flag=True, help="Write over files that differ.")
@json_option
def export(folder: Path, **flags: Any) -> None:
    """Write files for reviewers: a sheet, a page that works from the disk, Label Studio's tasks.

    The sample is stratified by how far the panel agreed. The sizes of the strata are kept in the
    journal, so that what reviewers say can be weighted back to the pool.
    """
    from cmedteb.annotations.records import Phase
    from cmedteb.annotations.review import Format, ReviewPlan, export_reviews

    as_json = flags.pop("as_json")
    flags["phase"] = Phase(flags["phase"])
    flags["formats"] = tuple(Format(name) for name in flags["formats"])
    flags["reviewers"] = flags["reviewers"] or ("reviewer-1",)
    done = export_reviews(folder, ReviewPlan(**flags))
    if as_json:
        print_json(done._asdict() | {"files": [str(path) for path in done.files]})
        return
    _show_strata(done.population, done.drawn)
    for name, sights in done.sights.items():
        note(f"{name}: {sights} items")
    for path in done.files:
        note(f"  {path}")


@command.command("import")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.argument("files", type=FILE, metavar="FILE...", nargs=-1, required=True)
@click.option("--new-only", is_flag=True, help="Leave out what the journal already holds.")
@json_option
def import_(folder: Path, files: tuple[Path, ...], *, new_only: bool, as_json: bool) -> None:
    """Take returned files into the journal, all or nothing.

    Sheets, downloads of the page and exports of Label Studio, in any mixture. An unknown item, a
    changed text or an answer that was given before is refused: nothing is ever overwritten.
    """
    from cmedteb.annotations.review import import_reviews

    done = import_reviews(folder, files, new_only=new_only)
    if as_json:
        reviews = [
            {"reviewer": name, "phase": str(phase), "reviews": count}
            for (name, phase), count in sorted(done.reviews.items())
        ]
        print_json(done._asdict() | {"reviews": reviews})
        return
    for (name, phase), count in sorted(done.reviews.items()):
        note(f"{name}, {phase}: {count} reviews imported")
    if done.known:
        note(f"{done.known} were in the journal already")
    note(f"{done.passed_by} rows without an answer; {done.still_open} items are still open")


def _show_strata(population: dict[str, int], drawn: dict[str, int]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("stratum")
    table.add_column("in the pool", justify="right")
    table.add_column("in the sample", justify="right")
    for name, size in population.items():
        table.add_row(name, f"{size:,}", f"{drawn.get(name, 0):,}")
    show(table)
