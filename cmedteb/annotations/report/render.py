"""A report as a page and as Markdown, from the templates in `annotations/pages`.

The page is one file that asks nobody for anything: its policy forbids every request, and any style
or script but its own. It holds both languages; the reader's choice is a style, not a request. All
that comes from a journal is text and is escaped. The same report gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from cmedteb.annotations.report import figures
from cmedteb.annotations.report.figures import PAPER_KAPPA
from cmedteb.annotations.report.schema import Report
from cmedteb.annotations.report.words import readings, warnings
from cmedteb.resources import data_folder

if TYPE_CHECKING:
    import jinja2

LANGUAGES = ("en", "zh")
FILTERS: dict[str, Callable[..., str]] = {
    "number": figures.number,
    "signed": figures.signed,
    "share": figures.share,
    "count": figures.count,
    "money": figures.money,
    "bounds": figures.bounds,
    "whole": figures.whole,
}


def render_json(report: Report) -> bytes:
    """`report.json`: strict JSON, readable, keys in the order of the schema."""
    text = json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=2, allow_nan=False)
    return (text + "\n").encode()


def render_page(report: Report) -> bytes:
    """`report.html`: one page in both languages."""
    from markupsafe import Markup

    css, script = read("report.css"), read("report.js")
    page = environment(html=True).get_template("report.html.j2")
    return page.render(
        **_context(report),
        t=_both_languages,
        css=Markup(css),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'",
    ).encode()


def render_markdown(report: Report, template: str = "report.md.j2", **more: Any) -> bytes:  # noqa: ANN401  what a template takes
    """`report.md`: the same in English, then in Chinese."""
    page = environment(html=False).get_template(template)
    parts = [
        page.render(**_context(report), **more, t=_one_language(language), language=language)
        for language in LANGUAGES
    ]
    return ("\n".join(part.strip() + "\n" for part in parts)).encode()


def environment(*, html: bool) -> jinja2.Environment:
    """Templates that escape everything (`html`), and stop at a name that they do not know."""
    import jinja2

    loader = jinja2.FileSystemLoader(data_folder("annotations") / "pages")
    made = jinja2.Environment(
        loader=loader,
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(FILTERS)
    if not html:
        made.filters["cell"] = cell
    return made


def cell(value: object) -> str:
    """A text in Markdown: what comes from a journal is not markup, and ends no table."""
    text = " ".join(str(value).split())
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text


def read(name: str) -> str:
    """A file of `annotations/pages`."""
    return (data_folder("annotations") / "pages" / name).read_text(encoding="utf-8")


@cache
def words() -> dict[str, dict[str, str]]:
    """Language -> key -> text."""
    found: dict[str, dict[str, str]] = json.loads(read("report.i18n.json"))
    return found


def _context(report: Report) -> dict[str, Any]:
    return {
        "r": report,
        "readings": readings(report),
        "warnings": warnings(report),
        "paper": PAPER_KAPPA,
        "at": figures.at,
        "axis": figures.axis,
        "ticks": figures.ticks,
    }


def _both_languages(key: str, **gaps: object) -> Any:  # noqa: ANN401  Markup
    from markupsafe import Markup, escape

    filled = {name: escape(value) for name, value in gaps.items()}
    spans = [
        Markup('<span lang="{}">{}</span>').format(
            "zh-CN" if language == "zh" else language,
            escape(words()[language][key]).format(**filled),
        )
        for language in LANGUAGES
    ]
    return Markup("").join(spans)


def _one_language(language: str) -> Callable[..., str]:
    def text(key: str, **gaps: object) -> str:
        return words()[language][key].format(**{k: cell(v) for k, v in gaps.items()})

    return text


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
