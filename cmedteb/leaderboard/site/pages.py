"""Renders the pages from templates: everything escaped, nothing from outside, the same every time.

The content security policy lets a page load its own style and script and nothing else: no inline
script or style runs, no address outside is asked for, no form is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cmedteb.leaderboard.board import Board, ModelEntry, TaskEntry
from cmedteb.leaderboard.site import numbers
from cmedteb.leaderboard.site.chart import draw
from cmedteb.leaderboard.site.cost import charts
from cmedteb.leaderboard.site.export import inert_json
from cmedteb.leaderboard.site.release import said
from cmedteb.leaderboard.site.table import Index, make_table
from cmedteb.leaderboard.site.text import LANGUAGES, Texts, pair, titled

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
SCRIPTS = (
    "text",
    "state",
    "rows",
    "sort",
    "tabs",
    "judgements",
    "chart",
    "compare",
    "copy",
    "main",
)
STYLES = ("base", "table", "figure", "page", "print")


class Pages:
    """All pages of a board.

    Args:
        board: what to show.
        folder: `leaderboard/site`: templates, css, js and i18n.
    """

    def __init__(self, board: Board, folder: Path) -> None:
        self.index = Index(board)
        self.folder = folder
        self.texts = Texts(folder / "i18n")
        self.environment = _environment(folder, self.texts)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path within the site and content, page by page."""
        yield "index.html", self._index()
        for model in self.index.board.models:
            yield f"model/{model.slug}.html", self._model(model)
        for task in self.index.board.tasks:
            yield f"task/{task.name}.html", self._task(task)
        yield "assets/site.css", _joined(self.folder / "css", STYLES, "css")
        yield "assets/head.js", (self.folder / "js" / "head.js").read_bytes()
        script = _joined(self.folder / "js", SCRIPTS, "js")
        yield "assets/site.js", b"(() => {\n'use strict';\n" + script + b"})();\n"

    def _index(self) -> bytes:
        board = self.index.board
        counted = {task for _, task in self.index.cells}
        views = []
        for entry in board.benchmarks:
            drawn = charts(self.index.models, self.index.standings(entry.name))
            views.append((make_table(self.index, entry), [draw(chart) for chart in drawn]))
        # What holds results comes first; the first view is the one that opens.
        views.sort(key=lambda view: (not view[0].rows, view[0].entry.name == "smoke"))
        return self._render(
            "index.html",
            root="",
            views=views,
            counted=len(counted),
            bibtex={entry.name: self._bibtex(entry.tasks) for entry in board.benchmarks},
        )

    def _model(self, model: ModelEntry) -> bytes:
        rows = [(task, self.index.shown(model.slug, task.name)) for task in self.index.board.tasks]
        return self._render(
            "model.html",
            root="../",
            model=model,
            rows=rows,
            standings=[row for row in self.index.board.standings if row.model == model.slug],
            left_out=[row for row in self.index.board.left_out if row.model == model.name],
        )

    def _task(self, task: TaskEntry) -> bytes:
        cells = [cell for cell in self.index.board.cells if cell.task == task.name]
        rows = [
            (self.index.models[cell.model], self.index.shown(cell.model, task.name))
            for cell in cells
        ]
        releases = [(entry, said(entry.header)) for entry in task.judgements]
        return self._render("task.html", root="../", task=task, rows=rows, releases=releases)

    def _bibtex(self, tasks: tuple[str, ...]) -> str:
        """Every entry once, in the order of the tasks."""
        entries: dict[str, None] = {}
        for name in tasks:
            for part in self.index.tasks[name].citation.split("\n@"):
                if part.strip():
                    entries[f"@{part.strip().removeprefix('@')}"] = None
        return "\n".join(entries)

    def _render(self, template: str, **values: object) -> bytes:
        page = self.environment.get_template(template)
        board = self.index.board
        return page.render(board=board, versions=self.index.versions, **values).encode()


def _environment(folder: Path, texts: Texts) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        t=texts.both,
        plain=texts.plain,
        pair=pair,
        titled=titled,
        n=numbers,
        policy=POLICY,
        languages=LANGUAGES,
        strings=Markup(inert_json(texts.scripted())),
    )
    return environment


def _joined(folder: Path, names: tuple[str, ...], suffix: str) -> bytes:
    return b"\n".join((folder / f"{name}.{suffix}").read_bytes() for name in names)
