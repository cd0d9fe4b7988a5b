"""`cmedteb cache`: look at the vectors that are kept, and take away what is no longer needed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import note, print_json, show
from cmedteb.cli.options import FOLDER, Command, json_option
from cmedteb.errors import UsageError

if TYPE_CHECKING:
    from cmedteb.encoding.store.upkeep import Side

SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
UNITS = ("B", "kB", "MB", "GB", "TB")


class Age(click.ParamType[float]):
    """A time span such as `12h`, `30d` or `8w`, in seconds."""

    name = "AGE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        found = re.fullmatch(r"(\d+)([hdw])", str(value))
        if found is None:
            self.fail(
                f"{value!r} is no age: give hours, days or weeks, as 12h, 30d, 8w", param, ctx
            )
        return int(found[1]) * SECONDS[found[2]]


def vectors_option(command: Command) -> Command:
    """`--vectors`: the folder of the store."""
    return click.option(
        "--vectors",
        type=FOLDER,
        help="Where vectors are kept.  [default: $CMEDTEB_CACHE/vectors, or the user's cache]",
    )(command)


@click.group("cache", invoke_without_command=True)
@vectors_option
@json_option
@click.pass_context
def command(ctx: click.Context, vectors: Path | None, as_json: bool) -> None:
    """Show the vectors that are kept, or clean them.

    CMEDTEB_CACHE_LIMIT says how much is kept (20GB, or none for no limit; by default 50GB, and at
    most half of what the disk has left): beyond it, what was used longest ago goes first.
    """
    if ctx.invoked_subcommand is None:
        _show(vectors, as_json=as_json, verify=False)


@command.command("show")
@vectors_option
@click.option("--verify", is_flag=True, help="Read every vector, and count those that changed.")
@json_option
def show_all(vectors: Path | None, verify: bool, as_json: bool) -> None:
    """Show what is kept: one line for each side of a model."""
    _show(vectors, as_json=as_json, verify=verify)


@command.command("clean")
@vectors_option
@click.option("--model", metavar="NAME[@REVISION]", help="Vectors of this model.")
@click.option("--older-than", type=Age(), help="What was not used for so long: 12h, 30d, 8w.")
@click.option("--all", "everything", is_flag=True, help="All vectors.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def clean(
    vectors: Path | None,
    model: str | None,
    older_than: float | None,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take vectors away; without a choice only what is damaged or half written.

    What a running process uses stays. Nothing but time is lost: the next run encodes again.
    """
    from cmedteb.encoding.store.upkeep import inventory

    if everything and (model or older_than is not None):
        raise UsageError("--all takes everything away: leave out --model and --older-than")
    root, as_json = _root(vectors), _json_wanted(as_json)
    selective = everything or model is not None or older_than is not None
    sides = inventory(root, verify=not selective)
    if selective:
        chosen = _chosen(sides, model, older_than)
        verb, size = "remove", sum(side.bytes for side in chosen)
    else:
        chosen = [side for side in sides if side.damaged]
        verb, size = "repair", sum(side.damaged for side in chosen)
    if not chosen:
        _tell(as_json, root, {"removed": [], "repaired": [], "in_use": [], "freed": _swept(root)})
        return
    if not as_json:
        show(_table(chosen))
    if not yes:
        _ask(f"{verb} {_sides(len(chosen))} in {root}, {_size(size)}")
    _tell(as_json, root, _cleaned(root, chosen, remove_them=selective))


def _cleaned(root: Path, chosen: Sequence[Side], *, remove_them: bool) -> dict[str, Any]:
    from cmedteb.encoding.store.merge import repair
    from cmedteb.encoding.store.upkeep import remove

    done: dict[str, Any] = {"removed": [], "repaired": [], "in_use": [], "freed": _swept(root)}
    for side in chosen:
        if not remove_them:
            done["freed"] += repair(root, side.name).freed
            done["repaired"].append(side.name)
        elif remove(root, side.name):
            done["freed"] += side.bytes
            done["removed"].append(side.name)
        else:
            done["in_use"].append(side.name)
    return done


def _swept(root: Path) -> int:
    from cmedteb.encoding.store.upkeep import empty_trash

    return empty_trash(root)


