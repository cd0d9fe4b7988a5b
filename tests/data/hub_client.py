"""A client process of a hub: does one job given as JSON and answers with one JSON line.

Run by the hub tests, in an environment of its own (see hub_server.HubServer.environment). With
`"blocked": true` every attempt to make a socket ends the job.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any, NoReturn

from cmedteb.data import Access, Hub, Source, hub_folder, load_pairs, load_ranking, locate
from cmedteb.errors import CmedtebError
from cmedteb.types import TaskType


class Blocked(socket.socket):
    """A socket that cannot be made."""

    def __init__(self, *_: object, **__: object) -> NoReturn:
        raise SystemExit("a socket was opened")


def model(job: dict[str, Any]) -> dict[str, Any]:
    """Fetch a whole repository."""
    found = hub_folder(
        job["repository"],
        job.get("revision"),
        kind="model",
        hub=Hub(job.get("hub", "hf")),
        offline=job.get("offline", False),
        ignore=tuple(job.get("ignore", ())),
    )
    files = [path for path in found.folder.rglob("*") if path.is_file()]
    names = sorted(path.relative_to(found.folder).as_posix() for path in files)
    return {"revision": found.revision, "files": names}


def task(job: dict[str, Any]) -> dict[str, Any]:
    """Locate and load a data set."""
    access = Access(hub=Hub(job.get("hub", "hf")), offline=job.get("offline", False))
    located = locate("Task", Source(kind="hub", **job["source"]), access)
    kind, split = TaskType(job.get("type", "retrieval")), job.get("split", "dev")
    if kind is TaskType.STS:
        pairs = load_pairs(located, name="Task", split=split)
        return {"rows": len(pairs.pairs), "revision": pairs.provenance.revision}
    data = load_ranking(located, name="Task", split=split, task_type=kind)
    return {
        "rows": len(data.corpus),
        "texts": [data.corpus.texts[0], data.queries.texts[0]],
        "revision": data.provenance.revision,
        "hash": data.provenance.content_hash,
        "origin": located.origin,
    }


def main() -> None:
    job = json.loads(sys.argv[1])
    if job.get("blocked"):
        socket.socket = Blocked  # type: ignore[misc]
    try:
        answer = model(job) if "repository" in job else task(job)
    except CmedtebError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    sys.stdout.write(f"{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
