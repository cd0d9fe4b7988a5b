"""`kill -9` while an endpoint is being paid. Run: pytest tests/runner/test_kill_api.py -q.

The server is real HTTP on the loopback and counts on its side how often it was paid for each text.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from openai_server import Fault, OpenAIServer
from small_models.card_files import write_card

import cmedteb
from cmedteb.models import ModelOptions
from runner.support import contents, retrieval, start

DOCUMENTS = 400


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return retrieval(tmp_path_factory.mktemp("paid") / "Set", documents=DOCUMENTS)


def run(server: OpenAIServer, data: Path, folder: Path) -> Any:
    """Two requests of at most 16 texts at a time."""
    card = write_card(
        folder / "hash.toml",
        name="hash",
        family="api",
        title="Hashes",
        settings={"model": "hash", "base": server.base_url, "concurrency": 2},
    )
    return start(
        *("run", "-m", card, "-t", data),
        *("--output", folder / "out", "--vectors", folder / "vectors"),
    )


def killed_after(server: OpenAIServer, process: Any, texts: int) -> None:
    """SIGKILL as soon as the server was paid for so many texts."""
    deadline = time.monotonic() + 60
    while len(server.paid) < texts and time.monotonic() < deadline:
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.communicate()


def test_killed_again_and_again_it_pays_for_what_was_in_flight_alone(
    data: Path, tmp_path: Path
) -> None:
    with OpenAIServer(latency=0.15) as server:
        for texts in (40, 150, 280):
            killed_after(server, run(server, data, tmp_path), texts)
        assert max(len(asked.body["input"]) for asked in server.ledger) <= 16
        assert server.most_at_once <= 2
        process = run(server, data, tmp_path)
        told, _ = process.communicate(timeout=120)
        assert process.returncode == 0, told
        again = sum(server.paid.values()) - len(server.paid)
        assert len(server.paid) == DOCUMENTS + 12
        assert again <= 3 * 2 * 16
        assert server.paid.most_common(1)[0][1] <= 4
        paid = sum(server.paid.values())
        options = ModelOptions(api_base=server.base_url)
        cmedteb.evaluate("api:hash", [data], output=tmp_path / "calm", model_options=options)
        assert sum(server.paid.values()) == paid + DOCUMENTS + 12
    disturbed, calm = (_scores(tmp_path / name) for name in ("out", "calm"))
    assert disturbed == calm


def test_a_second_run_and_other_judgements_pay_nothing(data: Path, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        options = ModelOptions(api_base=server.base_url)
        for overwrite in ("missing", "always"):
            [result] = cmedteb.evaluate(
                "api:hash",
                [data],
                output=tmp_path / "out",
                vectors=tmp_path / "v",
                model_options=options,
                overwrite=overwrite,
            )
        assert set(server.paid.values()) == {1}
        assert (result.texts_encoded, result.cache_hits) == (0, DOCUMENTS + 12)


def test_cut_vectors_are_cut_from_those_that_were_paid(data: Path, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        for dimension in (None, 8, 4):
            options = ModelOptions(api_base=server.base_url, truncate_dim=dimension)
            [result] = cmedteb.evaluate(
                "api:hash", [data], vectors=tmp_path / "v", model_options=options
            )
            assert result.dimension == dimension
        assert set(server.paid.values()) == {1}


def test_a_stormy_run_ends_with_the_result_of_a_calm_one(data: Path, tmp_path: Path) -> None:
    faults = (Fault(status=429, retry_after="0"), Fault(status=500), Fault(drop="before"), None)
    with OpenAIServer(faults=faults * 6) as server:
        options = ModelOptions(api_base=server.base_url, api_price=2.0)
        [stormy] = cmedteb.evaluate("api:hash", [data], model_options=options)
        assert set(server.paid.values()) == {1}
        assert stormy.cost == pytest.approx(server.charged_tokens * 2e-6)
        assert stormy.answered_as == "hash-001"
        [calm] = cmedteb.evaluate("api:hash", [data], model_options=options)
    assert stormy.scores == calm.scores


def _scores(folder: Path) -> Any:
    found = contents(folder)
    return [found[name]["scores"] for name in found if name.endswith("Set.json")]