def _chosen(sides: Sequence[Side], model: str | None, older_than: float | None) -> list[Side]:
    chosen = list(sides)
    if model is not None:
        name, _, revision = model.partition("@")
        chosen = [
            side
            for side in chosen
            if side.identity.get("model") == name
            and str(side.identity.get("revision", "")).startswith(revision)
        ]
        if not chosen:
            raise UsageError(
                f"no vectors of {model} are kept. `cmedteb cache` lists what there is, by the full "
                "name of its model."
            )
    if older_than is not None:
        limit = time.time() - older_than
        chosen = [side for side in chosen if side.used < limit]
    return chosen


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"this would {question}. Nobody is there to be asked: add --yes.")
    click.confirm(question[0].upper() + question[1:] + "?", abort=True, err=True)


def _tell(as_json: bool, root: Path, done: dict[str, Any]) -> None:
    if as_json:
        print_json({"root": str(root), **done})
        return
    if done["in_use"]:
        note(f"{_sides(len(done['in_use']))} in use by a running process: left as they are.")
    taken = done["removed"] or done["repaired"]
    what = f"{'removed' if done['removed'] else 'repaired'} {_sides(len(taken))}, " if taken else ""
    told = f"{what}freed {_size(done['freed'])}" if what or done["freed"] else "nothing to clean"
    show(f"{told} in {root}")


def _show(vectors: Path | None, *, as_json: bool, verify: bool) -> None:
    from cmedteb.encoding.store.upkeep import inventory, limit_of

    root, as_json = _root(vectors), _json_wanted(as_json)
    limit = limit_of(root)
    sides = inventory(root, verify=verify)
    total = sum(side.bytes for side in sides)
    if as_json:
        document = {"root": str(root), "bytes": total, "limit": limit}
        print_json({**document, "sides": [_document(side) for side in sides]})
        return
    allowed = "no limit" if limit is None else f"limit {_size(limit)}"
    summary = f"{root}\n{_size(total)} in {_sides(len(sides))}, {allowed}"
    damaged = sum(side.damaged for side in sides)
    if damaged:
        summary += f"\n{_size(damaged)} are damaged or half written: `cmedteb cache clean`"
    show(*([_table(sides)] if sides else []), summary)


def _root(vectors: Path | None) -> Path:
    """The folder that is named after the verb, or else before it."""
    from cmedteb.encoding import default_root

    above = click.get_current_context().parent
    named = None if above is None else above.params.get("vectors")
    return vectors or named or default_root()


def _json_wanted(as_json: bool) -> bool:
    """Whether `--json` stands after the verb or before it."""
    above = click.get_current_context().parent
    return as_json or bool(above is not None and above.params.get("as_json"))


def _document(side: Side) -> dict[str, Any]:
    from datetime import UTC, datetime

    used = datetime.fromtimestamp(side.used, UTC).isoformat(timespec="seconds")
    return {
        "side": side.name,
        "model": side.identity.get("model"),
        "revision": side.identity.get("revision"),
        "prompt": side.identity.get("prompts"),
        "rows": side.rows,
        "width": side.width,
        "bytes": side.bytes,
        "damaged_bytes": side.damaged,
        "shards": side.shards,
        "last_used": used,
        "in_use": side.in_use,
        "identity": side.identity,
    }


def _table(sides: Sequence[Side]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading, width in (("model", 22), ("revision", 8), ("prompt", 10)):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=width)
    for heading in ("rows", "size", "used"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for side in sides:
        prompt = side.identity.get("prompts") or "-"
        table.add_row(
            Text(str(side.identity.get("model") or side.name)),
            Text(str(side.identity.get("revision") or "-")[:8]),
            Text(" ".join(str(prompt).split()) or "-"),
            f"{side.rows:,}",
            _size(side.bytes),
            _ago(time.time() - side.used),
            " ".join(["in use"] * side.in_use + ["damaged"] * bool(side.damaged)),
        )
    return table


def _sides(count: int) -> str:
    return f"{count} side{'' if count == 1 else 's'}"


def _size(count: float) -> str:
    number, unit = float(count), 0
    while number >= 1000 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.{int(unit > 0 and number < 100)}f} {UNITS[unit]}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "now"
