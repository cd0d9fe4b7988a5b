"""ModelScope: a repository at a revision, through ModelScope's own client and cache.

The client retries, resumes and compares checksums by itself. Its cache is addressed by revision
here, never by the folders of old clients, which do not say of which revision they are. ModelScope
does not tell a branch's commit: an unpinned revision stays "master", and the content hash says
what was loaded. MODELSCOPE_ENDPOINT, MODELSCOPE_CACHE and MODELSCOPE_API_TOKEN work as there.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cmedteb.data.hub.request import HubFolder, Request, not_cached, unreachable
from cmedteb.errors import DataError, MissingExtraError, NotAvailableError

if TYPE_CHECKING:
    from modelscope_hub import HubApi

DEFAULT_REVISION = "master"
PARTIAL = ("*.incomplete", "*.parallel_tmp")


def modelscope_folder(request: Request) -> HubFolder:
    """A repository's folder in ModelScope's cache; arguments and errors as for `bring`.

    Offline the client is not even imported: its HTTP library opens a socket when it is.
    """
    revision = request.revision or DEFAULT_REVISION
    name = request.repository.replace("/", "--")
    folder = _cache() / f"{request.kind}s" / name / "snapshots" / revision
    if not request.offline:
        _fetch(request, revision, folder)
    elif not _is_whole(folder):
        raise not_cached(request, os.environ.get("MODELSCOPE_ENDPOINT") or "ModelScope")
    return HubFolder(folder, revision)


def _cache() -> Path:
    default = Path.home() / ".cache" / "modelscope"
    return Path(os.environ.get("MODELSCOPE_CACHE") or default).expanduser().resolve()


def _fetch(request: Request, revision: str, folder: Path) -> None:
    try:
        from modelscope_hub import HubApi
        from modelscope_hub.config import HubConfig
        from modelscope_hub.errors import HubError
    except ImportError as error:
        raise MissingExtraError("modelscope", "modelscope") from error
    if "MODELSCOPE_LOG_LEVEL" not in os.environ:
        logging.getLogger("modelscope_hub").setLevel(logging.WARNING)
    config = HubConfig()
    try:
        _download(HubApi(config), request, revision, folder)
    except HubError as error:
        _translate(request, error, str(config.endpoint))


def _download(api: HubApi, request: Request, revision: str, folder: Path) -> None:
    api.download_repo(
        request.repository,
        request.kind,
        revision=revision,
        local_dir=folder,
        allow_patterns=list(request.allow) or None,
        ignore_patterns=list(request.ignore) or None,
    )


def _is_whole(folder: Path) -> bool:
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    return not any(next(folder.rglob(pattern), None) for pattern in PARTIAL)


def _translate(request: Request, error: Exception, where: str) -> NoReturn:
    from modelscope_hub.errors import (
        AuthenticationError,
        FileDownloadError,
        FileIntegrityError,
        NotExistError,
        PermissionDeniedError,
    )

    causes: list[BaseException] = [error]
    if isinstance(error, FileDownloadError):
        causes = [cause for _, cause in sorted(error.failed_files.items())] or causes
    cause = causes[0]
    if isinstance(cause, FileIntegrityError):
        raise DataError(
            f"{request.title} arrived damaged from {where}: {cause}. Run again to fetch it anew."
        ) from error
    if isinstance(cause, NotExistError):
        raise NotAvailableError(
            f"{where} has no {request.kind} {request.repository} with the revision "
            f"{request.revision or DEFAULT_REVISION!r}, or it is private. Check both names, or use "
            "--hub hf."
        ) from error
    if isinstance(cause, (AuthenticationError, PermissionDeniedError)):
        raise NotAvailableError(
            f"{where} gives no access to {request.title}: log in with `modelscope login` or set "
            "MODELSCOPE_API_TOKEN."
        ) from error
    raise unreachable(request, where, error) from error
