"""`cmedteb score`: a TREC run file against a task's or a file's judgements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import points, print_json, show
from cmedteb.cli.options import access_options, json_option, tasks_dir_option
from cmedteb.errors import DataError, UsageError

if TYPE_CHECKING:
    from cmedteb.data.judgements import GradeTable
    from cmedteb.metrics import QueryScores


@click.command("score")
@click.argument("run_file", metavar="RUN", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-t", "--task", help="Judgements of this task, or of a folder with data.")
@click.option(
    "--qrels",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Judgements of a file: TREC's four columns, or query-id, corpus-id, score.",
)
@click.option("-k", "--cutoff", "cutoffs", type=click.IntRange(min=1), multiple=True, help="Ranks.")
@click.option("--per-query", is_flag=True, help="With --json: the values of every query too.")
@access_options
@tasks_dir_option
@json_option
def command(
    run_file: Path,
    task: str | None,
    qrels: Path | None,
    cutoffs: tuple[int, ...],
    per_query: bool,
    as_json: bool,
    **access: Any,
) -> None:
    """Score a TREC run (query Q0 document rank score tag) by trec_eval's rules.

    The rank column is ignored; ties are broken by document id, descending; every judged query
    counts, one without results counts 0.
    """
    from cmedteb.metrics import CUTOFFS, rank_run, read_qrels, read_run
    from cmedteb.metrics.oracle import verify_table

    if (task is None) == (qrels is None):
        raise UsageError("give either -t TASK or --qrels FILE")
    judged = read_qrels(qrels) if qrels is not None else _judgements(str(task), **access)
    run = read_run(run_file)
    if not run.keys() & judged.keys():
        raise DataError(
            f"{run_file}: none of its {len(run)} queries is judged (such as {min(run)!r}; judged "
            f"is {min(judged)!r}). Give the judgements that belong to this run."
        )
    scores = rank_run(run, judged, cutoffs=cutoffs or CUTOFFS)
    verify_table(scores, run, judged)
    if as_json:
        print_json(_document(scores, per_query=per_query))
    else:
        _print(scores)


def _judgements(task: str, **access: Any) -> GradeTable:
    from cmedteb.api import prepare
    from cmedteb.data.judgements import as_table
    from cmedteb.types import RankingData

    plan = prepare([task], output=Path(), **access)
    if len(plan.tasks) != 1:
        raise UsageError(f"{task} is a benchmark: name one task")
    data = plan.tasks[0].load(plan.options.access)
    if not isinstance(data, RankingData):
        raise UsageError(f"{task} is an STS task: a TREC run cannot be scored against it")
    return as_table(
        data.qrels, query_ids=data.queries.ids.to_pylist(), doc_ids=data.corpus.ids.to_pylist()
    )


def _document(scores: QueryScores, *, per_query: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"scores": scores.mean(), "queries": len(scores.query_ids)}
    if per_query:
        document["per_query"] = {
            query: {name: float(values[row]) for name, values in scores.values.items()}
            for row, query in enumerate(scores.query_ids)
        }
    return document


def _print(scores: QueryScores) -> None:
    from rich import box
    from rich.table import Table

    means = scores.mean()
    measures = list(dict.fromkeys(name.rpartition("_at_")[0] for name in means))
    ranks = sorted({int(name.rpartition("_")[2]) for name in means})
    table = Table(box=box.SIMPLE_HEAD, caption=f"{len(scores.query_ids)} queries; scores x 100")
    table.add_column("at rank", justify="right")
    for measure in measures:
        table.add_column(measure, justify="right")
    for rank in ranks:
        values = (means.get(f"{measure}_at_{rank}") for measure in measures)
        table.add_row(str(rank), *("" if one is None else points(one) for one in values))
    show(table)
