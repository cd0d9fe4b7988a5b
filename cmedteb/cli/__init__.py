"""The command line: one file a verb, loaded only when it is called.

Data goes to stdout, narration to stderr. Errors end with the exit code of their class (see
`cmedteb.errors`); an interrupt ends with 130 and loses nothing that was finished.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from cmedteb import __version__
from cmedteb.errors import CmedtebError

VERBS = {
    "run": "Evaluate a model on tasks.",
    "latency": "Measure what a query costs online.",
    "tasks": "List the tasks and benchmarks, or show one.",
    "models": "List the model cards, or show one.",
    "fetch": "Download data sets ahead of time.",
    "cache": "Show the vectors that are kept, or clean them.",
    "score": "Score a TREC run file.",
    "rescore": "Score stored receipts again, under other judgements.",
    "compare": "Compare two models query by query.",
    "export": "Write results as mteb's files, CSV, TREC runs or LaTeX.",
}


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of a first visit."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"cmedteb.cli.{cmd_name}").command
        _name_variables(command, f"CMEDTEB_{cmd_name}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _name_variables(command: click.Command, prefix: str) -> None:
    """Let a variable set every flag by its name; click would take the parameter's."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            flag = max(parameter.opts, key=len).lstrip("-")
            parameter.envvar = f"{prefix}_{flag}".replace("-", "_").upper()
    if isinstance(command, click.Group):
        for name, verb in command.commands.items():
            _name_variables(verb, f"{prefix}_{name}")


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps:  cmedteb run   |   cmedteb tasks   |   cmedteb run --help",
)
@click.version_option(__version__, prog_name="cmedteb")
def cli() -> None:
    """Benchmark harness for Chinese medical text embeddings: CMedTEB and CMIRB."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _complain("interrupted. Finished tasks are saved; the same command goes on from there.")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CmedtebError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    click.echo(f"cmedteb: {message}", err=True)
