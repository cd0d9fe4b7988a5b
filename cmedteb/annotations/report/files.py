"""The three files of a report, in one folder."""

from __future__ import annotations

from pathlib import Path

from cmedteb.annotations.report.render import render_json, render_markdown, render_page
from cmedteb.annotations.report.schema import Report
from cmedteb.results.files import write_atomic

NAMES = ("report.json", "report.md", "report.html")


def report_files(report: Report) -> dict[str, bytes]:
    """Name -> content; the same report gives the same bytes."""
    made = (render_json(report), render_markdown(report), render_page(report))
    return dict(zip(NAMES, made, strict=True))


def write_report(folder: Path, report: Report) -> list[Path]:
    """Write all three; files of these names are replaced.

    Raises:
        CmedtebError: the folder cannot be written to.
    """
    written = []
    for name, content in report_files(report).items():
        write_atomic(folder / name, content)
        written.append(folder / name)
    return written
