"""Hugging Face: a repository at a commit, through huggingface_hub and its cache.

huggingface_hub lists, caches, links and mostly retries; what it lacks is here: an interrupted
file continues on the next run, arrived files are compared with the hub's checksums, and a busy
hub is asked again when a revision is looked up. HF_ENDPOINT and HF_HUB_OFFLINE are read when
called, HF_HOME and the token as huggingface_hub does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from cmedteb.data.hub.request import (
    ATTEMPTS,
    HubFolder,
    Request,
    Transient,
    not_cached,
    retrying,
    unreachable,
)
from cmedteb.data.hub.resume import check_arrived, fetch_large
from cmedteb.errors import NotAvailableError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "https://huggingface.co"
BUSY = frozenset({408, 429, 500, 502, 503, 504})
T = TypeVar("T")


def hf_folder(request: Request) -> HubFolder:
    """A repository's folder in the cache, downloaded if need be; arguments and errors as `bring`.

    A pinned commit that is wholly cached needs no connection.
    """
    from huggingface_hub.errors import HFValidationError

    if "HF_HUB_ENDPOINT" in os.environ:
        log.warning("HF_HUB_ENDPOINT has no effect; the variable for a mirror is HF_ENDPOINT.")
    offline = request.offline or _is_true(os.environ.get("HF_HUB_OFFLINE"))
    try:
        commit = _commit(request, offline=offline)
        folder = _cached(request, commit, offline=offline)
        if folder is None and offline:
            raise not_cached(request, endpoint())
        return HubFolder(folder or _download(request, commit), commit)
    except HFValidationError as error:
        raise UsageError(f"{request.repository!r} is no repository name: {error}") from error


def endpoint() -> str:
    """The hub or mirror that is asked: HF_ENDPOINT as it is now."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def _is_true(value: str | None) -> bool:
    return (value or "").upper() in {"1", "ON", "YES", "TRUE"}


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint(), library_name="cmedteb")


def _commit(request: Request, *, offline: bool) -> str:
    """The commit of a branch or tag: asked of the hub, or as the cache remembers it."""
    from huggingface_hub.errors import RevisionResolutionError

    def look_up() -> str:
        found = _api().resolve_revision(
            request.repository,
            repo_type=request.kind,
            revision=request.revision,
            local_files_only=offline,
        )
        return found.resolved

    if not offline:
        return _asking(request, look_up, attempts=ATTEMPTS)
    try:
        return look_up()
    except RevisionResolutionError as error:
        raise not_cached(request, endpoint()) from error


def _cached(request: Request, commit: str, *, offline: bool) -> Path | None:
    """The snapshot, if all wanted files are there.

    Without the cached listing of the commit nobody knows whether files are missing: online that
    counts as not cached, offline the folder is taken as it is.
    """
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    try:
        get_cached_repo_tree(request.repository, repo_type=request.kind, revision=commit)
    except CachedRepoTreeNotFoundError:
        if not offline:
            return None
    try:
        folder = snapshot_download(
            request.repository,
            repo_type=request.kind,
            revision=commit,
            allow_patterns=list(request.allow) or None,
            ignore_patterns=list(request.ignore) or None,
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        return None
    return Path(folder)


def _download(request: Request, commit: str) -> Path:
    from huggingface_hub import snapshot_download

    def listing() -> list[RepoFile]:
        return list(_wanted(request, commit))

    def snapshot() -> str:
        return snapshot_download(
            request.repository,
            repo_type=request.kind,
            revision=commit,
            allow_patterns=list(request.allow) or None,
            ignore_patterns=list(request.ignore) or None,
            endpoint=endpoint(),
            library_name="cmedteb",
        )

    files = _asking(request, listing)
    for file in files:
        fetch = partial(fetch_large, request, file, commit, endpoint())
        _asking(request, fetch, attempts=ATTEMPTS)
    folder = Path(_asking(request, snapshot, attempts=2))
    for file in files:
        check_arrived(folder / file.path, file, request)
    return folder


def _wanted(request: Request, commit: str) -> Iterator[RepoFile]:
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    tree = _api().list_repo_tree(
        request.repository, repo_type=request.kind, revision=commit, recursive=True
    )
    yield from filter_repo_objects(
        [entry for entry in tree if isinstance(entry, RepoFile)],
        allow_patterns=list(request.allow) or None,
        ignore_patterns=list(request.ignore) or None,
        key=lambda entry: entry.path,
    )


def _asking(request: Request, call: Callable[[], T], *, attempts: int = 1) -> T:
    """Call the hub; ask again while it is busy, and turn what remains into our errors.

    `attempts` is above 1 only where huggingface_hub does not ask again itself.
    """
    from huggingface_hub.errors import RevisionResolutionError

    failures = _failures()

    def attempt() -> T:
        try:
            return call()
        except failures as error:
            if _status(error) in BUSY or isinstance(error, RevisionResolutionError):
                raise Transient(error, _retry_after(error)) from error
            raise

    try:
        return retrying(attempt, attempts=attempts)
    except failures as error:
        _translate(request, error)


def _failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when something is wrong with the hub, the net or the disk."""
    from huggingface_hub import errors

    http_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return (http_error, errors.RevisionResolutionError, OSError)


def _translate(request: Request, error: Exception) -> NoReturn:
    from huggingface_hub.errors import (
        GatedRepoError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where, title = endpoint(), request.title
    page = f"{where}/{'datasets/' if request.kind == 'dataset' else ''}{request.repository}"
    cause = _first(error)
    login = "log in with `hf auth login` or set HF_TOKEN"
    if isinstance(cause, GatedRepoError):
        message = f"{title} is gated: accept its terms at {page}, then {login}."
    elif isinstance(cause, RevisionNotFoundError):
        message = (
            f"the {request.kind} {request.repository} of {where} has no revision "
            f"{request.revision!r}. Its commits are listed at {page}/commits/main."
        )
    elif isinstance(cause, RepositoryNotFoundError):
        message = (
            f"{where} has no {title}, or it is private. Check the name; if it is private, {login}."
        )
    elif isinstance(cause, RemoteEntryNotFoundError):
        message = f"a file of {title} is missing on {where}. Check the mirror, or try another."
    elif _status_of(cause) in {401, 403}:
        message = f"{where} gives no access to {title}: {login}, and ask for access at {page}."
    else:
        raise unreachable(request, where, _first(error)) from error
    raise NotAvailableError(message) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes: huggingface_hub hides what the hub said behind the cache's."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _first(error: Exception) -> Exception:
    """The innermost cause: what happened, not what was tried instead."""
    links = [link for link in _chain(error) if isinstance(link, Exception)]
    return next((link for link in links if _status_of(link) is not None), links[-1])


def _status(error: Exception) -> int | None:
    return next((s for link in _chain(error) if (s := _status_of(link)) is not None), None)


def _status_of(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _retry_after(error: Exception) -> float | None:
    """Seconds that the hub asked to wait (RFC 9110, 10.2.3), if it gave a number."""
    for link in _chain(error):
        value = getattr(getattr(link, "response", None), "headers", {}).get("Retry-After", "")
        if value.isdigit():
            return float(value)
    return None
