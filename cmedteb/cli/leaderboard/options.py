"""What the verbs of `cmedteb leaderboard` share: their options, and building a board from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmedteb.cli.options import EXISTING_FOLDER, results_option, tasks_dir_option

if TYPE_CHECKING:
    from cmedteb.leaderboard.build import Built
    from cmedteb.leaderboard.load import Release

Command = TypeVar("Command", bound=Callable[..., Any])


def board_options(command: Command) -> Command:
    """`--results`, `--tasks-dir`, `--judgements`, `--overlays`."""
    for option in (
        click.option(
            "--overlays",
            type=EXISTING_FOLDER,
            help="Where versions of judgements lie: DIR/<Task>/vN.tsv.gz and vN.json.",
        ),
        click.option(
            "--judgements",
            default="original",
            show_default=True,
            metavar="original|latest|vN",
            help="Which judgements count; a task without that version keeps the original ones.",
        ),
        tasks_dir_option,
        results_option,
    ):
        command = option(command)
    return command


def built(
    results: Path, *, tasks_dir: Path | None, judgements: str, overlays: Path | None
) -> Built:
    """The board of a results folder."""
    from cmedteb.errors import UsageError
    from cmedteb.leaderboard.build import build
    from cmedteb.leaderboard.known import known_data
    from cmedteb.leaderboard.published import published
    from cmedteb.tasks import catalogue

    if not results.is_dir():
        raise UsageError(f"there is no results folder {results}. `cmedteb run` makes one.")
    return build(
        results,
        catalogue(tasks_dir),
        releases=released_judgements(overlays),
        data=known_data(),
        published=published(),
        judgements=judgements,
    )


def released_judgements(overlays: Path | None) -> dict[str, list[Release]]:
    """Task -> its versions of judgements, oldest first."""
    from cmedteb.annotations.released import released
    from cmedteb.leaderboard.load import Release

    return {
        task: [Release(one.overlay, one.header) for one in versions]
        for task, versions in released(overlays).items()
    }
