"""`cmedteb models`: which systems have a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import print_json, show
from cmedteb.cli.options import json_option
from cmedteb.errors import UsageError

if TYPE_CHECKING:
    from cmedteb.models import ModelCard


@click.group("models", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the model cards, or show one."""
    if ctx.invoked_subcommand is not None:
        return
    from cmedteb.models import all_cards

    cards = all_cards().values()
    if as_json:
        print_json([_document(card) for card in cards])
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("model", "family", "what it is"):
        table.add_column(heading)
    for card in cards:
        table.add_row(card.name, str(card.family), card.title)
    show(
        table,
        "Any sentence-transformers model runs without a card: give -m a hub id\n"
        "(org/name[@revision]) or a folder.",
    )


@command.command("show")
@click.argument("name")
@json_option
def show_one(name: str, as_json: bool) -> None:
    """Show one model card, by name or by path."""
    from cmedteb.models import find_card

    card = find_card(name)
    if card is None:
        raise UsageError(f"there is no model card {name!r}. `cmedteb models` lists them.")
    if as_json:
        print_json(_document(card))
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for key, value in _document(card).items():
        if value not in (None, "", {}):
            table.add_row(key.replace("_", " "), str(value))
    show(table)


def _document(card: ModelCard) -> dict[str, Any]:
    return card.model_dump(mode="json")
