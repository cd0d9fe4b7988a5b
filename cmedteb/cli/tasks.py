"""`cmedteb tasks`: what can be evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import print_json, show
from cmedteb.cli.options import json_option, tasks_dir_option
from cmedteb.errors import UsageError

if TYPE_CHECKING:
    from cmedteb.tasks import Catalogue, TaskCard


@click.group("tasks", invoke_without_command=True)
@tasks_dir_option
@json_option
@click.pass_context
def command(ctx: click.Context, tasks_dir: Path | None, as_json: bool) -> None:
    """List the tasks and benchmarks, or show one."""
    if ctx.invoked_subcommand is not None:
        return
    from cmedteb.tasks import catalogue

    known = catalogue(tasks_dir)
    if as_json:
        print_json([_summary(card, known) for card in known.cards.values()])
    else:
        _print_list(known)


@command.command("show")
@click.argument("name")
@tasks_dir_option
@json_option
def show_one(name: str, tasks_dir: Path | None, as_json: bool) -> None:
    """Show one task: its card."""
    from cmedteb.tasks import catalogue

    known = catalogue(tasks_dir)
    if name not in known.cards:
        raise UsageError(f"there is no task {name!r}. `cmedteb tasks` lists them.")
    card = known.cards[name]
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        _print_card(card, known)


def _summary(card: TaskCard, known: Catalogue) -> dict[str, Any]:
    return {
        "name": card.name,
        "type": card.type,
        "title": card.title.model_dump(),
        "main_score": card.main_score,
        "split": card.split,
        "benchmarks": _member_of(card, known),
        "queries": card.sizes.queries,
        "documents": card.sizes.documents,
        "pairs": card.sizes.pairs,
        "licence": card.licence.name,
        "source": _where(card),
    }


def _member_of(card: TaskCard, known: Catalogue) -> list[str]:
    return [name for name, one in known.benchmarks.items() if card.name in one.tasks]


def _where(card: TaskCard) -> str:
    """Where the data comes from, in one word or two."""
    if card.source.kind == "hub":
        return str(card.source.hf)
    return "in this package" if card.source.kind == "packaged" else "--data-dir only"


def _origin(card: TaskCard) -> str:
    """Where the data comes from, short enough for a column."""
    return _where(card).partition("/")[0] if card.source.kind == "hub" else _where(card)


def _print_list(known: Catalogue) -> None:
    from rich import box
    from rich.table import Table

    for name, benchmark in known.benchmarks.items():
        title = f"{name}  ({benchmark.title.en.removeprefix(f'{name}: ')})"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, min_width=78)
        table.add_column("task", no_wrap=True)
        table.add_column("type")
        table.add_column("main score")
        table.add_column("queries", justify="right")
        table.add_column("data")
        for task in benchmark.tasks:
            card = known.cards[task]
            size = card.sizes.queries or card.sizes.pairs
            table.add_row(
                task, str(card.type), card.main_score, f"{size:,}" if size else "", _origin(card)
            )
        show(table)


def _print_card(card: TaskCard, known: Catalogue) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    facts = {
        card.name: f"{card.title.zh}  {card.title.en}",
        "type": f"{card.type}, main score {card.main_score}, split {card.split}",
        "benchmarks": ", ".join(_member_of(card, known)) or "none",
        "data": f"{_where(card)} {('@ ' + card.source.revision) if card.source.revision else ''}",
        "licence": f"{card.licence.name} {card.licence.url or ''}",
        "made from": ", ".join(card.contamination.derived_from),
        "sizes": ", ".join(
            f"{key.replace('_', ' ')} {value:,}"
            for key, value in card.sizes.model_dump(exclude={"source"}).items()
            if value is not None
        ),
        "instruction": card.prompt.query.get("en", "") if card.prompt else "",
        "note": card.note,
    }
    for key, value in facts.items():
        if value.strip():
            table.add_row(key, value.strip())
    show(table, *([f"\n{card.citation.strip()}"] if card.citation else []))
