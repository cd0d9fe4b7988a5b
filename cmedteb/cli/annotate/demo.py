"""`cmedteb annotate demo`: the whole way on the smoke task, with judges that are served here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from cmedteb.cli.annotate.estimates import money
from cmedteb.cli.console import duration, note, points, print_json, show
from cmedteb.cli.options import FOLDER, json_option
from cmedteb.errors import CheckError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cmedteb.annotations.demo.scenario import Played
    from cmedteb.annotations.report.values import Est

SIMULATED = (
    "Judges and experts here are simulated: they grade from hidden gold with errors\n"
    "that were set. Nothing below says anything about a real model."
)
COEFFICIENTS = {
    "fleiss_kappa": "Fleiss' kappa",
    "krippendorff_alpha_ordinal": "Krippendorff's alpha",
    "gwet_ac1": "Gwet's AC1",
    "gwet_ac2_quadratic": "Gwet's AC2",
    "observed_agreement": "raw agreement",
}


@click.command("demo")
@click.option(
    "--keep", type=FOLDER, metavar="DIR", help="Keep journal, report and review pages here."
)
@click.option("--seed", type=int, default=42, show_default=True, help="Of everything drawn.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
@json_option
def command(keep: Path | None, *, seed: int, quiet: bool, as_json: bool) -> None:
    """Go the whole way of a pair in a minute or so: no network, no weights, no key.

    Some positives of the smoke task are hidden; three simulated judges behind a real HTTP server on
    this machine, which limits rates, refuses and cuts answers, look for them; two simulated experts
    check the panel; the new judgements rescore three systems; and all of it is made again from the
    journal. Exit code 3: the replay differs.
    """
    from cmedteb.annotations.demo.scenario import Demo, play

    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UsageError(f"{keep} is not empty: give a new folder for the demo.")
    tell: Callable[[str], None] = note if not (quiet or as_json) else _nobody
    with ExitStack() as stack:
        home = keep or Path(stack.enter_context(TemporaryDirectory(prefix="cmedteb-demo-")))
        home.mkdir(parents=True, exist_ok=True)
        played = play(Demo(home.resolve(), seed), tell)
    if as_json:
        print_json(_document(played))
    else:
        show(SIMULATED, *_tables(played))
        _end(played, keep, tell)
    if played.replay.differing:
        raise CheckError(f"the replay differs: {'; '.join(played.replay.differing)}")


def _nobody(_: str) -> None:
    """Nobody is told."""


def _tables(played: Played) -> list[Table]:
    return [_agreement(played), _found(played), _calls(played), _moves(played)]


def _new(title: str, *headings: str, caption: str | None = None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, caption=caption, title_justify="left")
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _whole(found: Est | None, digits: int = 3) -> str:
    """A value with its interval."""
    if found is None or found.value is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _agreement(played: Played) -> Table:
    part = played.report.agreement
    threshold = played.report.choices.threshold
    table = _new(
        f"Agreement of three judges on {part.pairs:,} pairs",
        "",
        f"relevant (>= {threshold}) or not",
        "five grades",
        caption="95 % intervals over queries; alpha is ordinal, AC2 quadratic",
    )
    for key, name in COEFFICIENTS.items():
        views = (part.binary, part.graded)
        cells = [_whole(view.coefficients.get(key)) if view else "-" for view in views]
        table.add_row(name, *cells)
    return table


def _found(played: Played) -> Table:
    report, caught = played.report, played.caught
    table = _new("False negatives", "", "pairs", "a query")
    table.add_row(
        "found by the panel", f"{report.found.total:,}", _whole(report.found.per_query, 2)
    )
    table.add_row("  of these not relevant by the hidden gold", f"{caught.false:,}", "")
    table.add_row("planted", f"{caught.hidden:,}", "")
    table.add_row("  returned by a system, so in the pool", f"{caught.pooled:,}", "")
    table.add_row("  found", f"{caught.found:,}", "")
    table.add_row("  undecided, to the review queue", f"{caught.undecided:,}", "")
    table.add_row("wrong labels planted", f"{caught.wrong:,}", "")
    table.add_row("  rejected", f"{caught.rejected:,}", "")
    if report.experts is not None:
        share = _whole(report.experts.confirmation, 2)
        table.add_row("confirmed by experts, share", "", share)
        table.add_row(
            "experts and panel agree, share",
            "",
            _whole(report.experts.pipeline.get("expert_agreement"), 3),
        )
    return table


def _calls(played: Played) -> Table:
    currency = played.report.choices.currency
    calls = played.report.calls
    spent = (
        f"{money(calls.cost)} of a budget of {money(played.budget)} {currency}, at made-up prices"
    )
    table = _new(
        "What it cost",
        "judge",
        "calls",
        "refused",
        "no grade",
        "tokens",
        "cached",
        f"cost {currency}",
        caption=spent,
    )
    for one in calls.judges:
        missing = sum(count for state, count in one.states.items() if state != "scored")
        refused = one.states.get("refused", 0)
        table.add_row(
            one.judge,
            f"{one.calls:,}",
            f"{refused:,}",
            f"{missing - refused + one.unanswered:,}",
            f"{one.tokens_in + one.tokens_out:,}",
            f"{one.tokens_cached / max(1, one.tokens_in):.0%}",
            money(one.cost),
        )
    return table


def _moves(played: Played) -> Table:
    part = played.report.scores
    table = _new(
        "Scores under the new judgements",
        "system",
        "before",
        "after",
        "change",
        "rank",
        caption=f"{part.main_score if part else ''} x 100; paired bootstrap over queries",
    )
    for move in part.moves if part else ():
        change = move.change
        low, high = 100 * (change.low or 0.0), 100 * (change.high or 0.0)
        table.add_row(
            move.model,
            points(move.before),
            points(move.after),
            f"{100 * (change.value or 0.0):+.2f} [{low:+.1f}, {high:+.1f}]",
            f"{move.rank_before} -> {move.rank_after}",
        )
    return table


def _end(played: Played, keep: Path | None, tell: Callable[[str], None]) -> None:
    if not played.replay.differing:
        tell(f"replay: {played.replay.files} files again from the journal, byte for byte the same")
    tell(f"done in {duration(played.seconds)}")
    if keep is not None:
        tell(f"look at {keep / 'annotation' / 'report' / 'report.html'}")
        for page in sorted(keep.glob("annotation/review/*/*/review.html")):
            tell(f"and at  {page}")


def _document(played: Played) -> dict[str, Any]:
    report = played.report.model_dump(mode="json")
    return {
        "simulated": True,
        "agreement": {
            view: (report["agreement"][view] or {}).get("coefficients")
            for view in ("binary", "graded")
        },
        "found": report["found"],
        "planted": played.caught._asdict(),
        "calls": report["calls"],
        "budget": played.budget,
        "server": played.ledger,
        "experts": report["experts"],
        "scores": report["scores"],
        "replay": {"files": played.replay.files, "differing": list(played.replay.differing)},
        "seconds": played.seconds,
    }
