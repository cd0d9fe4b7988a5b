"""`cmedteb annotate plan`: pool the pairs and say what judging them takes. No judge is asked."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from cmedteb.cli.annotate.estimates import show_estimate
from cmedteb.cli.annotate.options import NOT_STATED, Shared, quiet_option
from cmedteb.cli.console import TerminalObserver, note, print_json
from cmedteb.cli.options import (
    EXISTING_FOLDER,
    FOLDER,
    access_options,
    json_option,
    tasks_dir_option,
)
from cmedteb.cli.sections import SectionedCommand, SectionedOption

_pool = partial(click.option, cls=SectionedOption, section="The pool")
_panel = partial(click.option, cls=SectionedOption, section="The panel")
_rule = partial(click.option, cls=SectionedOption, section="The rule")
_checks = partial(click.option, cls=SectionedOption, section="Checks on the judges")
CHECKS = Shared("Checks on the judges")
PANEL = Shared("The panel")
POOL = Shared("The pool")
RULE = Shared("The rule")


@click.command("plan", cls=SectionedCommand)
@click.argument("folder", type=FOLDER, metavar="DIR")
@_pool("-t", "--task", required=True, metavar="TASK", help="A retrieval or reranking task.")
@_pool(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help=f"Run it now and pool what it returns; repeatable.  [default: bm25 and a small dense "
    f"model, unless --runs or --results] {NOT_STATED}",
)
@_pool(
    "--results",
    type=EXISTING_FOLDER,
    help="Pool stored receipts instead of running: of the models named by -m, or of all.",
)
@_pool(
    "--runs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Pool a TREC run; repeatable.",
)
@POOL.pool_depth(f"Documents of each system and query. {NOT_STATED}")
@_pool("--queries", type=click.IntRange(min=1), help="A random sample of so many queries.")
@_pool("--exclude-query", "excluded", multiple=True, metavar="ID", help="Leave it out; repeatable.")
@POOL.cut(f"Characters of a document that judges see; 0 is all. {NOT_STATED}")
@_pool(
    "--judgements",
    default="original",
    show_default=True,
    metavar="original|vN",
    help="The judgements to start from.",
)
@_pool("--overlays", type=EXISTING_FOLDER, help="Where other versions of them lie.")
@PANEL.panel("Who judges: paper, open-weights, local, or a file.")
@PANEL.rubric("relevance.v1", f"What judges are told. {NOT_STATED}")
@_panel(
    "--answer",
    "form",
    type=click.Choice(["score-first", "reason-first"]),
    default="score-first",
    show_default=True,
    help=f"What a judge writes first. {NOT_STATED}",
)
@RULE.threshold(f"The lowest grade that is positive. {NOT_STATED}")
@RULE.rule(
    "All at or above the threshold; or all of one grade (the paper says that all agree, not "
    "which of the two); or most; or by a model of the judges' errors."
)
@_rule(
    "--cascade",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Stop asking about a pair when unanimity is impossible, but judge this random share in "
    "full, for the statistics.  [default: judge everything]",
)
@_checks(
    "--retest",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="Pairs asked first and again at the end (a tenth of the pool at most).",
)
@_checks(
    "--reversed",
    "reversed_share",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share asked again with the scale printed from 5 to 1.",
)
@_checks(
    "--canaries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Texts that try to speak to the judge, of each trick; 0 is none.",
)
@CHECKS.seed()
@access_options
@tasks_dir_option
@quiet_option
@json_option
def command(**flags: Any) -> None:
    """Pool the pairs to be judged in DIR, and say what judging them takes.

    The pool is the union of what systems returned, and all that is judged relevant already, for
    judgements can be wrong in both directions. Nothing is asked of any judge. The same plan again
    changes nothing; another one needs a folder of its own.
    """
    from cmedteb.annotations.planning import Choices, Sources, plan
    from cmedteb.api import prepare

    folder: Path = flags["folder"]
    names = ("tasks_dir", "data_dir", "hub", "offline", "judgements", "overlays")
    prepared = prepare(
        (flags["task"],), output=folder / "results", **{name: flags[name] for name in names}
    )
    sources = Sources(
        models=flags["models"],
        results=flags["results"],
        runs=flags["runs"],
        query_sample=flags["queries"],
        excluded_queries=flags["excluded"],
    )
    more = ("form", "threshold", "rule", "cascade", "retest", "reversed_share", "canaries")
    choices = Choices(
        panel=flags["panel"],
        rubric=flags["rubric"],
        depth=flags["pool_depth"],
        cut_chars=flags["cut"] or None,
        seed=flags["seed"],
        more={name: flags[name] for name in more},
    )
    quiet = flags["quiet"] or flags["as_json"]
    task = _only(prepared.tasks)
    with TerminalObserver(quiet=quiet) as observer:
        journal = plan(folder, task, prepared.options, sources, choices=choices, observer=observer)
    with journal:
        snapshot = journal.snapshot()
    told = _estimated(folder, snapshot)
    if flags["as_json"]:
        print_json({"folder": str(folder), "task": snapshot.config.task, **told.as_json()})
        return
    show_estimate(told, snapshot.config)
    if not flags["quiet"]:
        note(f"planned in {folder}. Next: cmedteb annotate doctor {folder}")


def _only(tasks: list[Any]) -> Any:
    from cmedteb.errors import UsageError

    if len(tasks) != 1:
        names = ", ".join(task.card.name for task in tasks)
        raise UsageError(f"an annotation has one task, and this names {len(tasks)}: {names}")
    return tasks[0]


def _estimated(folder: Path, snapshot: Any) -> Any:
    from cmedteb.annotations.annotate import left

    return left(folder, snapshot)
