"""Fixtures of the runner's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.support import retrieval


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small retrieval set."""
    return retrieval(tmp_path / "Set")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A results folder that is not there yet."""
    return tmp_path / "out"
