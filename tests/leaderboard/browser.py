"""A real Chromium for the tests of the page: opened once, cut off from the network.

Everything a page asks for is recorded, so a test can say that nothing outside was wanted.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
WIDE, NARROW = (1440, 1000), (360, 800)


def start() -> webdriver.Chrome:
    """A headless Chromium; skips where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs Chromium and chromedriver: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = binary
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


class Page:
    """One tab over one built site."""

    def __init__(self, driver: webdriver.Chrome, site: Path) -> None:
        self.driver = driver
        self.site = site

    def open(self, page: str = "index.html", hash_: str = "lang=en&theme=light") -> Page:
        """Open a page from the disk, afresh, with nothing kept from before."""
        self.size(WIDE)
        self.driver.get((self.site / page).as_uri())
        self.js("localStorage.clear()")
        self.logs()
        self.driver.get("about:blank")
        self.driver.get(f"{(self.site / page).as_uri()}{'#' + hash_ if hash_ else ''}")
        return self

    def size(self, size: tuple[int, int]) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )

    def js(self, code: str, *values: Any) -> Any:
        return self.driver.execute_script(code, *values)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        """As a script may: what a label covers, or what stands under a fixed bar, counts too."""
        self.js("document.querySelector(arguments[0]).click()", selector)

    def press(self, *keys: str) -> None:
        """To whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        return str(self.js("const a = document.activeElement; return a.id || a.className"))

    def wait(self, code: str) -> Any:
        """Until the expression holds."""
        return WebDriverWait(self.driver, 20).until(lambda _: self.js(f"return {code}"))

    def models(self) -> list[str]:
        """Names in the open table, as shown."""
        rows = "[...document.querySelectorAll('.bench.open .board tbody tr:not([hidden])')]"
        return list(self.js(f"return {rows}.map(r => r.querySelector('.model a').textContent)"))

    def column(self, key: str) -> list[str]:
        """What a reader sees in a column of the open table, first line of each cell."""
        return list(
            self.js(
                """
                const table = document.querySelector('.bench.open .board');
                const th = [...table.querySelectorAll('thead th')]
                  .find((one) => one.dataset.k === arguments[0]);
                return [...table.querySelectorAll('tbody tr:not([hidden])')]
                  .map((row) => row.cells[th.cellIndex].innerText.trim())
                  .map((text) => text.split(/[\\s\\u25b2\\u25bc\\u2020]/)[0]);
                """,
                key,
            )
        )

    def hash(self) -> str:
        return str(self.js("return location.hash"))

    def logs(self) -> tuple[list[str], list[str]]:
        """Console errors, and addresses asked for, since the last call."""
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        asked = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(str(message["params"]["request"]["url"]))
        return console, asked

    def violations(self) -> list[str]:
        """What axe-core finds, best practices included."""
        self.js(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            """
            const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ['violations'],
              runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
              .then((result) => done(result.violations), (error) => done(String(error)));
            """
        )
        if isinstance(found, str):
            return [found]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            for node in one["nodes"]
        ]


__all__ = ["NARROW", "WIDE", "Keys", "Page", "start"]
