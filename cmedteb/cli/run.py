"""`cmedteb run`: evaluate a model on tasks, save results with receipts, print a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli import latency
from cmedteb.cli.console import TerminalObserver, duration, note, points, print_json, show, span
from cmedteb.cli.model_options import model_flags, model_options
from cmedteb.cli.options import (
    DEFAULT_RESULTS,
    EXISTING_FOLDER,
    FOLDER,
    access_options,
    json_option,
    tasks_dir_option,
    tasks_option,
)
from cmedteb.cli.sections import SectionedCommand
from cmedteb.errors import NotAvailableError
from cmedteb.types import TaskType

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.api import Plan
    from cmedteb.models import System
    from cmedteb.results import TaskResult
    from cmedteb.runner import Outcome
    from cmedteb.runner.latency import Filed

PLAN_FLAGS = (
    "data_dir",
    "hub",
    "offline",
    "limit",
    "depth",
    "batch_tokens",
    "vectors",
    "search",
    "verify",
    "overwrite",
    "keep_going",
    "judgements",
    "overlays",
)
BESIDE = {"map_at_10": "map_at_1000", "pearson": "spearman"}


class AutoInt(click.ParamType[int | None]):
    """A positive whole number, or `auto`."""

    name = "auto|N"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int | None:
        """`auto` is None."""
        if value is None or value == "auto":
            return None
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r} is neither 'auto' nor a positive whole number", param, ctx)
        return number


class VectorFolder(click.ParamType[Path | None]):
    """A folder, `auto` for the user's cache, or `none`."""

    name = "auto|none|DIR"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path | None:
        """`none` is None."""
        del param, ctx
        if value is None or value == "none":
            return None
        if value == "auto":
            from cmedteb.encoding import default_root

            return default_root()
        return Path(value)


@click.command("run", cls=SectionedCommand)
@model_options
@tasks_option("A task, a benchmark or a folder with data; repeatable.  [default: smoke]")
@access_options
@click.option(
    "--output",
    type=FOLDER,
    default=DEFAULT_RESULTS,
    show_default=True,
    help="The results folder.",
)
@click.option(
    "--judgements",
    default="original",
    show_default=True,
    metavar="original|vN",
    help="Which judgements to score against.",
)
@click.option(
    "--overlays", type=EXISTING_FOLDER, help="Where versions lie: DIR/<Task>/vN.tsv.gz and vN.json."
)
@click.option(
    "--devices",
    default="auto",
    show_default=True,
    metavar="auto|all|N|LIST",
    help="One worker a device: all visible GPUs where there are several, N of them, or 0,2,...",
)
@click.option("--ray", metavar="ADDRESS", help="Workers on Ray: HOST:PORT, auto, or local.")
@click.option(
    "--verify", is_flag=True, help="Compute anew, and compare all ranking scores with pytrec_eval."
)
@click.option(
    "--search",
    type=click.Choice(["exact", "faiss-hnsw", "faiss-ivf"]),
    default="exact",
    show_default=True,
    help="Of dense vectors; the others say what share of the exact best they found.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N queries or pairs.")
