"""`cmedteb annotate`: the way of a pair, one file a step."""

from __future__ import annotations

import click

from cmedteb.cli.lazy import LazyGroup

VERBS = {
    "plan": "Pool the pairs, and say what judging them takes; no call.",
    "doctor": "Ask each judge of a panel whether it can work.",
    "run": "Let the panel judge; resumes, and never spends above --budget.",
    "status": "How far the judging is, and what it cost.",
    "report": "Agreement, false negatives and costs, as JSON, Markdown and a page.",
    "review": "Export pairs for experts, and import what they say.",
    "build": "Write the new judgements, their exports and a data card.",
    "replay": "Every number and label again from a journal alone.",
    "sts": "Build synonym pairs for STS, checked by the panel.",
    "triplets": "Build training triplets without false negatives.",
    "demo": "The whole way on the smoke task, with judges on this machine.",
}


@click.group("annotate", cls=LazyGroup, package="cmedteb.cli.annotate", verbs=VERBS)
def command() -> None:
    """Let a panel of LLMs relabel false negatives, with every claim checkable.

    plan -> doctor -> run -> status, report -> review -> build -> replay
    """
