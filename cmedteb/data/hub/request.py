"""What both hubs share: a request, trying again while busy, checking files, telling errors."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from cmedteb.errors import DataError, NotAvailableError

log = logging.getLogger(__name__)

ATTEMPTS = 5
LONGEST_WAIT_S = 120.0
T = TypeVar("T")

Kind = Literal["dataset", "model"]


class Hub(StrEnum):
    """Where data sets and models are downloaded from."""

    HF = "hf"
    MODELSCOPE = "modelscope"


class HubFolder(NamedTuple):
    """A repository on this machine: its files, and the revision they are of."""

    folder: Path
    revision: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a hub.

    Attributes:
        repository: `organisation/name`.
        revision: commit, branch or tag; None is the hub's current one.
        kind: "dataset" or "model".
        offline: only the cache.
        allow: patterns of the files that are wanted; empty means all.
        ignore: patterns of files that are not.
        fetch: the command that downloads it while online, for messages.
    """

    repository: str
    revision: str | None
    kind: Kind = "dataset"
    offline: bool = False
    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fetch: str = "the same command without --offline"

    @property
    def title(self) -> str:
        """The repository and its revision, for messages."""
        at = f" at revision {self.revision}" if self.revision else ""
        return f"{self.kind} {self.repository}{at}"


class Transient(Exception):  # noqa: N818 - not an error yet: it is tried again
    """The hub could not answer now; `wait` seconds were asked for, if the hub said so."""

    def __init__(self, cause: Exception, wait: float | None) -> None:
        self.cause = cause
        self.wait = wait
        super().__init__(str(cause))


def retrying(call: Callable[[], T], *, attempts: int = ATTEMPTS) -> T:
    """Call again while the hub is busy: after as long as it asks, else 1, 2, 4, ... seconds.

    Raises:
        Exception: the cause of the last `Transient`.
    """
    attempt = 0
    while True:
        try:
            return call()
        except Transient as error:
            busy = error
        attempt += 1
        wait = float(2 ** (attempt - 1)) if busy.wait is None else busy.wait
        if attempt >= attempts or wait > LONGEST_WAIT_S:
            # Outside of the except clause, so that the cause does not get itself as context.
            raise busy.cause
        log.warning("the hub is busy (%s); trying again in %.0f s", first_line(busy.cause), wait)
        time.sleep(wait)


def unreachable(request: Request, endpoint: str, cause: Exception) -> NotAvailableError:
    """The error for a hub that does not answer, or refuses for now."""
    return NotAvailableError(
        f"{request.title} could not be downloaded from {endpoint}: {first_line(cause)}. Try again "
        "later (what has arrived is kept), use a mirror (HF_ENDPOINT=https://...), use "
        "--hub modelscope, point --data-dir at a copy, or run `cmedteb fetch` where there is a "
        "connection."
    )


def not_cached(request: Request, endpoint: str) -> NotAvailableError:
    """The error for offline and not, or not wholly, in the cache."""
    return NotAvailableError(
        f"{request.title} of {endpoint} is not (wholly) in the cache and no connection may be "
        f"opened (offline). Fetch it while online: {request.fetch}."
    )


def first_line(cause: BaseException) -> str:
    """The first line of an error that says something, with its kind."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0].rstrip('.')}" if lines else type(cause).__name__


def check_files(folder: Path, files: Mapping[str, str], title: str) -> None:
    """Compare files with the SHA-256 a task card gives; a broken one is deleted.

    Args:
        folder: the repository's folder; of `files`, only those it has are compared.
        files: path in the repository -> SHA-256 in hex.
        title: the repository, for messages.

    Raises:
        DataError: a file differs. It is gone from the cache, so the next attempt fetches it anew.
    """
    for name, expected in sorted(files.items()):
        path = folder / name
        if path.is_file() and (actual := sha256_of(path)) != expected.lower():
            discard(path)
            raise DataError(
                f"{name} of {title} is not the file the task card names: its SHA-256 is {actual}, "
                f"expected {expected}. It was removed from the cache; run again to fetch it anew. "
                "If it stays like this, the hub serves other data than the card pins."
            )


def discard(path: Path) -> None:
    """Delete a cached file and the blob it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
