"""Options that several verbs share, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cmedteb.data import Hub

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_RESULTS = Path("leaderboard/results")

FOLDER = click.Path(file_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


def tasks_option(help_text: str) -> Callable[[Command], Command]:
    """`-t`, repeatable."""
    return click.option("-t", "--task", "tasks", multiple=True, metavar="TASK", help=help_text)


def results_option(command: Command) -> Command:
    """`--results`: the results folder that is read."""
    return click.option(
        "--results",
        type=FOLDER,
        default=DEFAULT_RESULTS,
        show_default=True,
        help="The results folder.",
    )(command)


def tasks_dir_option(command: Command) -> Command:
    """`--tasks-dir`: a user's own cards."""
    return click.option(
        "--tasks-dir",
        type=EXISTING_FOLDER,
        help="Your own task cards (<benchmark>/<Task>.toml, benchmarks.toml), over the shipped.",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: one document on stdout and nothing else."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def access_options(command: Command) -> Command:
    """`--data-dir`, `--hub`, `--offline`."""
    for option in (
        click.option("--offline", is_flag=True, help="Never open a connection."),
        click.option(
            "--hub",
            type=click.Choice([str(hub) for hub in Hub]),
            default=str(Hub.HF),
            show_default=True,
            help="Where data sets and models come from (hf honours HF_ENDPOINT).",
        ),
        click.option(
            "--data-dir",
            type=EXISTING_FOLDER,
            help="Local data sets: DIR/<Task>/, or DIR itself for a single task.",
        ),
    ):
        command = option(command)
    return command
