"""Options that several verbs of `annotate` share, each defined once.

The section of the help, and what an option means for a verb, are the verb's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cmedteb.cli.options import Command
from cmedteb.cli.sections import SectionedOption

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
NOT_STATED = "Not stated in the paper."
NAMED = "NAME|FILE"
RULES = ("unanimous", "identical", "majority", "dawid-skene")


class Shared:
    """The shared options, in one section of a verb's help.

    Args:
        section: its heading.
    """

    def __init__(self, section: str) -> None:
        self.section = section

    def panel(self, told: str) -> Decorator:
        """`--panel`: a shipped one or a file."""
        return self._with_default("--panel", "paper", told, metavar=NAMED)

    def rubric(self, default: str, told: str) -> Decorator:
        """`--rubric`: a shipped one or a file."""
        return self._with_default("--rubric", default, told, metavar=NAMED)

    def threshold(self, told: str) -> Decorator:
        """`--threshold`: a grade."""
        return self._with_default("--threshold", 4, told, type=click.IntRange(2, 5))

    def rule(self, told: str) -> Decorator:
        """`--rule`: when a pair is positive."""
        return self._with_default("--rule", "unanimous", told, type=click.Choice(RULES))

    def budget(self, told: str) -> Decorator:
        """`--budget`: money."""
        positive = click.FloatRange(min=0, min_open=True)
        return self._option("--budget", type=positive, metavar="MONEY", help=told)

    def pool_depth(self, told: str) -> Decorator:
        """`--pool-depth`: documents of each system and query."""
        return self._with_default("--pool-depth", 50, told, type=click.IntRange(min=1))

    def cut(self, told: str) -> Decorator:
        """`--cut`: characters."""
        return self._with_default("--cut", 2000, told, type=click.IntRange(min=0))

    def seed(self) -> Decorator:
        """`--seed`."""
        return self._with_default("--seed", 42, "Of every sample.", type=int)

    def _with_default(self, flag: str, default: object, told: str, **attributes: Any) -> Decorator:
        return self._option(flag, default=default, show_default=True, help=told, **attributes)

    def _option(self, flag: str, **attributes: Any) -> Decorator:
        return click.option(flag, cls=SectionedOption, section=self.section, **attributes)


def quiet_option(command: Command) -> Command:
    """`-q`."""
    told = "No progress, no notes."
    return click.option("-q", "--quiet", is_flag=True, help=told)(command)
