"""HyDE with documents of a chat model: a real HTTP server with faults, and what it is paid for.

Run: pytest tests/models/hypothetical/test_writer.py -q. The server (tests/openai_server.py) counts
what it answered.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import corpus, queries, smoke_texts
from openai_server import Fault, OpenAIServer
from small_models.hyde import smoke_queries

import cmedteb
from cmedteb.encoding import default_root
from cmedteb.errors import ModelError, NotAvailableError, UsageError
from cmedteb.models import ModelOptions, Role, TaskContext, load_model
from cmedteb.models.hypothetical.files import read_generations
from cmedteb.models.hypothetical.manner import read_manner
from cmedteb.types import QueryForm, TaskType

QUERIES = list(dict.fromkeys(smoke_queries()))[:12]
PASSAGES = smoke_texts()
WORKERS = 16  # of an endpoint that providers.toml does not know
ASKED = TaskContext("T", TaskType.RETRIEVAL, query_form=QueryForm.QUESTION)


@pytest.fixture
def chat() -> Iterator[OpenAIServer]:
    with OpenAIServer(reply=lambda asked: f"It is so: {asked}") as server:
        yield server


def options(server: OpenAIServer, folder: Path, **more: Any) -> ModelOptions:
    given = {
        "device": "cpu",
        "hyde": "small-chat",
        "hyde_base": server.base_url,
        "hyde_cache": str(folder / "kept.jsonl"),
    }
    return ModelOptions(**given | more)


def bm25(server: OpenAIServer, folder: Path, context: TaskContext = ASKED, **more: Any) -> Any:
    system: Any = load_model("bm25", options(server, folder, **more))
    return system.for_task(context)


def search(system: Any, asked: list[str] = QUERIES) -> Any:
    return system.search(corpus(PASSAGES), queries(asked), 10)


# What is asked


@pytest.mark.parametrize("form", list(QueryForm))
def test_the_authors_prompt_and_decoding_are_sent(
    chat: OpenAIServer, tmp_path: Path, form: QueryForm
) -> None:
    search(bm25(chat, tmp_path, replace(ASKED, query_form=form)), ["a {} b"])
    (seen,) = chat.ledger
    manner = read_manner()
    before, after = manner.prompts[form].split("{}")
    assert seen.body == {
        "model": "small-chat",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"{before}a {{}} b{after}"},
        ],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 512,
        "seed": 42,
    }
    assert "authorization" not in {name.lower() for name in seen.headers}


def test_the_flag_says_what_queries_are_where_the_task_does_not(
    chat: OpenAIServer, tmp_path: Path
) -> None:
    silent = replace(ASKED, query_form=None)
    with pytest.raises(UsageError, match=r"queries of T are questions.*--hyde-prompt question"):
        bm25(chat, tmp_path, silent)
    flagged = bm25(chat, tmp_path, silent, hyde_prompt="title")
    assert flagged.facts.settings["hyde"]["form"] == "title"
    stated = bm25(chat, tmp_path, ASKED, hyde_prompt="title")
    assert stated.facts.settings["hyde"]["form"] == "question"
    unbound: Any = load_model("bm25", options(chat, tmp_path))
    with pytest.raises(UsageError, match="--hyde-prompt"):
        search(unbound)
    assert not chat.ledger


def test_several_documents_are_sampled_with_seeds_of_their_own(
    chat: OpenAIServer, tmp_path: Path
) -> None:
    system = bm25(chat, tmp_path, hyde_documents=3)
    search(system, QUERIES[:2])
    assert {one.body["temperature"] for one in chat.ledger} == {0.7}
    assert sorted(one.body["seed"] for one in chat.ledger) == [42, 42, 43, 43, 44, 44]
    assert system.facts.name == "cmedteb/bm25+hyde-small-chat-x3"
    found = read_generations(tmp_path / "kept.jsonl")
    for documents in found.of(QUERIES[:2]):
        assert [document[:8] for document in documents] == ["It is so"] * 3
    lines = (tmp_path / "kept.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row["decoding"]["seed"] == 42 + row["number"] for row in rows)


def test_the_key_comes_from_its_variable(
    chat: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotAvailableError, match="SOME_KEY"):
        search(bm25(chat, tmp_path, hyde_key_env="SOME_KEY"))
    monkeypatch.setenv("SOME_KEY", "secret-words")
    search(bm25(chat, tmp_path, hyde_key_env="SOME_KEY"))
    keys = [{name.lower(): value for name, value in one.headers.items()} for one in chat.ledger]
    assert {one["authorization"] for one in keys} == {"Bearer secret-words"}
    assert "secret-words" not in (tmp_path / "kept.jsonl").read_text(encoding="utf-8")


def test_what_is_asked_for_is_in_the_identity(chat: OpenAIServer, tmp_path: Path) -> None:
    first = bm25(chat, tmp_path).facts
    stated = first.settings["hyde"]
    assert stated["generator"] == "small-chat"
    assert stated["decoding"]["temperature"] == 0
    assert len(stated["prompt"]) == 64
    search(bm25(chat, tmp_path))
    assert bm25(chat, tmp_path).facts.identity == first.identity
    others = [
        bm25(chat, tmp_path, replace(ASKED, query_form=QueryForm.TEXT)),
        bm25(chat, tmp_path, hyde="other-chat"),
        bm25(chat, tmp_path, hyde_documents=2),
    ]
    identities = [json.dumps(one.facts.identity) for one in others]
    assert len({json.dumps(first.identity), *identities}) == 4


# What is paid for


def test_a_second_run_asks_nothing(chat: OpenAIServer, tmp_path: Path) -> None:
    first = search(bm25(chat, tmp_path), [*QUERIES, QUERIES[0], f" {QUERIES[1]}  "])
    assert chat.paid_calls == len(chat.ledger) == len(QUERIES)
    again = search(bm25(chat, tmp_path), [*QUERIES, QUERIES[0], f" {QUERIES[1]}  "])
    np.testing.assert_array_equal(again.docs, first.docs)
    gone = bm25(chat, tmp_path, offline=True, hyde_key_env="NOT_SET")
    np.testing.assert_array_equal(search(gone).docs, first.docs[: len(search(gone).docs)])
    no_base = bm25(chat, tmp_path, hyde_base=None)
    search(no_base)
    assert chat.paid_calls == len(QUERIES)


def test_the_kept_file_gives_the_same_run_without_the_model(
    chat: OpenAIServer, tmp_path: Path
) -> None:
    asked = search(bm25(chat, tmp_path))
    system: Any = load_model("bm25", ModelOptions(hyde=str(tmp_path / "kept.jsonl")))
    found = search(system.for_task(ASKED))
    np.testing.assert_array_equal(found.docs, asked.docs)
    np.testing.assert_array_equal(found.scores, asked.scores)
    assert system.facts.settings["hyde"]["generator"] == "small-chat"


def test_a_line_says_how_its_document_was_made(chat: OpenAIServer, tmp_path: Path) -> None:
    search(bm25(chat, tmp_path), QUERIES[:1])
    (line,) = (tmp_path / "kept.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row["text"] == QUERIES[0]
    assert row["rewrite_query"].startswith("It is so: ")
    assert row["generator"] == "small-chat"
    assert row["answered_by"] == "small-chat-001"
    assert row["decoding"] == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 512, "seed": 42}
    assert row["tokens"]["in"] + row["tokens"]["out"] == chat.charged_tokens > 0
    assert row["form"] == "question"
    assert row["finish"] == "stop"
    assert {"id", "number", "prompt", "recipe", "time"} <= set(row)


def test_requests_go_side_by_side(chat: OpenAIServer, tmp_path: Path) -> None:
    chat.latency = 0.1
    search(bm25(chat, tmp_path))
    assert chat.most_at_once > 1


@pytest.mark.parametrize(
    ("faults", "paid_for_nothing"),
    [
        ([Fault(status=429, retry_after="0.1")] * 3, 0),
        ([Fault(status=500), Fault(drop="before")], 0),
        ([Fault(cut=30), Fault(drop="after")], 2),
        ([Fault(cut=30), Fault(status=429, retry_after="0"), Fault(status=503)], 1),
    ],
    ids=["rate", "server", "lost", "all"],
)
def test_faults_cost_no_more_than_the_answers_that_were_lost(
    tmp_path: Path, faults: list[Fault], paid_for_nothing: int
) -> None:
    with OpenAIServer(faults=[None, *faults]) as chat:
        search(bm25(chat, tmp_path))
    assert chat.paid_calls == len(QUERIES) + paid_for_nothing
    assert len(chat.ledger) == len(QUERIES) + len(faults)
    assert len(read_generations(tmp_path / "kept.jsonl").by_query) == len(QUERIES)


def test_a_refused_key_ends_it_and_keeps_what_came(chat: OpenAIServer, tmp_path: Path) -> None:
    search(bm25(chat, tmp_path), QUERIES[:3])
    chat.key = "another"
    with pytest.raises(NotAvailableError, match=r"127\.0\.0\.1"):
        search(bm25(chat, tmp_path))
    chat.key = None
    search(bm25(chat, tmp_path))
    assert chat.paid_calls == len(QUERIES)


# What holds no document


def filtered(answer: dict[str, Any]) -> dict[str, Any]:
    """Nothing for the second and third query."""
    (choice,) = answer["choices"]
    if any(query in choice["message"]["content"] for query in QUERIES[1:3]):
        choice |= {"message": {"content": None}, "finish_reason": "content_filter"}
    return answer


def test_an_answer_without_a_document_is_an_error_after_all_others(tmp_path: Path) -> None:
    wanted = rf"no document for 2 of {len(QUERIES)} requests \(finish_reason content_filter\)"
    with OpenAIServer(faults=[Fault(change=filtered)] * len(QUERIES)) as chat:
        with pytest.raises(ModelError, match=wanted) as told:
            search(bm25(chat, tmp_path))
        assert "--hyde FILE" in str(told.value)
        assert len(read_generations(tmp_path / "kept.jsonl").by_query) == len(QUERIES) - 2
        search(bm25(chat, tmp_path))
    assert chat.paid_calls == len(QUERIES) + 2, "only those two were asked for again"


@pytest.mark.parametrize(
    ("content", "document"),
    [
        ("<think>\nWell.\n</think>\n\nIt is so.", "It is so."),
        (" It is so.\n", " It is so.\n"),
        ("It <think>is</think> so.", "It <think>is</think> so."),
        ("cut \ud83d", "cut \ufffd"),
        ("<think>\nWell, cut", None),
        ("\u3000\n", None),
        ("", None),
    ],
)
def test_what_counts_as_a_document(
    chat: OpenAIServer, tmp_path: Path, content: str, document: str | None
) -> None:
    chat.reply = lambda _: content
    system = bm25(chat, tmp_path)
    if document is None:
        with pytest.raises(ModelError, match="wrote no document for 1 of 1 requests"):
            search(system, QUERIES[:1])
    else:
        search(system, QUERIES[:1])
        kept = read_generations(tmp_path / "kept.jsonl")
        assert kept.of(QUERIES[:1]) == [(document,)]


def refused(answer: dict[str, Any]) -> dict[str, Any]:
    """The model says that it will not, in the field for that."""
    answer["choices"][0]["message"]["refusal"] = "Not this one."
    return answer


def test_a_refusal_is_no_document(tmp_path: Path) -> None:
    with (
        OpenAIServer(faults=[Fault(change=refused)]) as chat,
        pytest.raises(ModelError, match=r"wrote no document .*\(Not this one\.\)"),
    ):
        search(bm25(chat, tmp_path), QUERIES[:1])


# Where it cannot be asked


def test_without_an_address_nothing_begins(tmp_path: Path) -> None:
    named = ModelOptions(hyde="some-chat", hyde_cache=str(tmp_path / "kept.jsonl"))
    with pytest.raises(UsageError, match=r"some-chat: there is no such file.*--hyde-base URL"):
        load_model("bm25", named)


def test_without_an_address_what_is_missing_is_counted(chat: OpenAIServer, tmp_path: Path) -> None:
    search(bm25(chat, tmp_path), QUERIES[:2])
    with pytest.raises(UsageError, match=r"no document for 10 of the queries.*--hyde-base"):
        search(bm25(chat, tmp_path, hyde_base=None))


def test_offline_asks_nothing(chat: OpenAIServer, tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError, match="--offline forbids to ask small-chat"):
        search(bm25(chat, tmp_path, offline=True))
    assert not chat.ledger


def test_a_cache_that_cannot_be_appended_to_is_refused_at_once(
    chat: OpenAIServer, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"must be a \.jsonl file"):
        bm25(chat, tmp_path, hyde_cache=str(tmp_path / "kept.jsonl.gz"))


def test_by_default_documents_lie_beside_the_vector_store(
    chat: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMEDTEB_CACHE", str(tmp_path))
    search(bm25(chat, tmp_path, hyde_cache=None), QUERIES[:1])
    (path,) = (default_root().parent / "hyde").glob("*.jsonl")
    assert path.name.startswith("small-chat-")
    assert read_generations(path).of(QUERIES[:1])


# Whole runs


def test_vectors_kept_with_another_file_are_not_taken(
    chat: OpenAIServer, tmp_path: Path, cls_folder: Path
) -> None:
    """A file begun anew holds other documents, so the query side is another in the store."""

    def run(**more: Any) -> Any:
        (result,) = cmedteb.evaluate(
            str(cls_folder),
            "SmokeRetrieval",
            model_options=options(chat, tmp_path, **more),
            limit=6,
            vectors=tmp_path / "vectors",
        )
        return result

    first = run()
    assert chat.paid_calls == 6
    again = run()
    assert (again.main_score, chat.paid_calls) == (first.main_score, 6)
    (tmp_path / "kept.jsonl").unlink()
    run()
    assert chat.paid_calls == 12
    run(hyde_cache=str(tmp_path / "other.jsonl"))
    assert chat.paid_calls == 18
    assert len(read_generations(tmp_path / "other.jsonl").by_query) == 6


def test_document_vectors_are_those_of_the_plain_model(
    chat: OpenAIServer, tmp_path: Path, cls_folder: Path
) -> None:
    plain: Any = load_model(str(cls_folder), ModelOptions(device="cpu"))
    system: Any = load_model(str(cls_folder), options(chat, tmp_path))
    bound = system.for_task(ASKED)
    assert bound.facts.side(Role.DOCUMENT) == plain.for_task(ASKED).facts.side(Role.DOCUMENT)


RUN = """
import sys
import cmedteb
from cmedteb.models import ModelOptions
options = ModelOptions(hyde="small-chat", hyde_base=sys.argv[1], hyde_cache=sys.argv[2])
(result,) = cmedteb.evaluate("bm25", "SmokeRetrieval", model_options=options)
print(result.main_score)
"""


def test_a_killed_run_pays_again_for_what_was_in_flight_only(
    chat: OpenAIServer, tmp_path: Path
) -> None:
    chat.latency = 0.05
    kept = tmp_path / "kept.jsonl"
    command = [sys.executable, "-c", RUN, chat.base_url, str(kept)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not kept.is_file() or len(kept.read_bytes().splitlines()) < 10:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    time.sleep(0.2)
    at_kill = len(read_generations(kept).by_query)
    lost = chat.paid_calls - at_kill
    assert 10 <= at_kill < 71
    assert lost <= WORKERS
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0
    assert chat.paid_calls == 71 + lost
    assert len(read_generations(kept).by_query) == 71
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout
    assert chat.paid_calls == 71 + lost
