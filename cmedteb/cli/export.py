"""`cmedteb export`: stored results in the shapes that others read."""

from __future__ import annotations

from pathlib import Path

import click

from cmedteb.cli.console import note
from cmedteb.cli.options import results_option, tasks_option
from cmedteb.errors import UsageError


@click.command("export")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["mteb", "csv", "trec", "latex"]),
    required=True,
    help="mteb: a results cache; csv: a line a score; trec: runs; latex: a table.",
)
@click.option("-m", "--model", "models", multiple=True, help="Only this model; repeatable.")
@tasks_option("Only this task; repeatable.")
@click.option("--judgements", default="original", show_default=True, metavar="original|vN")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A folder (mteb, trec) or a file (csv, latex).  [default: stdout for csv, latex]",
)
@results_option
def command(
    shape: str,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    judgements: str,
    to: Path | None,
    results: Path,
) -> None:
    """Write stored results as mteb's files, CSV, TREC runs or a LaTeX table."""
    from cmedteb.results import ResultStore
    from cmedteb.results.select import select

    store = ResultStore(results)
    stored = select(store, models=models, tasks=tasks, judgements=judgements)
    if not stored:
        raise UsageError(f"{results} holds no results of that kind. `cmedteb run` makes some.")
    if shape in {"csv", "latex"}:
        from cmedteb.interop.tables import as_csv, as_latex
        from cmedteb.results.files import write_atomic

        text = as_csv(stored) if shape == "csv" else as_latex(stored)
        if to is None:
            click.echo(text, nl=False)
        else:
            write_atomic(to, text.encode())
            note(f"wrote {to}")
        return
    if to is None:
        raise UsageError(f"--format {shape} writes files: say where with --to DIR")
    if shape == "mteb":
        from cmedteb.interop.mteb import export

        written = export(stored, to)
    else:
        from cmedteb.interop.tables import write_trec

        written = write_trec(store, stored, to)
    note(f"wrote {len(written)} files under {to}")
