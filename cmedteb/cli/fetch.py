"""`cmedteb fetch`: bring data sets here while there is a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmedteb.cli.console import note, show
from cmedteb.cli.options import FOLDER, access_options, tasks_dir_option, tasks_option


@click.command("fetch")
@tasks_option("A task or a benchmark; repeatable.  [default: CMedTEB and CMIRB]")
@click.option(
    "--to",
    type=FOLDER,
    help="Also write each set to DIR/<Task>/ in the local layout, for --data-dir elsewhere.",
)
@click.option("--keep-going", is_flag=True, help="Go on with the next set when one fails.")
@access_options
@tasks_dir_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    tasks: tuple[str, ...],
    to: Path | None,
    keep_going: bool,
    **access: Any,
) -> None:
    """Download data sets ahead of time, and check them.

    Without --to they stay in the hub's cache, where `run --offline` finds them. Sets whose
    location is not published are left out unless they are named.
    """
    from cmedteb.api import prepare
    from cmedteb.errors import CmedtebError

    plan = prepare(tasks or ("CMedTEB", "CMIRB"), output=Path(), **access)
    failed: list[CmedtebError] = []
    for task in plan.tasks:
        if not tasks and task.card.source.kind == "local":
            note(f"{task.card.name}: its location is not published; give it with --data-dir")
            continue
        try:
            show(f"{task.card.name}: {_bring(task, plan.options.access, to)}")
        except CmedtebError as error:
            if not keep_going:
                raise
            failed.append(error)
            note(f"cmedteb: {task.card.name} failed: {error}")
    ctx.exit(max((error.exit_code for error in failed), default=0))


def _bring(task: Any, access: Any, to: Path | None) -> str:
    from cmedteb.data import export_folder
    from cmedteb.types import PairData

    data = task.load(access)
    if to is not None:
        export_folder(data, to / task.card.name, name=task.card.name, split=task.card.split)
    if isinstance(data, PairData):
        size = f"{len(data.pairs):,} pairs"
    else:
        size = f"{len(data.queries):,} queries, {len(data.corpus):,} documents"
    revision = data.provenance.revision[:12]
    return f"{size}, revision {revision}, content {data.provenance.content_hash[:12]}"
