"""`cmedteb annotate report`: what is to be said of an annotation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.console import note, print_json, show
from cmedteb.cli.options import EXISTING_FOLDER, FOLDER, json_option

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.annotations.report.schema import Report
    from cmedteb.annotations.report.values import Est


@click.command("report")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.option(
    "--results",
    type=EXISTING_FOLDER,
    help="Also say how stored results of the task move under the labels.",
)
@click.option("--to", type=FOLDER, help="Where the report is written.  [default: DIR/report]")
@json_option
def command(folder: Path, results: Path | None, to: Path | None, as_json: bool) -> None:
    """Agreement, false negatives, experts, costs: DIR/report/report.json, .md and .html.

    Everything follows from the journal of DIR, but the scores that --results adds. It can be made
    at any time; what is not judged yet is told.
    """
    from cmedteb.annotations.replay import read_snapshot
    from cmedteb.annotations.report.assemble import make_report
    from cmedteb.annotations.report.files import write_report

    report = make_report(read_snapshot(folder), results=results)
    written = write_report(to or folder / "report", report)
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    show(*_tables(report))
    _warn(report)
    note(f"written: {written[-1]}, and {written[0].name}, {written[1].name} beside it")


def _tables(report: Report) -> list[Table]:
    tables = [headline(report)]
    if report.scores is not None and report.scores.moves:
        tables.append(_moves(report))
    return tables


def headline(report: Report) -> Table:
    """The figures that people ask for, each with its interval."""
    table = _plain(
        f"{report.task}: {report.pool.pairs:,} pairs, {len(report.choices.judges)} judges, "
        f"{report.choices.rule} at {report.choices.threshold}"
    )
    table.caption = "* beside the paper's 0.731, whose raters and categories it does not state"
    table.caption_justify = "left"
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95% interval", justify="right", no_wrap=True)
    for name, value, interval in rows(report):
        table.add_row(name, value, interval)
    return table


def rows(report: Report) -> list[tuple[str, str, str]]:
    """The headline as text: name, value, interval."""
    binary, graded = report.agreement.binary, report.agreement.graded
    found: list[tuple[str, str, str]] = []
    if binary is not None and graded is not None:
        grade = f"grade >= {report.choices.threshold}"
        of_two, of_five = binary.coefficients, graded.coefficients
        found += [
            _row(f"Fleiss' kappa, {grade} *", of_two["fleiss_kappa"]),
            _row("Fleiss' kappa, five grades", of_five["fleiss_kappa"]),
            _row("Krippendorff's alpha, ordinal", of_five["krippendorff_alpha_ordinal"]),
            _row(f"Gwet's AC1, {grade}", of_two["gwet_ac1"]),
            _row(f"raw agreement, {grade}", of_two["observed_agreement"]),
            _row("prevalence of positives", binary.shares[1]),
        ]
    found += [
        _row("false negatives per query", report.found.per_query, 2),
        _row("original positives rejected", report.found.rejection_rate),
    ]
    if report.experts is not None:
        found += [
            _row("experts agree with the labels", report.experts.pipeline["expert_agreement"]),
            _row("false negatives that experts confirm", report.experts.confirmation),
        ]
    labels, cost = report.labels, report.calls.cost
    split = f"{labels.positive:,} / {labels.undecided:,} / {labels.negative:,}"
    return [
        *found,
        ("positive / undecided / negative", split, ""),
        ("cost", f"{cost:,.4f} {report.choices.currency}", ""),
    ]


def _row(name: str, one: Est, digits: int = 3) -> tuple[str, str, str]:
    if one.value is None:
        return name, "-", str(one.why)
    if one.low is None or one.high is None:
        return name, f"{one.value:.{digits}f}", str(one.why)
    return name, f"{one.value:.{digits}f}", f"[{one.low:.{digits}f}, {one.high:.{digits}f}]"


def _moves(report: Report) -> Table:
    table = _plain("Under the new labels, scores x 100")
    table.add_column("model", overflow="fold")
    for heading in ("before", "after", "change", "rank"):
        table.add_column(heading, justify="right", no_wrap=True)
    for move in report.scores.moves if report.scores else ():
        table.add_row(
            move.model,
            f"{100 * move.before:.2f}",
            f"{100 * move.after:.2f}",
            f"{100 * (move.after - move.before):+.2f}",
            f"{move.rank_before} -> {move.rank_after}",
        )
    return table


def _plain(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")


def _warn(report: Report) -> None:
    from cmedteb.annotations.report.render import words
    from cmedteb.annotations.report.words import warnings

    texts: Any = words()["en"]
    for saying in warnings(report):
        note(f"careful: {texts[saying.key].format(**saying.gaps)}")
