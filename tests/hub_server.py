"""A real HTTP server on the loopback that speaks the protocols of the hubs, with faults on demand.

It serves data set and model repositories from folders: to huggingface_hub (`HF_ENDPOINT`) and to
ModelScope's client (`MODELSCOPE_ENDPOINT`), both at `HubServer.endpoint`. Every request is logged.
It never advertises Xet, so files come over plain HTTP.

    with HubServer() as hub:
        commit = hub.add("dataset", "org/name", folder)
        ... run a client in a subprocess with hub.environment(home) ...
        assert hub.bytes_sent("corpus.jsonl") == size
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

LFS_BYTES = 1024
DROPPED = ("HF_", "HUGGING", "TRANSFORMERS_", "MODELSCOPE_", "CMEDTEB_")
API = re.compile(r"/api/(datasets|models)/([^/]+/[^/]+)(?:/(revision|tree)/([^/?]+))?$")
RESOLVE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
SCOPE = re.compile(r"/api/v1/(datasets|models)/([^/]+/[^/]+)/repo(/tree|/files)?$")


class Seen(NamedTuple):
    """One request: what was asked, and what was sent."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int


@dataclass
class Fault:
    """Something that goes wrong for requests whose path contains `match`, `times` times.

    Attributes:
        match: part of the path and query.
        times: how often; a large number is for ever.
        status: answer with this status instead.
        retry_after: with this Retry-After header.
        cut: close the connection after that many bytes of the body.
        garble: send other bytes of the same length.
        whole: send the whole file though a range was asked for.
        method: only for this method.
    """

    match: str
    times: int = 1
    status: int = 0
    retry_after: str | None = None
    cut: int | None = None
    garble: bool = False
    whole: bool = False
    method: str = "GET"


