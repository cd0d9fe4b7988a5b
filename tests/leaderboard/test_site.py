"""The site as files: hostile names stay text, two builds are equal, nothing foreign is replaced."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cmedteb.errors import DataError, UsageError
from cmedteb.leaderboard.board import Board
from cmedteb.leaderboard.site import numbers, write_site
from cmedteb.leaderboard.site.chart import Box, draw
from cmedteb.leaderboard.site.cost import Cost, charts, front
from cmedteb.leaderboard.site.export import inert_json
from cmedteb.leaderboard.site.text import Texts
from leaderboard.boards import make_board, make_comparisons

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'"
BOARD = make_board(14)


class Tags(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(path: Path) -> list[tuple[str, dict[str, str | None]]]:
    return Tags(path.read_text(encoding="utf-8")).found


def hostile_board() -> Board:
    models = tuple(
        entry.model_copy(update={"name": f"=cmd{HOSTILE}", "title": HOSTILE, "licence": HOSTILE})
        for entry in BOARD.models
    )
    address = {"name": HOSTILE, "url": "javascript:alert(1)"}
    tasks = tuple(
        task.model_copy(
            update={
                "licence": task.licence.model_copy(update=address),
                "note": HOSTILE,
                "citation": HOSTILE,
            }
        )
        for task in BOARD.tasks
    )
    published = tuple(
        table.model_copy(update={"url": "data:text/html,x", "source": HOSTILE})
        for table in BOARD.published
    )
    return BOARD.model_copy(update={"models": models, "tasks": tasks, "published": published})


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    write_site(hostile_board(), [], tmp_path / "site")
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) == 1 + 14 + 18
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        for tag, attributes in tags(page):
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert tag != "img"
            address = attributes.get("href") or attributes.get("src") or ""
            assert not address.lower().startswith(("javascript:", "data:", "//"))
            if tag == "script" and "src" not in attributes:
                assert attributes["type"] == "application/json"
    lines = (tmp_path / "site" / "leaderboard.csv").read_bytes().decode("utf-8-sig")
    assert all(not row[1].startswith("=") for row in csv.reader(io.StringIO(lines)))


def test_every_page_says_what_it_may_load(small_site: Path) -> None:
    for page in small_site.rglob("*.html"):
        policies = [
            attributes["content"] or ""
            for tag, attributes in tags(page)
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        assert len(policies) == 1
        assert "default-src 'none'" in policies[0]
        assert "unsafe" not in policies[0]
        loaded = [a["src"] or "" for tag, a in tags(page) if tag == "script" and "src" in a]
        assert all((page.parent / name).is_file() for name in loaded)


def test_every_link_within_the_site_leads_somewhere(small_site: Path) -> None:
    for page in small_site.rglob("*.html"):
        for tag, attributes in tags(page):
            target = (attributes.get("href") or "").partition("#")[0]
            if tag in {"a", "link"} and target and not target.startswith("http"):
                assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_two_builds_are_equal(tmp_path: Path, small_site: Path) -> None:
    write_site(make_board(14), make_comparisons(make_board(14)), tmp_path / "again")
    first = {p.relative_to(small_site): p.read_bytes() for p in small_site.rglob("*.*")}
    again = tmp_path / "again"
    assert {p.relative_to(again): p.read_bytes() for p in again.rglob("*.*")} == first


def test_the_json_is_the_board(small_site: Path) -> None:
    assert Board.model_validate_json((small_site / "leaderboard.json").read_bytes()) == BOARD


def test_a_board_without_results(tmp_path: Path) -> None:
    nothing: dict[str, object] = dict.fromkeys(("models", "cells", "standings", "relabelled"), ())
    write_site(BOARD.model_copy(update=nothing), [], tmp_path / "site")
    classes = [a.get("class") for _, a in tags(tmp_path / "site" / "index.html")]
    assert classes.count("none-left empty") == len(BOARD.benchmarks)
    assert "copy" not in classes


def test_a_site_is_replaced_and_a_foreign_folder_is_not(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(BOARD, [], site)
    (site / "model" / "old.html").write_text("old", encoding="utf-8")
    write_site(BOARD, [], site)
    assert not (site / "model" / "old.html").exists()
    (site / "leaderboard.json").unlink()
    with pytest.raises(UsageError, match="is not replaced"):
        write_site(BOARD, [], site)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_a_failed_build_leaves_the_old_site(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(BOARD, [], site)

    def broken() -> object:
        yield next(iter(make_comparisons(BOARD)))
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_site(BOARD, broken(), site)  # type: ignore[arg-type]
    assert (site / "index.html").is_file()
    assert not (site / "compare").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_texts_that_do_not_match_are_refused(tmp_path: Path) -> None:
    (tmp_path / "zh.json").write_text(json.dumps({"a": "{n}", "b": ""}), encoding="utf-8")
    (tmp_path / "en.json").write_text(json.dumps({"a": "{m}"}), encoding="utf-8")
    with pytest.raises(DataError, match="disagree about b, a"):
        Texts(tmp_path)


def test_data_in_a_script_cannot_end_it() -> None:
    text = inert_json({"a": "</script><!--\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028"}


@pytest.mark.parametrize("cost", list(Cost))
def test_nobody_beats_the_front(cost: Cost) -> None:
    models = {entry.slug: entry for entry in BOARD.models}
    rows = [row for row in BOARD.standings if row.benchmark == "CMedTEB"]
    chart = next(one for one in charts(models, rows) if one.cost is cost)
    sign = -1 if cost is Cost.RATE else 1
    for point in chart.points:
        beaten = any(
            sign * other.cost <= sign * point.cost
            and other.standing.score >= point.standing.score
            and (sign * other.cost, -other.standing.score)
            != (sign * point.cost, -point.standing.score)
            for other in chart.points
        )
        assert beaten != (point.model.slug in chart.front)
    assert front((), cost) == frozenset()


def test_a_pair_stands_at_the_cost_of_its_query_side() -> None:
    models = {entry.slug: entry for entry in BOARD.models}
    rows = [row for row in BOARD.standings if row.benchmark == "CMedTEB"]
    points = next(charts(models, rows)).points
    pairs = [point for point in points if point.model.asymmetric]
    assert pairs
    assert all(point.cost == point.model.query_parameters for point in pairs)
    assert all(point.document == point.model.document_parameters for point in pairs)


def test_names_in_the_chart_do_not_touch() -> None:
    board = make_board(100)
    models = {entry.slug: entry for entry in board.models}
    rows = [row for row in board.standings if row.benchmark == "CMIRB"]
    for drawing in map(draw, charts(models, rows)):
        boxes = []
        for label in drawing.labels:
            wide = 6.7 * len(label.text)
            left = label.x - {"start": 0.0, "middle": wide / 2, "end": wide}[label.anchor]
            boxes.append(Box(left + 0.1, label.y - 10.9, left + wide - 0.1, label.y + 2.9))
        assert boxes
        assert not [1 for n, box in enumerate(boxes) for other in boxes[:n] if box.meets(other)]
        assert all(0 <= mark.x <= drawing.width for mark in drawing.marks)


def test_how_numbers_are_written() -> None:
    assert numbers.score(0.5675) == "56.75"
    assert numbers.size(8_190_000_000) == "8.19B"
    assert numbers.size(0) == "0"
    assert numbers.size(None) == "?"
    assert numbers.metric("ndcg_at_10") == "nDCG@10"
    assert numbers.letter(25) + numbers.letter(26) == "zaa"
    assert numbers.letters(1, 3) == "bcd"
    assert numbers.web("https://example.org/a") == "https://example.org/a"
    assert numbers.web("javascript:alert(1)") is None
    assert numbers.web("https://[") is None
