"""Groups of verbs: one file a verb, imported only when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports one only to run it.

    Args:
        package: where the verbs lie: `PACKAGE.VERB` with a `command`; `-` in a verb is `_` there.
        verbs: what each is for, in the order of a first visit.
    """

    def __init__(
        self,
        *args: Any,
        package: str = "",
        verbs: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **attributes)
        self.package = package
        self.verbs = dict(verbs or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of a first visit."""
        del ctx
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in self.verbs:
            return None
        module = import_module(f"{self.package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        name_variables(command, "_".join(["CMEDTEB", *_names_below_the_root(ctx), cmd_name]))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self.verbs.items()))


def _names_below_the_root(ctx: click.Context) -> list[str]:
    if ctx.parent is None:
        return []
    return [*_names_below_the_root(ctx.parent), str(ctx.info_name)]


def name_variables(command: click.Command, prefix: str) -> None:
    """Let a variable set every flag by its name; click would take the parameter's."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            flag = max(parameter.opts, key=len).lstrip("-")
            parameter.envvar = f"{prefix}_{flag}".replace("-", "_").upper()
    if isinstance(command, click.Group):
        for name, verb in command.commands.items():
            name_variables(verb, f"{prefix}_{name}")
