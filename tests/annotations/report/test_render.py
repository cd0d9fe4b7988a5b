"""A report as JSON, Markdown and a page. Run: pytest tests/annotations/report/test_render.py."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from string import Formatter

import pytest

from annotations.annotation_support import judge, pair, panel
from annotations.snapshot_support import of_grades, settings, simulated, snapshot
from cmedteb.annotations.records import State
from cmedteb.annotations.report.assemble import make_report
from cmedteb.annotations.report.files import report_files
from cmedteb.annotations.report.render import read, render_json, render_markdown, render_page, words
from cmedteb.annotations.report.schema import Report

NASTY = "<script>alert(1)</script>|`x`*"


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report(simulated())


class Seen(HTMLParser):
    """What a page holds: its elements, and whether each that opens is closed."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_json_is_strict_and_comes_back(report: Report) -> None:
    text = render_json(report)
    assert Report.model_validate_json(text) == report
    assert b"NaN" not in text
    assert json.loads(text)["report"] == "cmedteb-annotation-report/1"


def test_undefined_is_null_with_a_reason() -> None:
    report = make_report(of_grades([(1, 1, 1)] * 3))
    document = json.loads(render_json(report))
    kappa = document["agreement"]["binary"]["coefficients"]["fleiss_kappa"]
    assert (kappa["value"], kappa["why"]) == (None, "one-category")
    assert "undefined: one category only" in render_page(report).decode()


def test_the_same_snapshot_gives_the_same_bytes(report: Report) -> None:
    assert report_files(report) == report_files(make_report(simulated()))


def test_the_page_is_whole_and_asks_nobody(report: Report) -> None:
    page = render_page(report).decode()
    seen = Seen(page)
    assert seen.open == []
    addresses = {
        name: value for name, value in seen.attributes if name in {"src", "href", "action"}
    }
    assert addresses == {"href": "data:,"}
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]
    assert "url(" not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "https://" not in page
    policy = next(value for _, value in seen.attributes if value and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert seen.names.count("script") == 1


def test_all_five_plots_are_there(report: Report) -> None:
    page = render_page(report).decode()
    assert page.count('class="stack"') == 4  # grades of three judges, and the labels
    assert page.count('class="plot"') >= 25
    assert page.count('class="bars"') == 1


def test_what_comes_from_a_journal_is_text() -> None:
    of = settings(panel=panel(judge("a", note=NASTY, family=NASTY), judge("b")), task=NASTY)
    report = make_report(of_grades([(4, 5), (1, 1)], of=of))
    page = render_page(report).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    told = render_markdown(report).decode()
    assert "<script>" not in told
    assert "\\|" in told


def test_both_languages_say_the_same() -> None:
    texts = words()
    assert texts["en"].keys() == texts["zh"].keys()
    for key, text in texts["en"].items():
        gaps = {name for _, name, _, _ in Formatter().parse(text) if name}
        assert gaps == {name for _, name, _, _ in Formatter().parse(texts["zh"][key]) if name}, key


def test_no_text_is_left_unused() -> None:
    templates = "".join(read(name) for name in ("report.html.j2", "report.md.j2", "card.md.j2"))
    made_up = ("why.", "stratum.", "choice.", "e.", "read.", "warn.", "c.")
    named = set(re.findall(r'"([a-z_]+(?:\.[a-z_-]+)*)"', templates))
    unused = [key for key in words()["en"] if key not in named and not key.startswith(made_up)]
    assert unused == []


def test_reports_of_little_can_be_shown() -> None:
    """Nothing asked; one judge; an unfinished cascade; no system."""
    for report in (
        make_report(snapshot([pair("q", "d")], [(None, None, None)])),
        make_report(of_grades([(5,)], of=settings(["a"], systems=()))),
        make_report(of_grades([(1, None, None)], of=settings(cascade=0.0))),
        make_report(of_grades([(State.FAILED, State.CUT, 5)] * 2)),
    ):
        assert Seen(render_page(report).decode()).open == []
        assert render_markdown(report)
        assert Report.model_validate_json(render_json(report)) == report


def test_markdown_says_it_in_both_languages(report: Report) -> None:
    told = render_markdown(report).decode()
    for language in ("en", "zh"):
        assert f"# {words()[language]['title']}: Test" in told
    assert told.count("0.731") >= 2
