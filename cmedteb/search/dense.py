"""Search with vectors, exactly: the best documents of a corpus, or the order of given ones.

Vectors are compared as the model states: `dot` takes them as they are, `cosine` divides by their
lengths. Products are float32. Equal vectors get exactly equal scores, wherever their documents
stand: a matrix product rounds by position, and a tie that it breaks would not be trec_eval's.
The same vectors may score apart by 1e-6 of their lengths' product on another device.

Documents come in blocks and only the best of each query is kept, so memory depends on the blocks
and on queries x depth, not on the corpus: it may be mapped from a file that is larger than memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.search.collection import Collection
from cmedteb.search.device import best_on_device, device_for
from cmedteb.search.exact import rank_scored, refuse_non_finite, tie_ranks
from cmedteb.search.keys import NOTHING, Best, working_memory
from cmedteb.search.sides import Side, always_finite, parts
from cmedteb.types import Candidates, Float32Array, Int32Array, Int64Array, Run, Similarity

if TYPE_CHECKING:
    import pyarrow as pa

# What a thread multiplies at once: large enough for a core to run at its rate.
BLOCK_DOCUMENTS = 2**11
BLOCK_QUERIES = 2**10
# Places for the best of the queries that one thread ranks in one pass over the documents.
HELD_KEYS = 2**19
# Threads, each with queries of its own, where the product has at least so many multiplications.
THREADS = min(8, os.cpu_count() or 1)
WORTH_THREADS = 2**32
# Documents that are scored first, to learn what is not worth a second look; and how many times
# as many there must be.
SAMPLE = 2**12
WORTH_SAMPLING = 4
GATHERED_FLOATS = 2**18


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector for each distinct text, and for each row the position of its vector.

    Values may be mapped from a file (`numpy.memmap`).
    """

    values: Float32Array
    index: Int32Array


def search_vectors(
    queries: Vectors,
    documents: Vectors,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
    depth: int,
    device: str = "auto",
) -> Run:
    """The best `depth` documents for every query over the whole corpus.

    Args:
        queries: one row a query.
        documents: one row a document.
        ids: of the documents.
        similarity: how vectors are compared.
        depth: how many documents to keep for each query.
        device: a CUDA device, `cpu`, or `auto`, see `device_for`.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
    """
    left, right = sides(queries, documents, similarity)
    collection = Collection(right, documents.index, tie_ranks(ids))
    # A query text that stands twice is asked once.
    asked, place = np.unique(queries.index, return_inverse=True)
    # All of them are taken as they lie, without a copy.
    some = slice(None) if len(asked) == len(queries.values) else asked
    vectors, depth = left.rows(some), min(depth, collection.documents)
    if always_finite(left, right):
        keys = best_keys(vectors, collection, depth, device)
    else:
        keys = _best_on_cpu(vectors, collection, depth, check=queries.index)
    found = collection.run(keys, depth)
    return repeated(found, place)


def best_keys(queries: Float32Array, collection: Collection, depth: int, device: str) -> Int64Array:
    """Keys of the best different vectors for every query, best first.

    Args:
        queries: as they are compared, shape (queries, dimension).
        collection: what is searched; all products with it are finite.
        depth: how many to keep.
        device: see `search_vectors`.
    """
    where = device_for(device, len(queries) * len(collection) * max(1, queries.shape[1]))
    if where != "cpu":
        keys = best_on_device(queries, collection, depth, device=where)
        if keys is not None:
            return keys
    return _best_on_cpu(queries, collection, depth)


def rerank_vectors(
    queries: Vectors,
    documents: Vectors,
    candidates: Candidates,
    *,
    ids: pa.ChunkedArray,
    similarity: Similarity,
) -> Run:
    """Exactly the given candidates of every query, ordered.

    Raises:
        ScoreError: the two sides have different dimensions, or a vector is not finite.
    """
    left, right = sides(queries, documents, similarity)
    asked = queries.index[np.repeat(np.arange(len(candidates)), np.diff(candidates.offsets))]
    found = documents.index[candidates.docs]
    vectors, scores = left.rows(slice(None)), np.empty(len(found), dtype=np.float32)
    for part in parts(len(found), vectors.shape[1], GATHERED_FLOATS):
        products = right.rows(found[part])
        with np.errstate(over="ignore", invalid="ignore"):
            products *= vectors[asked[part]]
            scores[part] = products.sum(axis=1)
    return rank_scored(candidates, scores, tie_ranks(ids))


def sides(queries: Vectors, documents: Vectors, similarity: Similarity) -> tuple[Side, Side]:
    """Both sides, looked at once.

    Raises:
        ScoreError: the two sides have different dimensions.
    """
    _refuse_other_width(queries, documents)
    return Side.of(queries.values, similarity), Side.of(documents.values, similarity)


def comparable(
    queries: Vectors, documents: Vectors, similarity: Similarity
) -> tuple[Float32Array, Float32Array]:
    """The values of both sides in memory, so that their inner products are the similarity.

    Raises:
        ScoreError: the two sides have different dimensions.
    """
    left, right = sides(queries, documents, similarity)
    return left.rows(slice(None)), right.rows(slice(None))


