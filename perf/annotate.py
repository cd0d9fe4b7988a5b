"""What does our client cost beside the bare SDK? One judge, one server, a fixed latency.

    python perf/annotate.py [--pairs 3000] [--workers 128] [--latency 0.4] [--rounds 3]

Three arms in turns, each in a process of its own, against one server process that answers every
request alike: `cmedteb` (gate, budget, every request noted before it is sent and every answer on
the disk before it is read), `sdk` (AsyncOpenAI, no retries, answers kept in a list) and
`sdk-threads` (OpenAI in as many threads). All send the same conversations. One JSON line: the
medians of pairs/s and of CPU milliseconds a call, the ceiling that latency and workers set, and
whether ours stays above 100 calls/s. Needs the extra `annotate`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _measure import medians, ratios, report, spent, take_turns

ARMS = ("cmedteb", "sdk", "sdk-threads")
WANTED = 100.0  # calls/s
DOCUMENT_CHARS = 300
BUDGET = 1000.0
Work = Callable[[], int]


def main() -> None:
    """Run one arm, or all of them in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=128)
    parser.add_argument("--latency", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base-url")
    parser.add_argument("--arm", choices=ARMS)
    given = parser.parse_args()
    if given.arm is not None:
        print(json.dumps(measured(given)))
        return
    with server(given.latency) as base_url:
        passed = ("pairs", "workers", "latency")
        told = [f"--{name}={getattr(given, name)}" for name in passed]
        arguments = [*told, f"--base-url={base_url}"]
        found = take_turns(__file__, ARMS, arguments, rounds=given.rounds)
    arms = {arm: medians(rounds) for arm, rounds in found.items()}
    report("annotate", {**line(arms), "pairs": given.pairs, "rounds": given.rounds,
                        "workers": given.workers, "latency_s": given.latency,
                        "ceiling_per_s": round(given.workers / given.latency, 1)})  # fmt: skip


def line(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The arms, and ours against each of the others."""
    ours = arms["cmedteb"]
    cpu = {arm: ratios(ours, arms[arm], ["cpu_ms_a_call"]) for arm in ARMS[1:]}
    speed = {arm: round(ours["pairs_per_s"] / arms[arm]["pairs_per_s"], 2) for arm in ARMS[1:]}
    return {
        "arms": arms,
        "speed_of_theirs": speed,
        "cpu_of_ours": {arm: told.get("cpu_ms_a_call") for arm, told in cpu.items()},
        "above_100_per_s": ours["pairs_per_s"] > WANTED,
    }


@contextmanager
def server(latency: float) -> Iterator[str]:
    """The server process; gives its base URL."""
    script = Path(__file__).with_name("_answer_server.py")
    command = [sys.executable, str(script), f"--latency={latency}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise SystemExit("the server has no pipes")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """One arm, after its imports."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plan(folder, given)
        run = {"cmedteb": ours, "sdk": sdk, "sdk-threads": sdk_threads}[given.arm]
        work = run(folder, given)
        with spent() as block:
            answers = work()
    if answers != given.pairs:
        raise SystemExit(f"{answers} answers for {given.pairs} pairs")
    return {
        "pairs_per_s": given.pairs / block.wall,
        "cpu_ms_a_call": 1000 * block.cpu / given.pairs,
        "wall_s": block.wall,
    }


def plan(folder: Path, given: argparse.Namespace) -> None:
    """An annotation with so many pairs, 50 a query, and one judge."""
    from cmedteb.annotations.config import AnnotationConfig
    from cmedteb.annotations.journal import Journal
    from cmedteb.annotations.panel import Judge, Panel, Structure, TokenPrice
    from cmedteb.annotations.records import Pair
    from cmedteb.annotations.rubric import find_rubric
    from cmedteb.annotations.texts import text_hash, write_texts

    texts: list[str] = []
    pairs: list[Pair] = []
    for number in range(given.pairs):
        query, document = f"query {number // 50}", f"document {number} " * 20
        document = document[:DOCUMENT_CHARS]
        texts += [query, document]
        name = hashlib.sha256(f"{number}".encode()).hexdigest()[:16]
        hashes = {"query_hash": text_hash(query), "document_hash": text_hash(document)}
        pairs.append(Pair(name, f"q{number // 50:05d}", f"d{number:06d}", None, (), {}, cut=None,
                          **hashes))  # fmt: skip
    judge = Judge(
        label="judge", model="judge", base_url=given.base_url, structure=Structure.JSON_SCHEMA,
        concurrency=given.workers, price=TokenPrice(input=1.0, output=1.0),
    )  # fmt: skip
    config = AnnotationConfig(
        task="perf", task_ref="perf", dataset_revision="", content_hash="", retest=0, canaries=0,
        reversed_share=0.0, rubric=find_rubric("relevance.v1").used, cmedteb_version="0",
        panel=Panel(name="perf", judges=(judge,)),
    )  # fmt: skip
    write_texts(folder, texts)
    Journal.create(folder, config, pairs).close()


def ours(folder: Path, given: argparse.Namespace) -> Work:  # noqa: ARG001  as the other arms
    """`cmedteb annotate run`."""
    import openai  # noqa: F401  loaded before the clock starts, as in the other arms

    from cmedteb.annotations.annotate import judge

    return lambda: judge(folder, budget=BUDGET)[0].settled


def conversations(folder: Path) -> list[dict[str, Any]]:
    """What ours sends, ready to be sent."""
    from cmedteb.annotations.config import Form
    from cmedteb.annotations.journal import Journal
    from cmedteb.annotations.panel import Structure
    from cmedteb.annotations.prompt import messages, sampling
    from cmedteb.annotations.rubric import Rubric
    from cmedteb.annotations.texts import read_texts, shown

    texts = read_texts(folder)
    with Journal.open(folder) as journal:
        rubric, pairs = Rubric.of(journal.config.rubric), journal.pairs()
        (judge,) = journal.config.panel.judges
    more = sampling(judge, Form.SCORE_FIRST, Structure.JSON_SCHEMA)
    return [
        {"model": "judge", "messages": messages(rubric, Form.SCORE_FIRST, one, shown(one, texts)),
         **more} for one in pairs
    ]  # fmt: skip


def sdk(folder: Path, given: argparse.Namespace) -> Work:
    """AsyncOpenAI, as many requests at a time."""
    from openai import AsyncOpenAI

    asked = conversations(folder)

    async def all_of_them() -> int:
        client = AsyncOpenAI(api_key="none", base_url=given.base_url, max_retries=0)
        room = asyncio.Semaphore(given.workers)

        async def one(request: dict[str, Any]) -> object:
            async with room:
                return await client.chat.completions.create(**request)

        return len(await asyncio.gather(*(one(request) for request in asked)))

    return lambda: asyncio.run(all_of_them())


def sdk_threads(folder: Path, given: argparse.Namespace) -> Work:
    """OpenAI, one request a thread."""
    from openai import OpenAI

    asked = conversations(folder)
    client = OpenAI(api_key="none", base_url=given.base_url, max_retries=0)

    def all_of_them() -> int:
        with ThreadPoolExecutor(given.workers) as workers:
            done = workers.map(lambda request: client.chat.completions.create(**request), asked)
            return len(list(done))

    return all_of_them


if __name__ == "__main__":
    main()
