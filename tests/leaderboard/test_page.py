"""The page in a real Chromium: what a reader does with a mouse or a keyboard.

Run: pytest tests/leaderboard/test_page.py -q
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from leaderboard.boards import make_board
from leaderboard.browser import Keys, Page

BOARD = make_board(14)
TASK = "CMedTEBRetrieval"


@pytest.fixture(autouse=True)
def nothing_leaks(page: Page, small_site: Path) -> object:
    """Whatever a test does: no error in the console, and nothing asked for outside the site."""
    yield
    console, asked = page.logs()
    assert console == []
    assert [url for url in asked if not url.startswith((small_site.as_uri(), "about:"))] == []
    assert asked


def state(page: Page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(page.hash().lstrip("#")).items()}


def choose(page: Page, *slugs: str) -> None:
    for slug in slugs:
        page.click(f".bench.open .choose[value='{slug}']")


def ranked(benchmark: str) -> list[str]:
    names = {entry.slug: entry.name for entry in BOARD.models}
    return [names[row.model] for row in BOARD.standings if row.benchmark == benchmark]


def test_it_opens_ranked(page: Page) -> None:
    assert page.models()[: len(ranked("CMedTEB"))] == ranked("CMedTEB")


def test_tabs(page: Page) -> None:
    page.click("[data-tab='CMIRB']")
    assert page.models()[:5] == ranked("CMIRB")[:5]
    assert [tab.get_attribute("aria-selected") for tab in page.all("[role='tab']")] == [
        "false",
        "true",
        "false",
    ]
    assert state(page)["tab"] == "CMIRB"
    assert page.js("return document.querySelectorAll('.bench.open').length") == 1


def test_tabs_by_arrow_keys(page: Page) -> None:
    page.js("document.querySelector('[data-tab=CMedTEB]').focus()")
    page.press(Keys.ARROW_LEFT)
    assert page.focused() == "tab-smoke"
    page.press(Keys.HOME)
    assert page.focused() == "tab-CMedTEB"
    page.press(Keys.ARROW_RIGHT)
    assert state(page)["tab"] == "CMIRB"


def test_sorting(page: Page) -> None:
    page.click(f".bench.open th[data-k='{TASK}'] .sort")
    down = [float(value) for value in page.column(TASK)]
    assert down == sorted(down, reverse=True)
    heading = page.one(f".bench.open th[data-k='{TASK}']")
    assert heading.get_attribute("aria-sort") == "descending"
    page.click(f".bench.open th[data-k='{TASK}'] .sort")
    up = [float(value) for value in page.column(TASK)]
    assert up == sorted(down)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert len(page.all(".bench.open [aria-sort]")) == 1
    page.wait(f"document.querySelector('#live').textContent.includes('{TASK}')")


def test_what_is_missing_stays_last_in_both_directions(page: Page) -> None:
    page.click("[data-tab='CMIRB']")
    for _ in range(2):
        page.click(".bench.open th[data-k='mean'] .sort")
        assert page.column("mean")[-1] == "incomplete"
    page.click(".bench.open th[data-k='size'] .sort")
    assert page.models()[0] == "cmedteb/bm25"
    assert page.column("size")[-1] == "unknown"


def test_sorting_by_name(page: Page) -> None:
    page.click(".bench.open th[data-k='model'] .sort")
    names = page.models()
    assert names == sorted(names)


def test_filter(page: Page) -> None:
    page.one("#filter").send_keys("lab-3")
    assert page.models() == [name for name in ranked("CMedTEB") if "lab-3" in name]
    assert page.one("#count").text == f"{len(page.models())} of 14 models shown"
    page.one("#filter").send_keys(" no such model")
    assert page.models() == []
    assert page.one(".bench.open .none-left").is_displayed()


@pytest.mark.parametrize(
    ("chip", "attribute"), [("open", "open_weights"), ("asymmetric", "asymmetric"), ("api", "api")]
)
def test_chips(page: Page, chip: str, attribute: str) -> None:
    page.click(f"[data-chip='{chip}']")
    wanted = {entry.name for entry in BOARD.models if getattr(entry, attribute)}
    assert set(page.models()) == wanted
    assert page.one(f"[data-chip='{chip}']").get_attribute("aria-pressed") == "true"


def test_chips_by_size_and_training(page: Page) -> None:
    page.click("[data-chip='small']")
    sizes = {entry.name: entry.query_parameters for entry in BOARD.models}
    assert all((sizes[name] or 0) <= 5e8 for name in page.models())
    before = page.models()
    page.click("[data-chip='zero']")
    tasks = next(entry.tasks for entry in BOARD.benchmarks if entry.name == "CMedTEB")
    clean = {m.name for m in BOARD.models if all(m.trained_on[task] is False for task in tasks)}
    assert set(page.models()) == clean & set(before)
    assert len(page.models()) < len(before)


def test_the_chart_follows_the_choice_and_the_filter(page: Page) -> None:
    figures = ".bench.open .chart:not([hidden])"
    assert page.one(figures).get_attribute("data-cost") == "parameters"
    page.js("document.querySelectorAll('.bench.open input[name=cost]')[1].click()")
    assert len(page.all(figures)) == 1
    assert page.one(figures).get_attribute("data-cost").startswith("p50@")
    assert state(page)["cost"].startswith("p50@")
    page.click("[data-chip='asymmetric']")
    kept = page.all(f"{figures} .p:not(.faded)")
    assert kept
    assert len(kept) == len(page.all(f"{figures} .p:not(.faded) .pair"))
    page.one(f"{figures} summary").click()
    twins = page.all(f"{figures} tbody tr:not([hidden])")
    assert len(twins) == len(kept)


def test_a_mark_says_what_it_is(page: Page) -> None:
    page.js(
        "const m = document.querySelector('.bench.open .p .m');"
        "m.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    )
    name = page.one(".bench.open .p").get_attribute("data-n")
    assert page.one(".tip").text.startswith(name)


def test_judgements_change_scores_ranks_and_order(page: Page) -> None:
    task = "CMedQAv2-reranking"
    moves = next(entry for entry in BOARD.relabelled if entry.task == task).moves
    names = {entry.slug: entry.name for entry in BOARD.models}
    after = dict(zip(page.models(), page.column(task), strict=True))
    climbed = page.all(".bench.open td .up")
    assert climbed
    page.click("#judgements-original")
    before = dict(zip(page.models(), page.column(task), strict=True))
    for move in moves:
        assert before[names[move.model]] == f"{100 * move.original:.2f}"
        assert after[names[move.model]] == f"{100 * move.relabelled:.2f}"
    assert not climbed[0].is_displayed()
    ranks = [int(rank) for rank in page.column("rank")]
    assert ranks == sorted(ranks)
    assert state(page)["judgements"] == "original"


def test_compare(page: Page) -> None:
    first, second = (row.model for row in BOARD.standings[:2])
    choose(page, first)
    assert not page.one("#compare").is_displayed()
    choose(page, second)
    page.wait("document.querySelectorAll('#compare tbody tr').length === 6")
    cells = {(cell.task, cell.model): cell.score for cell in BOARD.cells}
    difference = 100 * (cells[TASK, first] - cells[TASK, second])
    text = page.one("#compare tbody tr").text.replace("\N{MINUS SIGN}", "-")
    assert f"{difference:+.2f}" in text
    assert "/ 200 /" in text
    page.click("#tray-open")
    assert page.focused() == "compare-title"
    page.click("#tray-clear")
    assert not page.one("#compare").is_displayed()


def test_a_comparison_turns_round(page: Page) -> None:
    """The pair lies in one file; the other way round every sign is turned."""
    first, second = (row.model for row in BOARD.standings[:2])
    shown = []
    for pair in ((first, second), (second, first)):
        page.open(hash_=f"lang=en&compare={','.join(pair)}")
        page.wait("document.querySelectorAll('#compare tbody tr').length === 6")
        row = page.all("#compare tbody tr")[1].find_elements("tag name", "td")
        value = float(row[1].text.split()[0].replace("\N{MINUS SIGN}", "-"))
        shown.append((value, row[2].text.split(" / ")))
    assert shown[0][0] == -shown[1][0] != 0
    assert shown[0][1] == shown[1][1][::-1]


def test_no_more_than_four_are_compared(page: Page) -> None:
    slugs = [row.model for row in BOARD.standings[:5]]
    choose(page, *slugs[:4])
    page.wait("document.querySelectorAll('#compare thead [colspan]').length === 3")
    assert not page.one(f".bench.open .choose[value='{slugs[4]}']").is_enabled()
    choose(page, slugs[0])
    assert page.one(f".bench.open .choose[value='{slugs[4]}']").is_enabled()


def test_an_address_brings_everything_back(page: Page) -> None:
    page.click("[data-tab='CMIRB']")
    page.click(".bench.open th[data-k='MedicalRetrieval'] .sort")
    page.one("#filter").send_keys("embed")
    page.click("[data-chip='open']")
    page.click("#judgements-original")
    page.js("document.querySelectorAll('.bench.open input[name=cost]')[1].click()")
    choose(page, *[row.model for row in BOARD.standings if row.benchmark == "CMIRB"][:2])
    page.click("#language-zh")
    page.click("#theme-dark")
    before, models, address = state(page), page.models(), page.driver.current_url
    page.open("index.html", address.partition("#")[2])
    page.wait("document.querySelectorAll('#compare tbody tr').length === 11")
    assert state(page) == before
    assert page.models() == models
    assert page.js("return document.documentElement.lang") == "zh"
    assert page.js("return document.documentElement.dataset.theme") == "dark"
    assert page.one("#filter").get_attribute("value") == "embed"
    assert page.one("#judgements-original").is_selected()
    assert page.one(".bench.open .chart:not([hidden])").get_attribute("data-cost")[:3] == "p50"


def test_an_address_with_nonsense_opens_the_page(page: Page) -> None:
    page.open(hash_="lang=xx&tab=NoSuch&sort=-nothing&chips=what&compare=../../x,y&theme=<b>")
    assert page.models() == []
    page.open(hash_="tab=NoSuch&sort=-nothing&compare=../../x,y")
    assert page.models()[0] == ranked("CMedTEB")[0]


def test_language(page: Page) -> None:
    english = page.one("h1").text
    page.click("#language-zh")
    assert page.js("return document.documentElement.lang") == "zh"
    chinese = page.one("h1").text
    assert chinese != english
    assert page.js("return document.title") == page.one("title").get_attribute("data-zh")
    page.driver.get(f"{(page.site / 'index.html').as_uri()}?lang=en")
    assert page.one("h1").text == english
    page.driver.get((page.site / "task" / f"{TASK}.html").as_uri())
    assert page.js("return document.documentElement.lang") == "zh"


def test_theme(page: Page) -> None:
    light = page.js("return getComputedStyle(document.body).backgroundColor")
    page.click("#theme-dark")
    dark = page.js("return getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.click("#theme-auto")
    for scheme, wanted in (("dark", dark), ("light", light)):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        assert page.js("return getComputedStyle(document.body).backgroundColor") == wanted
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("how", ["csv", "json", "latex", "bibtex"])
def test_copy(page: Page, how: str) -> None:
    page.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    page.click("[data-chip='asymmetric']")
    page.js("document.querySelector(`.bench.open [data-copy='${arguments[0]}']`).click()", how)
    page.wait("document.querySelector('#live').textContent !== ''")
    text = page.driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0](String(e)))"
    )
    models = page.models()
    if how == "csv":
        lines = text.replace("\r", "").split("\n")
        assert lines[0].startswith("model,rank,size,mean,")
        assert [line.split(",")[0] for line in lines[1:]] == models
    elif how == "json":
        rows = json.loads(text)
        assert [row["model"] for row in rows] == models
        assert rows[0][TASK] == float(page.column(TASK)[0])
    elif how == "latex":
        assert text.startswith("\\begin{tabular}")
        assert text.count("\\\\") == len(models) + 1
    else:
        assert "@misc{jiang2026cmedteb," in text


def test_where_the_clipboard_is_closed_the_text_is_shown(page: Page) -> None:
    page.js("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.js("document.querySelector('.bench.open [data-copy=csv]').click()")
    area = page.one("dialog textarea")
    assert area.get_attribute("value").startswith("model,rank")
    assert page.focused() == area.get_attribute("className")


def test_by_keyboard_alone(page: Page) -> None:
    """Skip link first, then everything in order; sort and choose without a mouse."""
    page.js("document.body.tabIndex = -1; document.body.focus()")
    page.press(Keys.TAB)
    assert page.focused() == "skip"
    page.press(Keys.ENTER)
    assert page.focused() == "main"
    seen = []
    for _ in range(24):
        page.press(Keys.TAB)
        seen.append(page.focused())
        assert page.js(
            "const s = getComputedStyle(document.activeElement.matches('.segments input')"
            " ? document.activeElement.nextElementSibling : document.activeElement);"
            "return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2"
        ), seen
    assert {"tab-CMedTEB", "filter", "chip", "region", "sort", "metric"} <= set(seen)
    page.js(f"document.querySelector(\".bench.open th[data-k='{TASK}'] .sort\").focus()")
    page.press(Keys.ENTER)
    assert page.one(f".bench.open th[data-k='{TASK}']").get_attribute("aria-sort") == "descending"
    page.js("document.querySelector('.bench.open .choose').focus()")
    page.press(Keys.SPACE)
    assert page.one("#tray").is_displayed()


def test_pages_lead_to_one_another(page: Page) -> None:
    page.one(".bench.open .board tbody .model a").click()
    page.wait("document.title.startsWith('lab-')")
    assert page.one("h1").text == ranked("CMedTEB")[0]
    page.one(f"a[href='../task/{TASK}.html']").click()
    page.wait(f"document.title.startsWith('{TASK}')")
    page.one(".crumb a").click()
    page.wait("document.querySelector('.bench.open')")
