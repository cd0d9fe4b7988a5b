"""A judge server on the loopback that speaks OpenAI's chat completions protocol over real HTTP.

    with JudgeServer(gold, simulation) as server:
        ... server.base_url, server.ledger ...

`/v1` may stand below any folder, so that judges can have endpoints of their own
(`server.url + "/judge-a/v1"`). `GET /ledger` tells what was counted (`?calls=1`: by pair), `POST
/script` takes faults for the next requests. In a process of its own, until it is terminated:

    python -m cmedteb.annotations.demo.server --gold FILE --simulation FILE [--port N] [--until-eof]

Its first line is `{"base_url": "http://127.0.0.1:PORT/v1"}`. It listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, TextIO

from cmedteb.annotations.demo.answers import Failure, model_entry, model_list
from cmedteb.annotations.demo.bench import Bench, Plan
from cmedteb.annotations.demo.faults import Fault
from cmedteb.annotations.demo.gold import Gold
from cmedteb.annotations.demo.judges import Simulation
from cmedteb.annotations.demo.ledger import Ledger

HOST = "127.0.0.1"
DRIP_EVERY = 0.05


class Request(NamedTuple):
    """One request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class JudgeServer:
    """The server; a context manager that serves from a thread of its own.

    Attributes:
        ledger: what it counted.
    """

    def __init__(self, gold: Gold, simulation: Simulation, *, port: int = 0) -> None:
        self.ledger = Ledger()
        self._bench = Bench(gold, simulation, self.ledger)
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> JudgeServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Of the server itself, for `/ledger` and `/script`."""
        return f"http://{HOST}:{self._port}"

    @property
    def base_url(self) -> str:
        """Of its endpoint, as a panel names it."""
        return f"{self.url}/v1"

    def script(self, faults: Iterable[Fault | None]) -> None:
        """What happens to the next requests, one by one, whatever their judge."""
        self._bench.script.extend(faults)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._until_ended())
        self._loop.close()

    async def _until_ended(self) -> None:
        server = await asyncio.start_server(self._connected, HOST, self._port, backlog=2048)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while (request := await _read(reader)) is not None:
                await self._respond(request, writer)
        writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method != "POST" or not request.path.endswith("/v1/chat/completions"):
            await _send(writer, self._other(request))
            return
        judge = str(json.loads(request.body).get("model"))
        self.ledger.begin(judge)
        try:
            plan = self._bench.answer(request.body, request.headers.get("authorization", ""))
            if plan.wait:
                await asyncio.sleep(plan.wait)
            if plan.fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
                _reset(writer)
            else:
                drip = self._bench.judges[judge].stall if plan.fault is Fault.DRIP else 0.0
                await _send(writer, plan, drip=drip)
        finally:
            self.ledger.end(judge)

    def _other(self, request: Request) -> Plan:
        """Models, the ledger and the script."""
        path, _, asked = request.path.partition("?")
        judges = self._bench.judges
        path = path[max(0, path.find("/v1/models")) :]
        model = judges.get(path.removeprefix("/v1/models/"))
        if path == "/v1/models":
            return _json(model_list(list(judges.values())))
        if path.startswith("/v1/models/") and model is not None:
            return _json(model_entry(model))
        if path == "/ledger":
            return _json(self.ledger.summary(calls="calls=1" in asked))
        if path == "/script" and request.method == "POST":
            named = json.loads(request.body)
            self.script(None if name is None else Fault(name) for name in named)
            return _json({"faults": len(self._bench.script)})
        return Plan(404, Failure(404, None, f"no such page: {path}").body())


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None where it ended."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


async def _send(writer: asyncio.StreamWriter, plan: Plan, *, drip: float = 0.0) -> None:
    blanks = int(drip / DRIP_EVERY)
    kind = "text/html" if plan.html else "application/json"
    lines = [
        f"HTTP/1.1 {plan.status} {HTTPStatus(plan.status).phrase}",
        f"Content-Type: {kind}; charset=utf-8",
        f"Content-Length: {len(plan.body) + blanks}",
    ]
    if plan.retry_after is not None:
        lines.append(f"Retry-After: {plan.retry_after:g}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    for _ in range(blanks):
        writer.write(head + b" ")
        head = b""
        await writer.drain()
        await asyncio.sleep(DRIP_EVERY)
    writer.write(head + plan.body)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    raise ConnectionResetError("on purpose")


def _json(document: object) -> Plan:
    return Plan(200, json.dumps(document, ensure_ascii=False).encode())


def serve(arguments: list[str] | None = None, *, out: TextIO = sys.stdout) -> None:
    """Serve from this process until it is terminated, or with `--until-eof` until input ends."""
    parser = argparse.ArgumentParser(prog="python -m cmedteb.annotations.demo.server")
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--simulation", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until-eof", action="store_true")
    given = parser.parse_args(arguments)
    gold, simulation = Gold.read(given.gold), Simulation.read(given.simulation)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with JudgeServer(gold, simulation, port=given.port) as server:
        out.write(json.dumps({"base_url": server.base_url}) + "\n")
        out.flush()
        if given.until_eof:
            sys.stdin.read()
        else:
            ended.wait()


if __name__ == "__main__":
    serve()
