"""Writing so that a reader never sees half a file, whenever the writer is killed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from cmedteb.errors import CmedtebError, DataError

# Within 3 % of the smallest receipt, in a fifth of its time.
LEVEL = 4
# Lines that are compressed at once.
LINES = 64


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside the target, flush to the disk, then rename over it.

    Raises:
        CmedtebError: the disk is full, or the folder may not be written to.
    """
    make_folder(path.parent)
    try:
        _write(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        CmedtebError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> CmedtebError:
    return CmedtebError(
        f"cannot write {path}: {error.strerror}. Make room or choose another folder; what was "
        "finished is saved, and the same command goes on from there."
    )


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, document: Any) -> None:  # noqa: ANN401  any JSON value
    """Write strict, readable JSON; NaN is refused with a ValueError."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> Any:  # noqa: ANN401  any JSON value
    """Read strict JSON.

    Raises:
        DataError: the file is no JSON, or holds NaN or infinity.
    """

    def refuse(constant: str) -> None:
        raise DataError(f"{path}: holds {constant}, which is no JSON number")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: not valid JSON ({error}). Remove the file and run the task again."
        ) from error


def write_gzip(path: Path, lines: Iterable[str]) -> str:
    """Write lines compressed, the same bytes for the same lines; returns their sha256.

    Lines are compressed in a thread while the next ones are being made.
    """
    buffer = io.BytesIO()
    lines = iter(lines)
    with (
        gzip.GzipFile(
            filename="", mode="wb", compresslevel=LEVEL, fileobj=buffer, mtime=0
        ) as stream,
        ThreadPoolExecutor(1) as pool,
    ):
        compressed: Future[int] = pool.submit(stream.write, b"")
        while some := list(islice(lines, LINES)):
            compressed.result()
            compressed = pool.submit(stream.write, "\n".join([*some, ""]).encode())
        compressed.result()
    content = buffer.getvalue()
    write_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def read_gzip(path: Path) -> list[str]:
    """The lines of a compressed file.

    Raises:
        DataError: the file is missing, cut, or not UTF-8.
    """
    try:
        return gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the task again to write it") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}). Run the task again.") from error


def sha256_of(path: Path) -> str | None:
    """The hash of a file; None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
