"""Shows what judging will take; shared by `plan` and `run --dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmedteb.cli.console import show

if TYPE_CHECKING:
    from cmedteb.annotations.config import AnnotationConfig
    from cmedteb.annotations.estimate import Estimate


def money(amount: float | None) -> str:
    """An amount of money; small ones with more digits, none as a dash."""
    if amount is None:
        return "-"
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.4f}"


def tokens(count: float) -> str:
    """Tokens, in thousands or millions where there are many."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if count >= unit:
            return f"{count / unit:.1f}{name}"
    return f"{count:.0f}"


def hours(amount: float) -> str:
    """Hours, or minutes where it is less than one."""
    return f"{amount:.1f} h" if amount >= 1 else f"{60 * amount:.1f} min"


def show_estimate(told: Estimate, config: AnnotationConfig) -> None:
    """Print the pool in words and the panel as a table."""
    from rich import box
    from rich.table import Table

    named = ", ".join(system.name for system in config.systems) or "no system"
    lines = [
        f"{config.task}: {told.pairs:,} pairs of {told.queries:,} queries, from {named} "
        f"to depth {config.depth}.",
        f"{told.positives:,} of them are judged relevant already; {told.twins:,} duplicates are "
        f"judged with their twins; {told.cut:,} documents are cut at {config.cut_chars} "
        "characters." if config.cut_chars else
        f"{told.positives:,} of them are judged relevant already; {told.twins:,} duplicates are "
        "judged with their twins.",
    ]  # fmt: skip
    if told.canaries:
        lines.append(f"{told.canaries} canaries try to speak to the judges.")
    measured = all(judge.rates.measured for judge in told.judges)
    rests = "as measured so far" if measured else "1 token a character, 60 an answer, 4 s a call"
    table = Table(box=box.SIMPLE_HEAD, caption=f"still to be asked; {rests}")
    table.add_column("judge", overflow="fold")
    for heading in ("calls", "tokens in", "out", f"cost {told.currency}", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for judge in told.judges:
        table.add_row(
            judge.judge,
            f"{judge.calls:,}",
            tokens(judge.tokens_in),
            tokens(judge.tokens_out),
            money(judge.cost),
            hours(judge.hours),
        )
    calls = sum(judge.calls for judge in told.judges)
    tokens_in = sum(judge.tokens_in for judge in told.judges)
    tokens_out = sum(judge.tokens_out for judge in told.judges)
    total = (tokens(tokens_in), tokens(tokens_out), money(told.cost), hours(told.hours))
    table.add_row("all", f"{calls:,}", *total, style="bold")
    show(*lines, table)
