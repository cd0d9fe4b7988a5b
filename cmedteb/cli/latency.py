"""`cmedteb latency`: what a query costs online, beside what it scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import duration, note, print_json, show
from cmedteb.cli.model_options import model_flags, model_options
from cmedteb.cli.options import (
    DEFAULT_RESULTS,
    FOLDER,
    access_options,
    json_option,
    tasks_dir_option,
    tasks_option,
)
from cmedteb.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.results.latency import Bounded, LatencyRecord
    from cmedteb.runner.latency import Filed

MIB = 2**20


@click.command("latency", cls=SectionedCommand)
@model_options
@tasks_option("Whose queries are asked; repeatable.  [default: SmokeRetrieval]")
@access_options
@click.option(
    "--output",
    type=FOLDER,
    default=DEFAULT_RESULTS,
    show_default=True,
    help="The results folder; the record goes into the model's model.json.",
)
@click.option("--quick", is_flag=True, help="A short look, recorded as such.")
@tasks_dir_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Measure what a query costs: the query side of a model alone, with a task's own queries.

    One at a time, arriving at random (timed from when each was due), and all at once; after
    MLPerf Inference. Times compare only within one device; leave the machine to it.
    """
    from cmedteb.api import prepare
    from cmedteb.runner.latency import FULL, QUICK, Setup, measure_tasks

    model, settings = model_flags(ctx, flags)
    plan = prepare(
        flags["tasks"] or ("SmokeRetrieval",),
        output=flags["output"],
        tasks_dir=flags["tasks_dir"],
        **{name: flags[name] for name in ("data_dir", "hub", "offline")},
    )
    system = plan.load(model, **settings)
    setup = Setup(
        output=flags["output"],
        access=plan.options.access,
        plan=QUICK if flags["quick"] else FULL,
        tell=_silent if flags["as_json"] else note,
    )
    filed = measure_tasks(system, plan.tasks, setup)
    if flags["as_json"]:
        print_json(document(filed))
    else:
        show_records(filed)


def document(filed: Sequence[Filed]) -> dict[str, Any]:
    """The records as one document, named as in `model.json`."""
    return {
        "model": filed[0].name,
        "revision": filed[0].revision,
        "path": str(filed[0].path),
        "latency": [one.record.model_dump(mode="json") for one in filed],
    }


def show_records(filed: Sequence[Filed]) -> None:
    """Print what was measured, and say where it was kept."""
    show(*[table(one.record, name=one.name) for one in filed])
    for one in filed:
        if one.record.control.flagged:
            note(
                f"{one.record.task}: the same model measured twice differs by "
                f"{100 * one.record.control.difference:+.1f} % at the median. Something else was "
                "at work on this machine: measure again when it is quiet."
            )
    for path in sorted({one.path for one in filed}):
        note(f"kept in {path}")


def _silent(_: str) -> None:
    """Say nothing."""


def table(record: LatencyRecord, *, name: str) -> Table:
    """One record in 80 columns."""
    from rich import box
    from rich.table import Table

    quick = ", a quick look" if record.quick else ""
    rows = Table(
        title=f"{name} on {record.task}{quick}\n{record.device}, {record.dtype or 'no weights'}",
        box=box.SIMPLE_HEAD,
        caption="comparable only within one device; 95 % bootstrap interval over calls",
    )
    rows.add_column("what a query costs")
    rows.add_column("", justify="right", no_wrap=True)
    rows.add_column("", overflow="fold")
    for row in (*_alone(record), *_many(record), *_beside(record)):
        rows.add_row(*row)
    return rows


Row = tuple[str, str, str]


def _alone(record: LatencyRecord) -> list[Row]:
    stream, warm = record.single_stream, record.warm_up
    settled = "settled" if warm.settled else "had not settled"
    found = [
        ("first call", _ms(warm.first_call_ms), f"{settled} after {warm.calls} more"),
        ("one at a time, p50", _ms(stream.p50_ms.value), _span(stream.p50_ms)),
        ("p95", _ms(stream.p95_ms.value), _span(stream.p95_ms)),
    ]
    if stream.p99_ms is None:
        found.append(("p99", "-", f"needs 1,000 calls; there are {stream.calls}"))
    else:
        found.append(("p99", _ms(stream.p99_ms.value), f"{_span(stream.p99_ms)}"))
    control = record.control
    state = "DIFFERS" if control.flagged else "alike"
    found.append(("control: same model twice", f"{100 * control.difference:+.1f} %", state))
    return found


def _many(record: LatencyRecord) -> list[Row]:
    server, offline = record.server, record.offline
    limit = f"random arrivals, p95 <= {server.limit_ms:.0f} ms"
    if server.rates:
        last = server.rates[-1]
        at = f"p95 {_ms(last.p95_ms)} at {last.queries_per_second:,.1f}/s, the last rate tried"
    else:
        at = "a lone call takes longer"
    return [
        (limit, f"{server.queries_per_second:,.1f}/s", at),
        ("all at once", f"{offline.queries_per_second:,.1f}/s", f"batches of {offline.batch}"),
    ]


def _beside(record: LatencyRecord) -> list[Row]:
    found: list[Row] = []
    if record.index_search is not None:
        index = record.index_search
        size = f"top {index.depth} of {index.documents:,} random vectors of {index.dimension}"
        found.append(("search in the index, p50", _ms(index.p50_ms.value), size))
    tokens = record.queries.tokens
    if tokens is not None:
        found.append(("tokens of a query, p50", f"{tokens[0]:,.0f}", f"longest {tokens[1]:,}"))
    if record.parameters is not None:
        found.append(("parameters of the query side", f"{record.parameters:,}", ""))
    memory = record.memory
    found.append(("peak memory", f"{memory.peak_bytes / MIB:,.0f} MiB", memory.kind))
    stream, asked = record.single_stream, record.queries
    told = f"{asked.asked:,} of {asked.distinct:,} queries in {duration(stream.seconds)}"
    found.append(("calls, one at a time", f"{stream.calls:,}", told))
    return found


def _ms(milliseconds: float) -> str:
    """Milliseconds with three digits that count."""
    digits = next(place for place, from_ in enumerate((100, 10, 1, 0)) if milliseconds >= from_)
    return f"{milliseconds:,.{digits}f} ms"


def _span(bounded: Bounded) -> str:
    if bounded.low is None or bounded.high is None:
        return ""
    return f"[{_ms(bounded.low).removesuffix(' ms')}, {_ms(bounded.high).removesuffix(' ms')}]"
