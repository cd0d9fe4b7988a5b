"""What people see: tables on stdout, progress on stderr, JSON for programs.

Everything fits 80 columns. Progress shows only on a terminal.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID


def print_json(document: Any) -> None:
    """Print one JSON document to stdout."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


def show(*renderables: RenderableType) -> None:
    """Print tables and texts to stdout."""
    console = _console(stderr=False)
    for renderable in renderables:
        console.print(renderable)


def note(text: str) -> None:
    """Print one line of narration to stderr."""
    click.echo(text, err=True)


def points(score: float) -> str:
    """A score as the field writes it: times 100, two decimals."""
    return f"{100 * score:.2f}"


def span(low: float | None, high: float | None) -> str:
    """An interval in points; a dash where there is none."""
    if low is None or high is None:
        return "-"
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        width=None if terminal else 80,
        highlight=False,
        soft_wrap=False,
        emoji=False,
        markup=False,
    )


class TerminalObserver:
    """Shows a run on a terminal: one bar for the tasks, one for the phase at work.

    Args:
        quiet: say nothing but errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = sys.stderr.isatty() and not quiet
        self._progress: Progress | None = None
        self._tasks: TaskID | None = None
        self._phase: TaskID | None = None

    def __enter__(self) -> TerminalObserver:
        if self.live:
            self._progress = _bars(_console(stderr=True))
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def task_started(self, name: str, *, number: int, total: int) -> None:
        """A task begins."""
        if self._progress is not None:
            if self._tasks is None:
                self._tasks = self._progress.add_task("", total=total, unit="tasks")
            label = f"{name} ({number} of {total})"
            self._progress.update(self._tasks, description=label, completed=number - 1)

    def phase_started(self, name: str, *, units: int | None = None) -> None:
        """A phase begins."""
        if self._progress is not None:
            if self._phase is not None:
                self._progress.remove_task(self._phase)
            self._phase = self._progress.add_task(f"  {name}", total=units, unit="texts")

    def advanced(self, units: int) -> None:
        """More of the phase is done."""
        if self._progress is not None and self._phase is not None:
            self._progress.advance(self._phase, units)

    def task_ended(self, outcome: str) -> None:
        """A task is over."""
        del outcome
        if self._progress is not None and self._tasks is not None:
            self._progress.advance(self._tasks)

    def note(self, text: str) -> None:
        """Something that the user should know."""
        if self._progress is not None:
            self._progress.console.print(text)
        elif not self.quiet:
            note(text)


def progress_bars() -> Progress:
    """Bars on stderr, to be started and stopped."""
    return _bars(_console(stderr=True))


def _bars(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Task as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second, once they are known."""

        def render(self, task: Bar) -> Text:
            speed = task.finished_speed or task.speed
            unit = task.fields.get("unit", "")
            counted = speed and unit in {"texts", "answers"}
            return Text(f"{speed:,.0f} {unit}/s" if counted else "", style="dim")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