@dataclass
class Repository:
    """Commits of a repository: 40 hex digits -> files by path; and branches."""

    commits: dict[str, dict[str, Path]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None


class HubServer:
    """The server; a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.gated: set[str] = set()
        self.faults: list[Fault] = []
        self.log: list[Seen] = []
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.hub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def add(self, kind: str, name: str, folder: Path) -> str:
        """Commit a folder's files to a repository; returns the commit, which main now names."""
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        total = hashlib.sha1(usedforsecurity=False)
        for path, file in files.items():
            total.update(path.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        commit = total.hexdigest()
        repository = self.repositories.setdefault((f"{kind}s", name), Repository())
        repository.commits[commit] = files
        repository.branches.update(main=commit, master=commit)
        return commit

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Variables for a client process that finds this server and touches only `home`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
        return kept | {
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": self.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "MODELSCOPE_ENDPOINT": self.endpoint,
            "MODELSCOPE_CACHE": str(home / "modelscope"),
            "MODELSCOPE_HOME": str(home / "modelscope-home"),
            "NO_PROXY": "127.0.0.1",
            **more,
        }

    def requests(self, match: str = "", method: str = "GET") -> list[Seen]:
        """The requests so far whose path contains `match`."""
        return [seen for seen in self.log if match in seen.path and seen.method == method]

    def bytes_sent(self, match: str) -> int:
        """Bytes of bodies sent for paths that contain `match`."""
        return sum(seen.sent for seen in self.requests(match))

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.match in path and fault.method in {method, "*"}:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> HubServer:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent: requests are kept in `HubServer.log`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        fault = self.hub.take_fault(self.command, self.path)
        if fault is not None and fault.status:
            more = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            self._send(fault.status, b"{}", more)
            return
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if match := SCOPE.match(path):
            self._modelscope(match, query, fault)
        elif match := API.match(path):
            self._hf_api(match)
        elif match := RESOLVE.match(path):
            self._hf_file(match, fault)
        else:
            self._send(404, b"{}", {})

    def _hf_api(self, match: re.Match[str]) -> None:
        kind, name, verb, revision = match.groups()
        repository = self._repository(kind, name)
        if repository is None:
            return
        commit = repository.resolve(revision or "main")
        if commit is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif verb == "tree":
            self._json([_entry(*item) for item in repository.commits[commit].items()])
        else:
            siblings = [{"rfilename": path} for path in repository.commits[commit]]
            self._json({"id": name, "sha": commit, "siblings": siblings, "tags": []})

    def _hf_file(self, match: re.Match[str], fault: Fault | None) -> None:
        kind, name, revision, path = match.groups()
        repository = self._repository(kind or "models", name)
        if repository is None:
            return
        commit = repository.resolve(revision)
        if commit is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        headers = {"X-Repo-Commit": commit}
        file = repository.commits[commit].get(path)
        if file is None:
            self._send(404, b"{}", headers | {"X-Error-Code": "EntryNotFound"})
            return
        entry = _entry(path, file)
        if isinstance(lfs := entry.get("lfs"), dict):
            headers |= {"X-Linked-ETag": f'"{lfs["oid"]}"', "X-Linked-Size": str(lfs["size"])}
        self._file(file.read_bytes(), headers | {"ETag": f'"{entry["oid"]}"'}, fault)

    def _repository(self, kind: str, name: str) -> Repository | None:
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif name in self.hub.gated:
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return None
        return repository

    def _modelscope(
        self, match: re.Match[str], query: dict[str, list[str]], fault: Fault | None
    ) -> None:
        kind, name, listing = match.groups()
        repository = self.hub.repositories.get((kind, name))
        commit = repository.resolve(query["Revision"][0]) if repository else None
        if repository is None or commit is None:
            self._send(404, b'{"Code": 10010205001, "Message": "not found"}', {})
            return
        files = repository.commits[commit]
        if listing:
            page = int(query.get("PageNumber", ["1"])[0])
            rows = [_scope_entry(*item) for item in files.items()] if page == 1 else []
            self._json({"Code": 200, "Success": True, "Data": {"Files": rows}})
        elif (file := files.get(query["FilePath"][0])) is None:
            self._send(404, b'{"Code": 404, "Message": "no such file"}', {})
        else:
            self._file(file.read_bytes(), {}, fault)

    def _file(self, body: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        if fault is not None and fault.garble:
            body = bytes(byte ^ 1 for byte in body)
        status, total, asked = 200, len(body), self.headers.get("Range")
        if fault is not None and fault.whole:
            asked = None
        if asked and (span := re.match(r"bytes=(\d+)-(\d*)$", asked)):
            start = int(span[1])
            if start >= total:
                self._send(416, b"", {"Content-Range": f"bytes */{total}"})
                return
            stop = min(int(span[2]) + 1 if span[2] else total, total)
            status, body = 206, body[start:stop]
            headers = headers | {"Content-Range": f"bytes {start}-{stop - 1}/{total}"}
        cut = None if fault is None else fault.cut
        self._send(status, body, headers | {"Accept-Ranges": "bytes"}, cut)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        sent = b"" if self.command == "HEAD" else body[:cut]
        with self.hub.lock:
            seen = Seen(self.command, self.path, self.headers.get("Range"), status, len(sent))
            self.hub.log.append(seen)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(sent)
        if len(sent) < len(body) and self.command != "HEAD":
            self.close_connection = True


def _entry(path: str, file: Path) -> dict[str, object]:
    """A file as the tree listing of the Hugging Face Hub shows it; large ones are in LFS."""
    body = file.read_bytes()
    header = f"blob {len(body)}\0".encode()
    oid = hashlib.sha1(header + body, usedforsecurity=False).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(body), "oid": oid}
    if len(body) >= LFS_BYTES:
        sha256 = hashlib.sha256(body).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(body), "pointerSize": 134}
    return entry


def _scope_entry(path: str, file: Path) -> dict[str, object]:
    """A file as ModelScope's listing shows it."""
    body = file.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    return {"Path": path, "Type": "blob", "Size": len(body), "Sha256": sha256}
