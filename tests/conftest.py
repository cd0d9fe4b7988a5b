"""Fixtures that several rooms share: real small models, built once a session from a seed.

Run: pytest tests -q. The pytest options in pyproject.toml keep every test off the network; only
the loopback is open.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import ModelCopies, bert_folder


@pytest.fixture(autouse=True, scope="session")
def plain_environment() -> Iterator[None]:
    """No CMEDTEB_* variable of the developer's shell reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CMEDTEB_")]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell that runs the tests in the background has them, and their children, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a cache of its own, so that no vector of another one reaches it."""
    place = tmp_path_factory.getbasetemp() / "caches" / uuid.uuid4().hex
    monkeypatch.setenv("CMEDTEB_CACHE", str(place))


@pytest.fixture(scope="session")
def cls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers: CLS pooling, normalised, no configuration of prompts. Do not edit."""
    return bert_folder(tmp_path_factory.mktemp("models") / "cls-bert", pooling="cls")


@pytest.fixture(scope="session")
def mean_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with mean pooling and vectors of any length, compared by dot. Do not edit."""
    folder = tmp_path_factory.mktemp("models") / "mean-bert"
    return bert_folder(folder, pooling="mean", normalise=False, similarity_fn_name="dot")


@pytest.fixture
def copies(cls_folder: Path, tmp_path: Path) -> ModelCopies:
    """Copies of the CLS model, in this test's folder."""
    home = tmp_path / "copies"
    home.mkdir()
    return ModelCopies(cls_folder, home)
