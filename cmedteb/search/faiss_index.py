"""Approximate search with an index of FAISS, and how much of the exact result it finds.

For what an online system does, and for corpora of tens of millions; below that exact search is as
fast and this is not worth its loss. So an approximate run never comes without its recall, measured
against exact search for a sample of its own queries. Indexes are built anew from fixed seeds, HNSW
by one thread, since its graph depends on the order of insertion: the same vectors give the same
run. Each different vector is indexed once, as in exact search, and ties are trec_eval's.

FAISS holds a copy of all vectors in memory. Nothing is quantised here, see `quantized`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cmedteb.errors import MissingExtraError, ScoreError, UsageError
from cmedteb.search.collection import Collection
from cmedteb.search.dense import Vectors, best_keys, repeated, sides
from cmedteb.search.exact import tie_ranks
from cmedteb.search.keys import NOTHING, rank_keys
from cmedteb.search.sides import Side, always_finite
from cmedteb.types import Float32Array, Int64Array, Run, Similarity

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 0
BLOCK_DOCUMENTS = 2**14
SAMPLED_QUERIES = 200
# Malkov & Yashunin, "HNSW" (2018): neighbours of a node, and candidates while building.
NEIGHBOURS = 32
EF_CONSTRUCTION = 80
EF_SEARCH = 128
# FAISS' guidelines: 4 to 16 sqrt(n) lists, and 39 to 256 training vectors a list.
LISTS_PER_ROOT = 4
TRAINED_PER_LIST = 64
LEAST_PER_LIST = 39
PROBED_SHARE = 16


class SearchMethod(StrEnum):
    """How a corpus of dense vectors is searched."""

    EXACT = "exact"
    HNSW = "faiss-hnsw"
    IVF = "faiss-ivf"


class SearchRecord(NamedTuple):
    """What a result says of an approximate search.

    Attributes:
        method: `faiss-hnsw` or `faiss-ivf`.
        parameters: of the index, FAISS' own names where it has one.
        recall: share of the exact best documents that were found, over the sampled queries.
        sampled: how many queries that was measured on.
    """

    method: SearchMethod
    parameters: dict[str, int | str]
    recall: float
    sampled: int


class Approximation(NamedTuple):
    """An approximate run and what is to be said of it."""

    run: Run
    record: SearchRecord


def search_settings(method: SearchMethod, depth: int) -> dict[str, int | str]:
    """What is fixed about a method before any vector is seen; it belongs into the fingerprint."""
    if method is SearchMethod.HNSW:
        candidates = max(EF_SEARCH, 2 * depth)
        return {"M": NEIGHBOURS, "efConstruction": EF_CONSTRUCTION, "efSearch": candidates}
    if method is SearchMethod.IVF:
        return {"lists": f"{LISTS_PER_ROOT} sqrt(n)", "probed": f"1/{PROBED_SHARE}", "seed": SEED}
    return {}


def search_approximately(  # noqa: PLR0913  those of `search_vectors`, and the method
    queries: Vectors,
    documents: Vectors,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
    depth: int,
    method: SearchMethod,
    device: str = "auto",
) -> Approximation:
    """About the best `depth` documents for every query; for some queries it may find fewer.

    Args:
        queries: see `search_vectors`.
        documents: see `search_vectors`.
        ids: of the documents.
        similarity: how vectors are compared.
        depth: how many documents to keep for each query.
        method: which index.
        device: where the exact search runs that recall is measured against; the index is on the
            CPU.

    Raises:
        ScoreError: the two sides have different dimensions, or a product may not be finite.
        UsageError: the method is `exact`.
        MissingExtraError: FAISS is not installed.
    """
    left, right = sides(queries, documents, similarity)
    _refuse_infinite(left, right)
    collection = Collection(right, documents.index, tie_ranks(ids))
    asked, place = np.unique(queries.index, return_inverse=True)
    settings = search_settings(method, depth)
    index, parameters = _built(collection, method, settings)
    vectors, depth = left.rows(asked), min(depth, collection.documents)
    run = collection.run(_found(index, vectors, collection, depth), depth)
    draw = np.random.default_rng(SEED)
    sample = np.sort(draw.permutation(len(asked))[:SAMPLED_QUERIES])
    exact = collection.run(best_keys(vectors[sample], collection, depth, device), depth)
    recall = share_found(repeated(run, sample), exact)
    record = SearchRecord(method, parameters, recall, len(sample))
    return Approximation(repeated(run, place), record)


def share_found(run: Run, exact: Run) -> float:
    """The share of another run's documents that a run has, query by query; 1 of none."""
    if not len(exact.docs):
        return 1.0
    found, wanted = (
        np.repeat(np.arange(len(one)), np.diff(one.offsets)) << 32 | one.docs
        for one in (run, exact)
    )
    return float(np.isin(wanted, found).mean())


def _built(
    collection: Collection, method: SearchMethod, settings: dict[str, int | str]
) -> tuple[Any, dict[str, int | str]]:
    """An index of all different vectors, and its parameters."""
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss", "faiss") from error
    dimension = collection.side.values.shape[1]
    index: Any
    if method is SearchMethod.HNSW:
        index = faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.hnsw.efSearch = settings["efSearch"]
        used: dict[str, int | str] = {}
    elif method is SearchMethod.IVF:
        lists = int(LISTS_PER_ROOT * len(collection) ** 0.5)
        lists = max(1, min(lists, len(collection) // LEAST_PER_LIST))
        kind = f"IVF{lists},Flat"
        index = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = -(-lists // PROBED_SHARE)
        index.cp.seed = SEED
        used = {"nlist": lists, "nprobe": index.nprobe}
        _train(index, collection, TRAINED_PER_LIST * lists)
    else:
        raise UsageError(f"{method} search needs no index: call search_vectors")
    with _one_thread(faiss):
        for block in collection.blocks(BLOCK_DOCUMENTS):
            index.add(block.vectors)
    return index, {**settings, **used, "faiss": faiss.__version__}


def _train(index: Any, collection: Collection, most: int) -> None:  # noqa: ANN401  of FAISS
    """Find the lists' centres from a seeded sample."""
    count = len(collection)
    if not count:
        return
    sample = np.sort(np.random.default_rng(SEED).permutation(count)[:most])
    index.train(collection.vectors(sample))


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:  # noqa: ANN401  the module
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _found(
    index: Any,  # noqa: ANN401  of FAISS
    queries: Float32Array,
    collection: Collection,
    depth: int,
) -> Int64Array:
    """Keys of what the index finds, best first; `NOTHING` where it found no more."""
    width = min(depth, len(collection))
    if not len(queries) or not width:
        return np.empty((len(queries), width), dtype=np.int64)
    scores, places = index.search(queries, width)
    there = places >= 0
    keys = rank_keys(np.where(there, scores, 0), collection.ties[np.where(there, places, 0)])
    keys[~there] = NOTHING
    keys.sort(axis=1)
    return keys[:, ::-1]


def _refuse_infinite(left: Side, right: Side) -> None:
    if always_finite(left, right):
        return
    for name, side in (("query", left), ("document", right)):
        bad = ~np.isfinite(side.lengths)
        if bad.any():
            raise ScoreError(
                f"{name} vector {int(np.argmax(bad))} is no finite vector: it holds NaN, infinity "
                "or values too large for float32. Check the model with that text."
            )
    raise ScoreError(
        "products of these vectors may exceed float32, and an index cannot rank them: search them "
        "with the method exact, which names the texts, or compare them by cosine"
    )
