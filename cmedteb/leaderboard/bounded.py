"""Reads files that a stranger wrote: never more than was agreed, never outside a folder.

A file is opened without following a link. A gzip file is unpacked no further than its limit,
whatever it promises. JSON is refused before it is parsed where it is large or deep, and NaN,
infinity and repeated keys are no JSON here.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Any

from cmedteb.errors import DataError

MAX_JSON = 1 << 20
MAX_DEPTH = 24
MAX_PACKED = 64 << 20
MAX_UNPACKED = 256 << 20
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def read_bytes(path: Path, limit: int) -> bytes:
    """All of a plain file of at most `limit` bytes.

    Raises:
        DataError: there is none, it is a link, a device or a folder, or it is larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a plain file ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise DataError(f"{path}: not a plain file")
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"{path}: larger than {limit:,} bytes, which is more than it may have")
    return content


def unpack(path: Path, content: bytes, *, limit: int | None = None) -> bytes:
    """Decompress gzip to at most `limit` bytes, by default MAX_UNPACKED.

    Raises:
        DataError: not gzip, cut, followed by other bytes, or larger when unpacked.
    """
    limit = MAX_UNPACKED if limit is None else limit
    parts: list[bytes] = []
    total = 0
    rest = content
    while rest or not parts:
        engine = zlib.decompressobj(wbits=31)
        try:
            while rest and not engine.eof:
                parts.append(engine.decompress(rest, limit + 1 - total))
                rest = engine.unconsumed_tail or engine.unused_data
                total += len(parts[-1])
                if total > limit:
                    raise DataError(f"{path}: unpacks to more than {limit:,} bytes")
        except zlib.error as error:
            raise DataError(f"{path}: not a whole gzip file ({error})") from error
        if not engine.eof:
            raise DataError(f"{path}: not a whole gzip file (it ends early)")
    return b"".join(parts)


def read_gzip(path: Path) -> bytes:
    """Read and decompress within MAX_PACKED and MAX_UNPACKED; see `read_bytes` and `unpack`."""
    return unpack(path, read_bytes(path, MAX_PACKED))


def read_json(path: Path, *, limit: int = MAX_JSON, depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401
    """Strict JSON of bounded size and depth.

    Raises:
        DataError: larger, deeper, no JSON in UTF-8, a number that JSON lacks, or a key twice.
    """
    content = read_bytes(path, limit)
    if depth_of(content) > depth:
        raise DataError(f"{path}: nested more than {depth} deep")
    try:
        document = json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_once,
        )
        # Half a surrogate pair can be escaped in JSON, and written nowhere.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not strict JSON ({error})") from error
    return document


def depth_of(content: bytes) -> int:
    """How deep brackets nest, outside of strings; counted before any parser recurses."""
    deepest = level = 0
    for byte in _STRINGS.sub(b"", content):
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(f"{text} is no finite number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found
