"""Downloads large files so that an interrupted one continues, and checks what arrived.

huggingface_hub 2 resumes within a process only, and from the last 10 MB: its partial files have
random names and are removed. Here a partial file is called by its content, `<checksum>.part`,
beside the blobs of the same cache; once whole it becomes the blob that huggingface_hub links.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from cmedteb.data.hub.request import Request, Transient, discard
from cmedteb.errors import DataError

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata
    from huggingface_hub.hf_api import RepoFile

LARGE_BYTES = 1 << 20


def fetch_large(request: Request, file: RepoFile, commit: str, endpoint: str) -> None:
    """Put a large file into the cache, continuing where an earlier run stopped.

    Small files, files that are there, and files in Xet storage (whose client has a chunk cache of
    its own) are left to huggingface_hub.

    Raises:
        DataError: what arrived is not what the hub lists; it was removed.
    """
    from filelock import FileLock
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    names = {"repo_id": request.repository, "filename": file.path}
    at = {"repo_type": request.kind, "revision": commit}
    if file.size < LARGE_BYTES or isinstance(try_to_load_from_cache(**names, **at), str):
        return
    url = hf_hub_url(**names, **at, endpoint=endpoint)
    metadata = get_hf_file_metadata(url, endpoint=endpoint)
    if _is_xet(metadata) or not metadata.etag:
        return
    blob = _blobs(request) / metadata.etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.part")
    with FileLock(f"{part}.lock"):
        if not blob.exists():
            _continue(part, url, metadata, file.size)
            _check(part, metadata.etag, f"{file.path} of {request.title}")
            part.replace(blob)


def check_arrived(path: Path, file: RepoFile, request: Request) -> None:
    """Compare a downloaded file with the checksum the hub lists for it.

    Raises:
        DataError: it differs; it was removed, so the next attempt fetches it anew.
    """
    if path.is_file():
        expected = file.lfs.sha256 if file.lfs else file.blob_id
        _check(path, expected, f"{file.path} of {request.title}")


def _continue(part: Path, url: str, metadata: HfFileMetadata, size: int) -> None:
    """Append to the partial file until it is whole; a cut that brought bytes is no failure."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if part.exists() and part.stat().st_size > size:
        part.unlink()
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if urlsplit(metadata.location).netloc != urlsplit(url).netloc:
        # The token is for the hub; storage behind a redirect has its own signature.
        headers.pop("authorization", None)
    with part.open("ab") as stream:
        while (before := stream.tell()) < size:
            try:
                _append(stream, metadata.location, headers, size)
            except HfHubHTTPError:
                raise
            except HTTPError as error:
                if stream.tell() == before:
                    raise Transient(error, None) from error


def _append(stream: BinaryIO, url: str, headers: dict[str, str], size: int) -> None:
    """Write what the server sends from here on, byte for byte as it comes."""
    from huggingface_hub import constants, get_session, utils

    start = stream.tell()
    asked = headers | ({"Range": f"bytes={start}-"} if start else {})
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=asked, timeout=timeout) as response:
        utils.hf_raise_for_status(response)  # type: ignore[attr-defined]
        if start and response.status_code != 206:
            # The server sends the whole file although a part was asked for.
            start = stream.truncate(0)
        shown = {"total": size, "initial": start, "unit": "B", "unit_scale": True}
        progress: Any = utils.tqdm  # type: ignore[attr-defined]
        with progress(**shown, desc=PurePosixPath(urlsplit(url).path).name[-40:]) as bar:
            for block in response.iter_bytes():
                stream.write(block)
                bar.update(len(block))
    if stream.tell() < size:
        raise OSError(f"{url} ended after {stream.tell()} of {size} bytes")


def _is_xet(metadata: HfFileMetadata) -> bool:
    from huggingface_hub import constants

    installed = importlib.util.find_spec("hf_xet") is not None
    return metadata.xet_file_data is not None and installed and not constants.HF_HUB_DISABLE_XET


def _blobs(request: Request) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=request.repository, repo_type=request.kind)
    return Path(constants.HF_HUB_CACHE).expanduser() / folder / "blobs"


def _check(path: Path, expected: str, title: str) -> None:
    actual = _checksum(path, expected)
    if actual is not None and actual != expected:
        discard(path)
        raise DataError(
            f"{title} arrived damaged: its checksum is {actual}, the hub lists {expected}. It was "
            "removed; run again to fetch it anew."
        )


def _checksum(path: Path, like: str) -> str | None:
    """SHA-256, or git's blob id, whichever the expected value is; None if it is neither."""
    if len(like) == 64:
        total = hashlib.sha256()
    elif len(like) == 40:
        total = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return None
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            total.update(block)
    return total.hexdigest()