@click.option(
    "--depth",
    type=click.IntRange(min=10),
    default=100,
    show_default=True,
    help="How many documents a query returns.",
)
@click.option(
    "--batch-tokens",
    type=AutoInt(),
    default="auto",
    show_default=True,
    help="Tokens of one forward pass, padding counted.",
)
@click.option(
    "--vectors",
    type=VectorFolder(),
    default="auto",
    show_default=True,
    metavar="auto|none|DIR",
    help="Where vectors are kept, so that nothing is encoded twice.",
)
@click.option(
    "--overwrite",
    type=click.Choice(["never", "missing", "always"]),
    default="missing",
    show_default=True,
    help="What becomes of earlier results; an identical one is reused unless always.",
)
@click.option("--latency", is_flag=True, help="Then measure what a query costs online.")
@click.option("--keep-going", is_flag=True, help="Go on with the next task when one fails.")
@tasks_dir_option
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Evaluate a model on tasks.

    Every finished task is saved at once with its receipts; the same command again goes on where
    it stopped. Exit code 1: a task failed (the others are saved).
    """
    from cmedteb.api import prepare
    from cmedteb.models.custom import facts_of
    from cmedteb.runner import averages, run_tasks

    model, model_settings = model_flags(ctx, flags)
    plan = prepare(
        flags["tasks"] or ("smoke",),
        output=flags["output"],
        tasks_dir=flags["tasks_dir"],
        **{name: flags[name] for name in PLAN_FLAGS},
    )
    quiet = flags["quiet"] or flags["as_json"]
    with TerminalObserver(quiet=quiet) as observer:
        observer.task_started(f"load {Path(model).name}", number=1, total=len(plan.tasks))
        where = {"devices": flags["devices"], "ray": flags["ray"]}
        with plan.opened(model, **where, **model_settings) as system:
            revision = facts_of(system).revision
            outcomes = run_tasks(system, plan.tasks, plan.options, observer)
    means = averages(outcomes, plan.benchmarks)
    filed = []
    if flags["latency"]:
        # Timed in this process, whatever workers encoded the documents.
        here = plan.load(model, **model_settings)
        filed = _latency(here, plan, tell=_nobody if quiet else note)
    if flags["as_json"]:
        document = _document(model, revision, outcomes, means)
        print_json(document | ({"latency": latency.document(filed)["latency"]} if filed else {}))
    else:
        _print(outcomes, means)
        if filed:
            latency.show_records(filed)
        if observer.live and (place := _folder(outcomes)):
            note(f"Results: {place}")
            note(f"Look at them: cmedteb leaderboard serve --results {plan.options.output}")
    ctx.exit(_exit_code(outcomes))


def _latency(system: System, plan: Plan, *, tell: Callable[[str], None]) -> list[Filed]:
    """What queries of the ranking tasks cost; sentence pairs have no query side."""
    from cmedteb.runner.latency import FULL, Setup, measure_tasks

    ranking = [task for task in plan.tasks if task.card.type != TaskType.STS]
    options = plan.options
    setup = Setup(output=options.output, access=options.access, plan=FULL, tell=tell)
    return list(measure_tasks(system, ranking, setup)) if ranking else []


def _nobody(_: str) -> None:
    """Nobody is told."""


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 if a task failed; 4 if all that failed could only not be had."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return 0
    if all(isinstance(error, NotAvailableError) for error in errors):
        return NotAvailableError.exit_code
    return 1


def _document(
    model: str, revision: str, outcomes: Sequence[Outcome], means: dict[str, float | None]
) -> dict[str, Any]:
    done = [outcome for outcome in outcomes if outcome.result is not None]
    return {
        "model": model,
        "revision": revision,
        "results": [_entry(outcome) for outcome in done],
        "benchmarks": {name: {"average": mean} for name, mean in means.items()},
        "failed": [
            {"task": outcome.task, "error": str(outcome.error)}
            for outcome in outcomes
            if outcome.error is not None
        ],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result
    if result is None:
        return {}
    return {
        "task": result.task_name,
        "split": result.split,
        "main_score_name": result.main_score_name,
        "main_score": result.main_score,
        "interval": [result.interval.low, result.interval.high],
        "scores": result.values,
        "judgements": result.judgements.version,
        "partial": result.partial,
        "reused": outcome.reused,
        "path": str(outcome.path),
        "seconds": result.evaluation_time,
    }


def _print(outcomes: Sequence[Outcome], means: dict[str, float | None]) -> None:
    done = [outcome for outcome in outcomes if outcome.result is not None]
    if done:
        show(_table(done, means))
    for outcome in outcomes:
        if outcome.error is not None:
            note(f"cmedteb: {outcome.task} failed: {_told(outcome)}")


def _told(outcome: Outcome) -> str:
    """The error, without the task's name where it begins with it."""
    return str(outcome.error).removeprefix(f"{outcome.task}: ")


def _table(done: Sequence[Outcome], means: dict[str, float | None]) -> Table:
    from rich import box
    from rich.table import Table

    first = done[0].result
    title = f"{first.model.name} @ {first.model.revision[:16]}" if first else ""
    table = Table(title=title, box=box.SIMPLE_HEAD, caption="scores x 100; 95 % bootstrap interval")
    table.add_column("task", overflow="fold")
    table.add_column("score")
    for heading in ("x 100", "95 % interval", "n", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in done:
        result = outcome.result
        if result is None:
            continue
        table.add_row(
            result.task_name + (" (partial)" if result.partial else ""),
            "\n".join(name for name, _ in _shown(result)),
            "\n".join(points(value) for _, value in _shown(result)),
            span(result.interval.low, result.interval.high),
            str(result.units),
            "as before" if outcome.reused else duration(result.evaluation_time),
        )
    if means:
        table.add_section()
    limited = any(outcome.result.partial for outcome in done if outcome.result is not None)
    for name, mean in means.items():
        shown = points(mean) if mean is not None else "incomplete"
        stamp = " (partial)" if limited else ""
        table.add_row(f"{name}: mean{stamp}", "", shown, "", "", "")
    return table


def _shown(result: TaskResult) -> list[tuple[str, float]]:
    """The main score, and the one that papers print beside it."""
    main = (result.main_score_name, result.main_score)
    beside = BESIDE.get(result.main_score_name, "")
    return [main, (beside, result.values[beside])] if beside in result.values else [main]


def _folder(outcomes: Sequence[Outcome]) -> Path | None:
    """Where the results lie."""
    return next((outcome.path.parent for outcome in outcomes if outcome.path is not None), None)
