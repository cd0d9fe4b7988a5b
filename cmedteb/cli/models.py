"""`cmedteb models`: which systems have a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        "Models saved by sentence-transformers run without a card: give -m a hub id\n"
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
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for key, value in _rows(_document(card)):
        table.add_row(key, Text(value))
    show(table)


def _rows(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """What a card states, one row a fact; facts of a table after its name and a point."""
    for key, value in document.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _rows(value, f"{name}.")
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value)) or "none"
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif isinstance(value, int):
            yield name, f"{value:,}"
        elif value == "":
            yield name, "(none)"
        elif value is not None:
            yield name, str(value).replace("\n", "\\n")


def _document(card: ModelCard) -> dict[str, Any]:
    """A card as plain values, what names it first."""
    document = card.model_dump(mode="json")
    first = {key: document.pop(key) for key in ("name", "title")}
    return {**first, **document}
