"""`cmedteb leaderboard`: the board from stored receipts, one file a verb."""

from __future__ import annotations

import click

from cmedteb.cli.lazy import LazyGroup

VERBS = {
    "build": "Write the site: pages, JSON and CSV.",
    "check": "What a submission must pass; ends with 3 and a line a fault.",
    "serve": "Build the board of your own results and open it here.",
}


@click.group("leaderboard", cls=LazyGroup, package="cmedteb.cli.leaderboard", verbs=VERBS)
def command() -> None:
    """Build, check and look at the leaderboard."""