def _best_on_cpu(
    queries: Float32Array, collection: Collection, depth: int, check: Int32Array | None = None
) -> Int64Array:
    """See `best_keys`; `check` gives the query rows' vectors where a product may be infinite."""
    k = min(depth, len(collection))
    found = np.empty((len(queries), k), dtype=np.int64)
    bar = _bars(queries, collection, k) if check is None else None
    given_up = Event()

    def rank(part: slice) -> None:
        some = queries[part]
        best = Best(len(some), k, bar=None if bar is None else bar[part])
        _offer_all(some, collection, best, given_up, check, first=part.start)
        found[part] = best.sorted()
        short = found[part, -1:].ravel() == NOTHING
        if short.any():  # the sample was no fair one
            best = Best(int(short.sum()), k)
            _offer_all(some[short], collection, best, given_up)
            found[part][short] = best.sorted()

    work = queries.size * len(collection)
    threads = THREADS if check is None and work >= WORTH_THREADS else 1
    shares = _shares(len(queries), k, threads)
    if threads == 1:
        for share in shares:
            rank(share)
    else:
        _spread(rank, shares, threads, given_up)
    return found


def _shares(queries: int, k: int, threads: int) -> Iterator[slice]:
    """Queries of which a thread holds the best at once, equally many shares for each thread."""
    rounds = max(1, math.ceil(queries * k / (HELD_KEYS * threads)))
    return parts(queries, 1, math.ceil(queries / (rounds * threads)))


def _spread(
    rank: Callable[[slice], None], shares: Iterator[slice], threads: int, given_up: Event
) -> None:
    """Each thread multiplies on one core, and none waits for another between its blocks.

    After an error or an interrupt `given_up` is set for the shares in work, and no other is begun.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        try:
            ranked = [pool.submit(rank, share) for share in shares]
            wait(ranked, return_when=FIRST_EXCEPTION)
        finally:
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
        # Shares are begun in their order, so one that failed comes before all that never began.
        for share in ranked:
            share.result()


def _offer_all(
    queries: Float32Array,
    collection: Collection,
    best: Best,
    given_up: Event,
    check: Int32Array | None = None,
    *,
    first: int = 0,
) -> None:
    """Offer every product, a block at a time and in the same memory, unless the search is given up.

    `first` is the first query.
    """
    height, width = min(BLOCK_QUERIES, len(queries)), min(BLOCK_DOCUMENTS, len(collection))
    memory = working_memory(height, width, np.float32).ravel()
    for block in collection.blocks(BLOCK_DOCUMENTS):
        if given_up.is_set():
            return
        for start in range(0, len(queries), BLOCK_QUERIES):
            some = queries[start : start + BLOCK_QUERIES]
            scores = memory[: len(some) * len(block.ties)].reshape(len(some), len(block.ties))
            with np.errstate(over="ignore", invalid="ignore"):
                np.matmul(some, block.vectors.T, out=scores)
            if check is not None:
                _refuse(scores, first + start, block.start, collection, check)
            best.offer(slice(start, start + len(some)), scores, block.ties)
        del block  # before the next one is made


def _bars(queries: Float32Array, collection: Collection, k: int) -> Float32Array | None:
    """A guess, from some vectors, of what score the k-th best has; None where it does not pay."""
    if len(collection) < SAMPLE * WORTH_SAMPLING or len(collection) < k * WORTH_SAMPLING:
        return None
    chosen = np.random.default_rng(0).choice(len(collection), SAMPLE, replace=False)
    return _bar(queries, collection.vectors(np.sort(chosen)), k / len(collection))


def _bar(queries: Float32Array, sample: Float32Array, share: float) -> Float32Array:
    """A score for each query that more than this share of all documents reaches, most likely.

    Of the sample `share` is expected to; four standard deviations more are taken.
    """
    expected = share * len(sample)
    rank = min(len(sample) - 1, math.ceil(expected + 4 * math.sqrt(expected) + 4))
    bar = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), BLOCK_QUERIES):
        some = queries[start : start + BLOCK_QUERIES]
        scores = working_memory(len(some), len(sample), np.float32)
        np.matmul(some, sample.T, out=scores)
        scores.partition(len(sample) - rank, axis=1)
        bar[start : start + BLOCK_QUERIES] = scores[:, len(sample) - rank]
    return bar


def _refuse(
    scores: Float32Array, first: int, start: int, collection: Collection, index: Int32Array
) -> None:
    """Raise for the first score that is no finite number, by the rows of its texts."""
    bad = ~np.isfinite(scores)
    if bad.any():
        asked, vector = np.argwhere(bad)[0]
        query = int(np.flatnonzero(index == np.unique(index)[first + asked])[0])
        document = collection.row(start + int(vector))
        refuse_non_finite(
            scores[asked, vector][None, None],
            first_query=query,
            documents=np.asarray([document], dtype=np.int32),
        )


def repeated(run: Run, place: Int64Array) -> Run:
    """A run whose row i is the row `place[i]` of another one."""
    if np.array_equal(place, np.arange(len(run))):
        return run
    lengths = np.diff(run.offsets)[place]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    entries = np.repeat(run.offsets[:-1][place] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Run(offsets=offsets, docs=run.docs[entries], scores=run.scores[entries])


def _refuse_other_width(queries: Vectors, documents: Vectors) -> None:
    left, right = queries.values.shape[1], documents.values.shape[1]
    if left != right:
        raise ScoreError(
            f"query vectors have {left} dimensions and document vectors {right}: the two sides do "
            "not share a vector space. Check that both encoders belong together."
        )
