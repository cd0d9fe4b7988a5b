"""The texts of an annotation: `DIR/texts.jsonl.gz`, beside the journal and never published with it.

A journal names texts by their hashes only, because data sets have licences of their own. The file
holds each text once, so that judging, reviewing and resuming need neither the data set nor a
network. Every text is checked against its hash when it is read.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cmedteb.annotations.records import Pair
from cmedteb.errors import DataError, NotAvailableError

FILE = "texts.jsonl.gz"


class Shown(NamedTuple):
    """What a judge or a person sees of a pair.

    Attributes:
        query: whole.
        document: up to the cut.
        cut: whether there is more of the document.
    """

    query: str
    document: str
    cut: bool


def text_hash(text: str) -> str:
    """sha256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_texts(folder: Path, texts: Iterable[str]) -> Path:
    """Write each distinct text once; the same texts make the same bytes."""
    distinct = {text_hash(text): text for text in texts}
    lines = [
        json.dumps({"sha256": digest, "text": distinct[digest]}) + "\n"
        for digest in sorted(distinct)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    part = path.with_name(f"{FILE}.{os.getpid()}.part")
    part.write_bytes(gzip.compress("".join(lines).encode("ascii"), mtime=0))
    part.replace(path)
    return path


def read_texts(folder: Path) -> dict[str, str]:
    """Hash -> text.

    Raises:
        NotAvailableError: the file is not there: a journal was copied without it.
        DataError: the file is damaged, or a text is not the one of its hash.
    """
    path = folder / FILE
    try:
        lines = gzip.decompress(path.read_bytes()).decode("ascii").splitlines()
        rows = [json.loads(line) for line in lines]
        found: dict[str, str] = {row["sha256"]: row["text"] for row in rows}
    except FileNotFoundError as error:
        raise NotAvailableError(
            f"{path} is not there: a journal holds no texts. `cmedteb annotate plan` with the same "
            "choices writes it again from the data set."
        ) from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise DataError(f"{path}: not a whole file of texts ({error})") from error
    for digest, text in found.items():
        if text_hash(text) != digest:
            raise DataError(f"{path}: the text of {digest} was changed")
    return found


def shown(pair: Pair, texts: Mapping[str, str]) -> Shown:
    """The texts of a pair, the document up to its cut.

    Raises:
        DataError: a text is missing.
    """
    try:
        query, document = texts[pair.query_hash], texts[pair.document_hash]
    except KeyError as error:
        raise DataError(
            f"the text {error} of pair {pair.pair_id} is missing in {FILE}: plan again"
        ) from error
    cut = pair.cut is not None and len(document) > pair.cut
    return Shown(query, document[: pair.cut] if cut else document, cut)
