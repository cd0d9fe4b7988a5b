"""One site of each size a session, and one Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cmedteb.leaderboard.site import write_site
from leaderboard.boards import make_board, make_comparisons

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from leaderboard.browser import Page


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen models. Do not edit."""
    folder = tmp_path_factory.mktemp("sites") / "small"
    board = make_board(14)
    write_site(board, make_comparisons(board), folder)
    return folder


@pytest.fixture(scope="session")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred models over 18 tasks; comparisons of the first two only. Do not edit."""
    folder = tmp_path_factory.mktemp("sites") / "large"
    board = make_board(100)
    comparisons = make_comparisons(board)
    write_site(board, [next(comparisons), next(comparisons)], folder)
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    """A browser, closed at the end."""
    pytest.importorskip("selenium", reason="the page's tests need selenium: make install")
    from leaderboard.browser import start

    driver = start()
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium: Chrome, small_site: Path) -> Page:
    """The small site, open at its index."""
    from leaderboard.browser import Page

    return Page(chromium, small_site).open()
