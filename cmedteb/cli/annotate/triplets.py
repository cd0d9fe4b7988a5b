"""`cmedteb annotate triplets`: training rows of a query, a positive and true negatives."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.annotate.estimates import money, show_estimate
from cmedteb.cli.annotate.options import NOT_STATED, Shared, quiet_option
from cmedteb.cli.console import TerminalObserver, note, print_json, show
from cmedteb.cli.options import FOLDER, access_options, json_option, tasks_dir_option
from cmedteb.cli.sections import SectionedCommand, SectionedOption
from cmedteb.errors import UsageError

if TYPE_CHECKING:
    from cmedteb.annotations.triplets import Nearness, Shape
    from cmedteb.api import Plan

_diversity = partial(
    click.option, cls=SectionedOption, section="Diversity: drop a query that has many near ones"
)
_mining = partial(click.option, cls=SectionedOption, section="Candidates")
_panel = partial(click.option, cls=SectionedOption, section="The panel")
_rows = partial(click.option, cls=SectionedOption, section="The rows")
CANDIDATES = Shared("Candidates")
OPTIONS = Shared("Options")
PANEL = Shared("The panel")


@click.command("triplets", cls=SectionedCommand)
@click.option(
    "-t", "--task", required=True, metavar="TASK", help="A retrieval set: a name or a folder."
)
@click.option("--to", "folder", type=FOLDER, required=True, metavar="DIR", help="Where to write.")
@_diversity(
    "--near",
    type=float,
    metavar="T",
    help=f"Queries more similar than T are near. {NOT_STATED}",
)
@_diversity(
    "--most-near",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Drop a query with more than N near ones. {NOT_STATED}",
)
@_diversity(
    "--keep-all", is_flag=True, help="Drop none; without it both of the above must be given."
)
@_diversity(
    "--seeds",
    type=click.IntRange(min=0),
    default=5000,
    show_default=True,
    help="Queries that the index begins with.",
)
@_diversity(
    "--diversity-model",
    metavar="MODEL",
    help="The encoder that says what is similar.  [default: the last -m]",
)
@_mining(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Mine with it; repeatable.  [default: bm25 and a small dense model]",
)
@CANDIDATES.pool_depth("Documents of each model and query.")
@CANDIDATES.cut("Characters of a document that judges see; 0 is all.")
@PANEL.panel("Who judges; gpt-4o is the one judge that the paper used here.")
@PANEL.rubric("relevance.v1", "What judges are told.")
@PANEL.threshold("The lowest grade that is positive.")
@PANEL.rule("When a pair is positive; undecided pairs are in no row.")
@PANEL.budget("What the judging may cost in all; never exceeded.")
@_panel("--dry-run", is_flag=True, help="De-duplicate, mine and estimate; no judge is asked.")
@_rows(
    "--positives",
    type=click.Choice(["panel", "confirmed", "original"]),
    default="panel",
    show_default=True,
    help="All that the panel calls positive; of the data set's those that it confirms; or those "
    "that it does not call negative.",
)
@_rows("--all-positives", is_flag=True, help="One row a query, instead of one a positive.")
@_rows(
    "--negatives",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="The most in a row (as in the rows that the paper's authors show).",
)
@_rows(
    "--fewest",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Leave out rows with fewer negatives.",
)
@_rows(
    "--choose",
    type=click.Choice(["hardest", "random"]),
    default="hardest",
    show_default=True,
    help=f"Which negatives. {NOT_STATED}",
)
@OPTIONS.seed()
@access_options
@tasks_dir_option
@quiet_option
@json_option
def command(**flags: Any) -> None:
    """Build training triplets without false negatives.

    Queries that have many near ones are dropped, candidates are mined for the rest, a panel judges
    them, and what it calls negative becomes the negatives: triplets.jsonl and stats.json in DIR,
    with the journal of the judging. The same command again goes on where it stopped.
    """
    from cmedteb.annotations.annotate import left
    from cmedteb.annotations.triplets import build_triplets

    folder: Path = flags["folder"]
    quiet = flags["quiet"] or flags["as_json"]
    _plan(folder, flags, quiet=quiet)
    if flags["dry_run"]:
        snapshot = _snapshot(folder)
        told = left(folder, snapshot)
        if flags["as_json"]:
            print_json({"folder": str(folder), "task": snapshot.config.task, **told.as_json()})
        else:
            show_estimate(told, snapshot.config)
        return
    stats = build_triplets(folder, _shape(flags), budget=flags["budget"])
    if flags["as_json"]:
        print_json({"folder": str(folder), **stats})
    elif not flags["quiet"]:
        _tell(stats, folder)


def _plan(folder: Path, flags: dict[str, Any], *, quiet: bool) -> None:
    from cmedteb.annotations.planning import Choices
    from cmedteb.annotations.triplets import Mining, plan_triplets
    from cmedteb.api import prepare

    names = ("tasks_dir", "data_dir", "hub", "offline")
    prepared = prepare(
        (flags["task"],), output=folder / "results", **{name: flags[name] for name in names}
    )
    if len(prepared.tasks) != 1:
        raise UsageError(f"-t {flags['task']} names {len(prepared.tasks)} tasks; give one")
    choices = Choices(
        panel=flags["panel"],
        rubric=flags["rubric"],
        depth=flags["pool_depth"],
        cut_chars=flags["cut"] or None,
        seed=flags["seed"],
        more={
            "threshold": flags["threshold"],
            "rule": flags["rule"],
            "retest": 0,
            "reversed_share": 0.0,
            "canaries": 0,
        },
    )
    nearness = _nearness(flags, prepared)
    with TerminalObserver(quiet=quiet) as observer:
        mining = Mining(flags["models"], nearness)
        plan_triplets(
            folder,
            prepared.tasks[0],
            prepared.options,
            mining,
            choices=choices,
            observer=observer,
        ).close()


def _nearness(flags: dict[str, Any], prepared: Plan) -> Nearness | None:
    from cmedteb.annotations.retrieve import DEFAULT_MODELS
    from cmedteb.annotations.triplets import Diversity, Nearness
    from cmedteb.runner.evaluate import bind

    near, most = flags["near"], flags["most_near"]
    if flags["keep_all"] and near is None and most is None:
        return None
    if flags["keep_all"] or near is None or most is None:
        raise UsageError(
            "say how queries are de-duplicated: --near T and --most-near N, which the paper does "
            "not state, or --keep-all"
        )
    model = flags["diversity_model"] or (*DEFAULT_MODELS, *flags["models"])[-1]
    how = Diversity(near, most, seeds=flags["seeds"], seed=flags["seed"])
    return Nearness(how, bind(prepared.load(model), prepared.tasks[0]))


def _shape(flags: dict[str, Any]) -> Shape:
    from cmedteb.annotations.triplets import Choose, Positives, Shape

    return Shape(
        positives=Positives(flags["positives"]),
        all_positives=flags["all_positives"],
        negatives=flags["negatives"],
        fewest=flags["fewest"],
        choose=Choose(flags["choose"]),
        seed=flags["seed"],
    )


def _snapshot(folder: Path) -> Any:
    from cmedteb.annotations.journal import Journal

    with Journal.open(folder, writable=False) as journal:
        return journal.snapshot()


def _tell(stats: dict[str, Any], folder: Path) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    diversity = stats["diversity"]
    if diversity:
        table.add_row("queries", f"{diversity['queries']:,}")
        table.add_row("dropped: too many near ones", f"{diversity['dropped']:,}")
    table.add_row("queries mined", f"{stats['queries']:,}")
    table.add_row("pairs judged", f"{stats['pairs']:,}")
    for state, count in stats["labels"].items():
        table.add_row(f"  {state}", f"{count:,}")
    table.add_row("false negatives taken out", f"{stats['false_negatives_removed']:,}")
    table.add_row("positives rejected", f"{stats['rejected_originals']:,}")
    table.add_row("rows written", f"{stats['rows']:,}")
    table.add_row("negatives a row", f"{stats['negatives']['mean']:.1f}")
    table.add_row(f"cost, {stats['currency']}", money(stats["cost"]))
    show(table)
    note(f"{folder}/triplets.jsonl and stats.json are written")
