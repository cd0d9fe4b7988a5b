"""The review page in a real Chromium, from the disk: keys, saving, restoring, hostile texts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotations.review.support import HOSTILE
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Phase
from cmedteb.annotations.review import Format, ReviewPlan, export_reviews, import_reviews
from cmedteb.annotations.review.page import json_block

PATIENCE_S = 20.0


class Page:
    """The page as a reviewer uses it: by keys alone."""

    def __init__(self, driver: Any, path: Path) -> None:
        self.driver = driver
        self.open(path)
        self.value("localStorage.clear()")
        self.errors(), self.requests()
        self.open(path)

    def open(self, path: Path) -> None:
        self.driver.get(path.as_uri())

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def text(self, name: str) -> str:
        return str(
            self.driver.execute_script(f"return document.getElementById('{name}').textContent")
        )

    def value(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    @property
    def items(self) -> list[dict[str, Any]]:
        data = self.value("document.getElementById('data').textContent")
        return list(json.loads(data)["items"])

    @property
    def position(self) -> int:
        """From 0, of the item that is shown."""
        found = self.value("document.getElementById('position').textContent.match(/\\d+/)[0]")
        return int(found) - 1

    @property
    def chosen(self) -> int | None:
        script = "document.querySelector('#scale [aria-checked=true]')?.dataset.score"
        found = self.value(script)
        return None if found is None else int(found)

    def errors(self) -> list[str]:
        return [row["message"] for row in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address that was asked for since the last call, but the page's own."""
        rows = [json.loads(row["message"])["message"] for row in self.driver.get_log("performance")]
        urls = [
            row["params"]["request"]["url"]
            for row in rows
            if row["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def download(self, name: str) -> Path:
        path = Path(self.driver.downloads) / name
        path.unlink(missing_ok=True)
        self.press("d")
        until(path.is_file)
        return path


def until(true: Callable[[], bool]) -> None:
    """Wait for the browser to do something in its own time."""
    ends = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > ends:
            pytest.fail("the browser did not do it")
        time.sleep(0.02)


def exported(folder: Path, **changes: Any) -> Path:
    facts: dict[str, Any] = {"pairs": 60, "reviewers": ("li",), "formats": (Format.HTML,)}
    done = export_reviews(folder, ReviewPlan(**{**facts, **changes}))
    return done.files[0]


def test_grading_by_keys_alone_is_saved_and_comes_back(browser: Any, annotation: Path) -> None:
    path = exported(annotation)
    page = Page(browser, path)
    page.press("4")
    assert page.position == 1
    page.press("u")
    assert page.position == 1
    assert page.value("document.getElementById('unsure').getAttribute('aria-pressed')") == "true"
    page.press("c", "-", "5", "\ue007")  # a comment, and Enter
    page.press("2", "\ue012")  # and back, by the left arrow
    assert (page.position, page.chosen) == (1, 2)
    assert page.text("count") == f"2 / {len(page.items)}"
    page.open(path)
    assert (page.position, page.chosen) == (1, 2)
    assert page.value("document.getElementById('comment').value") == "-5"
    page.press("0")
    assert page.chosen is None
    page.press("n")
    assert page.position == 2
    assert page.errors() == []


def test_what_is_downloaded_is_imported(browser: Any, annotation: Path) -> None:
    page = Page(browser, exported(annotation))
    items = page.items
    page.press(*(str(1 + number % 5) for number in range(len(items))))
    assert page.value("document.getElementById('finished').hidden") is False
    path = page.download("review-blind-li.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["item"] for row in rows] == [item["id"] for item in items]
    assert [row["score"] for row in rows] == [1 + n % 5 for n in range(len(items))]
    done = import_reviews(annotation, [path])
    assert done.reviews == {("li", Phase.BLIND): len(items)}
    assert done.still_open == 0
    with Journal.open(annotation) as journal:
        kept = journal.snapshot().reviews
    assert [review.grade for review in kept] == [row["score"] for row in rows]
    assert {review.repeat for review in kept} == {0, 1}


def test_a_downloaded_file_brings_the_work_back(browser: Any, annotation: Path) -> None:
    page = Page(browser, exported(annotation))
    page.press("5", "3", "1")
    path = page.download("review-blind-li.jsonl")
    page.value("localStorage.clear()")
    page.open(Path(browser.current_url.removeprefix("file://")))
    assert page.chosen is None
    field = browser.find_element("id", "restore")
    field.send_keys(str(path))
    until(lambda: page.text("count").startswith("3 /"))
    other = path.with_name("other.jsonl")
    other.write_text(path.read_text(encoding="utf-8").replace('"export":"', '"export":"0'), "utf-8")
    field.send_keys(str(other))
    until(lambda: not page.value("document.getElementById('warning').hidden"))
    assert page.text("count").startswith("3 /")


def test_hostile_texts_are_shown_and_never_run(browser: Any, annotation: Path) -> None:
    page = Page(browser, exported(annotation))
    shown = {}
    for _ in page.items:
        shown[page.items[page.position]["id"]] = page.text("document")
        page.press("\ue014")  # the right arrow
    assert shown == {item["id"]: item["document"] for item in page.items}
    documents = set(shown.values())
    assert documents >= {text for text in HOSTILE if len(text) < 400}
    assert browser.title.startswith("\u4e13\u5bb6\u8bc4\u5ba1")
    assert page.errors() == []
    assert page.requests() == []


def test_a_script_that_is_not_the_pages_own_does_not_run(browser: Any, annotation: Path) -> None:
    """Were a text ever put into the page as markup, its policy would still stop it."""
    path = exported(annotation)
    script = "<script>document.title = 'owned'</script></body>"
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    page = Page(browser, path)
    assert browser.title != "owned"
    assert "Content Security Policy" in page.errors()[0]


def test_the_words_are_chinese_and_english_on_demand(browser: Any, annotation: Path) -> None:
    page = Page(browser, exported(annotation))
    assert page.text("unsure").split()[-1] == "\u62ff\u4e0d\u51c6"
    assert page.value("document.documentElement.lang") == "zh-CN"
    browser.find_element("id", "language").click()
    assert page.text("unsure").split()[-1] == "Unsure"
    assert page.value("document.documentElement.lang") == "en"
    words = page.value("document.body.innerText")
    assert "undefined" not in words
    rubric = "\u57fa\u672c\u56de\u7b54"  # its anchors stay as judges read them
    assert rubric in words


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_cut_off_at_the_side(browser: Any, annotation: Path, width: int) -> None:
    metrics = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page = Page(browser, exported(annotation))
    for _ in range(10):
        assert page.value("document.documentElement.scrollWidth") <= width
        page.press("\ue014")
    assert page.value("document.getElementById('scale').getBoundingClientRect().bottom") <= 740
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_judges_are_shown_in_the_adjudication_alone(browser: Any, annotation: Path) -> None:
    page = Page(browser, exported(annotation))
    assert page.value("document.getElementById('opinions').hidden") is True
    assert "judge-a" not in browser.page_source
    plan = {"phase": Phase.ADJUDICATION, "without_blind": True}
    page.open(exported(annotation, **plan))
    assert page.value("document.getElementById('opinions').hidden") is False
    names = page.value("[...document.querySelectorAll('.judge')].map(one => one.textContent)")
    assert names == ["judge-a", "judge-b", "judge-c"]


def test_a_json_block_ends_no_script() -> None:
    text = json_block({"text": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"text": "</script><!-- & \u2028"}
