"""`cmedteb annotate sts`: synonym pairs, written by an LLM and checked by a panel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.annotate.estimates import money, tokens
from cmedteb.cli.annotate.options import NOT_STATED, Shared
from cmedteb.cli.console import note, print_json, show
from cmedteb.cli.options import FOLDER, json_option
from cmedteb.cli.sections import SectionedCommand, SectionedOption

if TYPE_CHECKING:
    from cmedteb.annotations.sts import Outlook

FILE = click.Path(dir_okay=False, exists=True, path_type=Path)
_from = partial(click.option, cls=SectionedOption, section="What pairs are written from")
_who = partial(click.option, cls=SectionedOption, section="Who writes and who checks")
_set = partial(click.option, cls=SectionedOption, section="The set")
SET = Shared("The set")
WHO = Shared("Who writes and who checks")


@click.command("sts", cls=SectionedCommand)
@_from(
    "--vocabulary",
    type=FILE,
    required=True,
    help="Terms and their synonyms: TSV, or JSON lines of term and synonyms.",
)
@_from(
    "--sentences",
    type=FILE,
    help="Sentences that hold them, JSON lines of text.  [default: the writer makes them] "
    f"{NOT_STATED}",
)
@_from("--pairs", type=click.IntRange(min=1), help="A random sample of so many.")
@_who(
    "--writer",
    default="gpt-4o",
    show_default=True,
    metavar="PANEL[:LABEL]",
    help="Who writes the variants.",
)
@_who(
    "--prompt",
    default="sts-variants.v1",
    show_default=True,
    metavar="NAME|FILE",
    help=f"What the writer is told. {NOT_STATED}",
)
@WHO.panel("Who checks the pairs.")
@WHO.rubric("sts-synonym.v1", f"What the panel is told. {NOT_STATED}")
@WHO.threshold(f"The lowest grade that says the meaning is the same. {NOT_STATED}")
@WHO.rule("When the panel says so.")
@WHO.budget("What writing and checking may cost together; never exceeded.")
@_who("--dry-run", is_flag=True, help="Say what it will take; no call.")
@_set("--to", "folder", type=FOLDER, required=True, metavar="DIR", help="Where to write.")
@_set("--name", default="SynonymSTS", show_default=True, help="Of the set.")
@_set(
    "--score",
    type=click.Choice(["binary", "mean"]),
    default="binary",
    show_default=True,
    help=f"1 or 0 where the panel agrees with the writer; or the panel's mean grade. {NOT_STATED}",
)
@SET.seed()
@click.option("-q", "--quiet", is_flag=True, help="No notes.")
@json_option
def command(**flags: Any) -> None:
    """Build synonym pairs for STS, checked by a panel.

    For each sentence an LLM writes three variants: synonym swapped and meaning kept, swapped and
    meaning changed, not swapped and meaning changed. One is drawn and checked. DIR gets
    pairs.jsonl, which `cmedteb run -t DIR` takes, rejected.jsonl and stats.json, with the
    journals. The same command again goes on where it stopped.
    """
    from cmedteb.annotations.config import Rule
    from cmedteb.annotations.sts import Recipe, Score, build_pairs, outlook, plan_pairs

    names = ("vocabulary", "sentences", "name", "pairs", "writer", "prompt", "panel", "rubric")
    recipe = Recipe(
        **{name: flags[name] for name in (*names, "threshold", "seed")}, rule=Rule(flags["rule"])
    )
    folder: Path = flags["folder"]
    plan = plan_pairs(folder, recipe)
    if flags["dry_run"]:
        _show_outlook(outlook(plan), plan.panel.currency, as_json=flags["as_json"])
        return
    stats = build_pairs(folder, plan, score=Score(flags["score"]), budget=flags["budget"])
    if flags["as_json"]:
        print_json({"folder": str(folder), **stats})
    elif not flags["quiet"]:
        _tell(stats, folder)


def _show_outlook(outlooks: Sequence[Outlook], currency: str, *, as_json: bool) -> None:
    from cmedteb.annotations.sts import total

    if as_json:
        rows = [one._asdict() for one in outlooks]
        print_json({"calls": rows, "cost": total(outlooks), "currency": currency})
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption="about so much; a character counts as a token")
    for heading in ("", "LLM"):
        table.add_column(heading, overflow="fold")
    for heading in ("calls", "tokens in", "out", f"cost {currency}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in outlooks:
        cells = (tokens(one.tokens_in), tokens(one.tokens_out), money(one.cost))
        table.add_row(one.role, one.label, f"{one.calls:,}", *cells)
    table.add_row("all", "", "", "", "", money(total(outlooks)), style="bold")
    show(table)


def _tell(stats: dict[str, Any], folder: Path) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"{stats['pairs']:,} of {stats['drawn']:,} pairs")
    table.add_column("variant")
    headings = ("kept", "contradicted", "split", "missing", "stopped")
    for heading in headings:
        table.add_column(heading, justify="right")
    for kind, counts in stats["by_kind"].items():
        table.add_row(kind, *(f"{counts.get(heading, 0):,}" for heading in headings))
    show(table)
    without = sum(stats["without_draft"].values())
    cost = stats["cost"]
    note(f"{stats['seeds']:,} seeds, {without:,} without a draft that can be used")
    note(
        f"cost: {money(cost['writing'])} for writing, {money(cost['checking'])} for checking, "
        f"{cost['currency']}"
    )
    note(f"{folder}/pairs.jsonl, rejected.jsonl and stats.json are written")
