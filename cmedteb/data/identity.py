"""Says which data was loaded: one hash over everything that can move a score.

It covers ids, texts, judgements, candidates and gold scores as loaded; not the storage format,
nor the order of qrels rows. The order of documents and of queries counts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cmedteb.data.columns import DIGEST_BYTES, digests_of, strings_of
from cmedteb.types import Candidates, Corpus, Pairs, Qrels, Queries, TextColumn

if TYPE_CHECKING:
    import pyarrow as pa


def ranking_hash(
    corpus: Corpus, queries: Queries, qrels: Qrels, candidates: Candidates | None
) -> str:
    """SHA-256 of a retrieval or reranking set, in hex."""
    total = hashlib.sha256(b"cmedteb ranking 1\n")
    for side in (corpus, queries):
        _add_ids(total, side.ids)
        _add_texts(total, side.texts)
    _add_array(total, qrels.offsets, "<i8")
    _add_array(total, qrels.docs, "<i4")
    _add_array(total, qrels.grades, "<i4")
    total.update("".join(f"{name}\n" for name in qrels.absent).encode() + b"\n")
    if candidates is not None:
        _add_array(total, candidates.offsets, "<i8")
        _add_array(total, candidates.docs, "<i4")
    return total.hexdigest()


def pairs_hash(pairs: Pairs) -> str:
    """SHA-256 of an STS set, in hex."""
    total = hashlib.sha256(b"cmedteb pairs 1\n")
    _add_ids(total, pairs.ids)
    _add_texts(total, pairs.left)
    _add_texts(total, pairs.right)
    _add_array(total, pairs.scores, "<f8")
    return total.hexdigest()


def _add_ids(total: hashlib._Hash, ids: pa.ChunkedArray) -> None:
    """Ids hold no line break (see `check.check_id`), so one ends each."""
    import pyarrow.compute as pc

    total.update(f"{len(ids)} ids\n".encode())
    for part in _slices(ids):
        for chunk in pc.binary_join_element_wise(part, "", "\n").chunks:
            total.update(strings_of(chunk)[0])


def _add_texts(total: hashlib._Hash, texts: TextColumn) -> None:
    """The digest of every row's text, so it does not matter how the column shares texts."""
    total.update(f"{len(texts)} texts\n".encode())
    parts = [digests_of(chunk) for chunk in texts.values.chunks]
    # As void: a digest that ends in zeros would lose them as a string.
    table = np.concatenate([np.empty(0, f"S{DIGEST_BYTES}"), *parts]).view(f"V{DIGEST_BYTES}")
    for start in range(0, len(texts), 65536):
        total.update(table[texts.index[start : start + 65536]].tobytes())


def _add_array(total: hashlib._Hash, values: np.ndarray[Any, Any], kind: str) -> None:
    total.update(f"{len(values)} {kind}\n".encode())
    total.update(values.astype(kind).tobytes())


def _slices(column: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    return [column.slice(start, 4096) for start in range(0, len(column), 4096)]
