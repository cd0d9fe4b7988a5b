"""Views of the page in a real Chromium: widths, paper, no script, many models, and axe-core.

Run: pytest tests/leaderboard/test_page_views.py -q
"""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from leaderboard.boards import make_board
from leaderboard.browser import NARROW, WIDE, Page

BOARD = make_board(14)
FIRST, SECOND = (row.model for row in BOARD.standings[:2])
COMPARED = f"&compare={FIRST},{SECOND}"
PAGES = {
    "board": ("index.html", "&tab=CMIRB"),
    "chosen": ("index.html", f"&q=embed&chips=open&judgements=original{COMPARED}"),
    "model": (f"model/{FIRST}.html", ""),
    "task": ("task/CmedqaRetrieval.html", ""),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("view", sorted(PAGES))
def test_axe_finds_nothing(page: Page, view: str, language: str, theme: str) -> None:
    path, more = PAGES[view]
    page.open(path, f"lang={language}&theme={theme}{more}")
    if "compare" in more:
        page.wait("document.querySelector('#compare tbody')")
    for details in page.all(".bench.open .chart:not([hidden]) details"):
        page.js("arguments[0].open = true", details)
    assert page.violations() == []


def test_axe_finds_nothing_on_a_small_screen(page: Page) -> None:
    page.size(NARROW)
    assert page.violations() == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1440", "360"])
@pytest.mark.parametrize("view", sorted(PAGES))
def test_only_regions_scroll_sideways(page: Page, view: str, size: tuple[int, int]) -> None:
    path, more = PAGES[view]
    page.open(path, f"lang=zh&theme=light{more}")
    page.size(size)
    assert page.js("return document.documentElement.scrollWidth") <= size[0]
    outside = page.js(
        """
        return [...document.querySelectorAll('main *')].filter((one) => {
          const box = one.getBoundingClientRect();
          return box.width && !one.closest('.region, pre, .vh') && box.right > innerWidth + 1;
        }).map((one) => one.outerHTML.slice(0, 80));
        """
    )
    assert outside == []


def test_names_and_headings_stay_in_sight(page: Page) -> None:
    page.size(NARROW)
    before = page.js("return document.querySelector('.bench.open th.model a').textContent")
    page.js("document.querySelector('.bench.open > .region').scrollTo(400, 300)")
    frame, name, head = page.js(
        """
        const region = document.querySelector('.bench.open > .region').getBoundingClientRect();
        const row = [...document.querySelectorAll('.bench.open tbody tr')][8];
        return [region.left, row.querySelector('.model').getBoundingClientRect().left,
          document.querySelector('.bench.open thead').getBoundingClientRect().top - region.top];
        """
    )
    assert before
    assert abs(name - frame) < 2
    assert abs(head) < 2


def test_targets_are_large_enough(page: Page) -> None:
    """24 by 24 CSS pixels, or a line of text that stands alone (WCAG 2.2, 2.5.8)."""
    small = page.js(
        """
        return [...document.querySelectorAll('button, input, summary, .tabs a, .model a')]
          .filter((one) => one.offsetParent && !one.closest('[hidden]'))
          .map((one) => [one, (one.closest('label') ?? one).getBoundingClientRect()])
          .filter(([, box]) => box.height < 23.5 || box.width < 20)
          .map(([one, box]) => `${one.outerHTML.slice(0, 90)} ${box.width} ${box.height}`);
        """
    )
    assert small == []


def test_without_a_script(chromium: Chrome, small_site: Path) -> None:
    """Every benchmark is there to read, in either language, and nothing dead to press."""
    page = Page(chromium, small_site).open()
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.get("about:blank")
        chromium.get((small_site / "index.html").as_uri())
        html = page.one("html")
        assert "js" not in (html.get_attribute("class") or "")
        assert len([table for table in page.all(".board") if table.is_displayed()]) == 3
        assert len(page.all("#table-CMedTEB tbody tr")) == 14
        shown = [svg for svg in page.all(".chart .region svg") if svg.is_displayed()]
        assert len(shown) == len(page.all(".chart"))
        dead = [b for b in page.all("button, .choose, #filter") if b.is_displayed()]
        assert dead == []
        chinese = page.one("h1").text
        page.one("#language-en").click()
        assert page.one("h1").text != chinese
        page.one("label:has(#judgements-original)").click()
        assert [s for s in page.all("#table-CMIRB .now") if s.is_displayed()] == []
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_paper(page: Page) -> None:
    """In print, light, without controls, every row; and Chromium makes a document of it."""
    page.open(hash_="lang=en&theme=dark")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for selector in (".controls", ".settings", ".copy", ".pick", ".tabs"):
            assert not any(one.is_displayed() for one in page.all(selector)), selector
        assert page.one(".bench.open .board tbody tr:last-child .model a").is_displayed()
        assert page.js("return getComputedStyle(document.documentElement).colorScheme") == "light"
        region = "document.querySelector('.bench.open > .region')"
        assert page.js(f"return getComputedStyle({region}).overflow") == "visible"
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    made = page.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(made["data"]).startswith(b"%PDF-")


def test_a_hundred_models(chromium: Chrome, large_site: Path) -> None:
    """It fits what a slow line can carry, opens without an error, and sorts and filters."""
    names = ("index.html", "assets/site.js", "assets/head.js", "assets/site.css")
    weight = sum(len(gzip.compress((large_site / name).read_bytes(), 9)) for name in names)
    assert weight <= 200_000
    page = Page(chromium, large_site).open(hash_="lang=zh&theme=light&tab=CMIRB")
    assert len(page.models()) == 100
    page.click(".bench.open th[data-k='CovidRetrieval'] .sort")
    values = [float(v) for v in page.column("CovidRetrieval") if v[0].isdigit()]
    assert values == sorted(values, reverse=True)
    page.one("#filter").send_keys("lab-3")
    assert 0 < len(page.models()) < 100
    console, asked = page.logs()
    assert console == []
    assert all(url.startswith((large_site.as_uri(), "about:")) for url in asked)
    assert page.js("return performance.getEntriesByName('interactive').length") == 1
