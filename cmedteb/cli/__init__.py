"""The command line: one file a verb, loaded only when it is called.

Data goes to stdout, narration to stderr. Errors end with the exit code of their class (see
`cmedteb.errors`); an interrupt ends with 130 and loses nothing that was finished.
"""

from __future__ import annotations

import sys

import click

from cmedteb import __version__
from cmedteb.cli import lazy
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
    "annotate": "Let a panel of LLMs relabel false negatives.",
    "leaderboard": "Build, check and look at the leaderboard.",
    "export": "Write results as mteb's files, CSV, TREC runs or LaTeX.",
}


@click.group(
    cls=lazy.LazyGroup,
    package="cmedteb.cli",
    verbs=VERBS,
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
