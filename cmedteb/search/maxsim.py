"""Exact MaxSim, the score of late interaction, over all token vectors; no index, nothing pruned.

Khattab & Zaharia, "ColBERT" (2020): score(q, d) = the sum over q's tokens of the largest dot
product with any of d's tokens. Products are taken in float32 on the device that holds the vectors.
Documents come in blocks and only the best of each query is kept, so memory depends on the block,
not on the corpus. A document of no tokens scores `EMPTY`, below every other, as in
sentence-transformers. Equal vectors of one block score exactly equal, whatever their texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from cmedteb.errors import ScoreError
from cmedteb.search.exact import (
    Hits,
    query_blocks,
    rank_candidates,
    refuse_non_finite,
    tie_ranks,
    top_k,
)
from cmedteb.types import Candidates, Float32Array, Int32Array, Int64Array, Run

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

EMPTY = -1e9
# Dot products in memory at once: what fits a CPU's cache is fastest there.
CPU_FLOATS = 2**21
GPU_FLOATS = 2**26
QUERY_TOKENS = 512


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Texts as ragged matrices: rows `offsets[i]:offsets[i + 1]` of `values` belong to text i.

    Attributes:
        values: shape (tokens, dimension), in the model's own type and on its device.
        offsets: shape (texts + 1,).
    """

    values: Tensor
    offsets: Int64Array

    @classmethod
    def of(cls, texts: Sequence[Tensor]) -> Self:
        """Of at least one text, each of shape (its tokens, dimension).

        Raises:
            ScoreError: the texts have vectors of different dimensions.
        """
        import torch

        if len(shapes := {tuple(text.shape[1:]) for text in texts}) != 1:
            raise ScoreError(
                f"the encoder returned token vectors of the shapes {sorted(shapes)}: each token "
                "needs one vector, and all of them one dimension"
            )
        lengths = np.asarray([len(text) for text in texts], dtype=np.int64)
        return cls(torch.cat(list(texts)), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64Array:
        """Tokens of each text, shape (texts,)."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors."""
        return self.values.numel() * self.values.element_size()


class Block(NamedTuple):
    """Some documents: their rows, and the place of each one's text in `vectors`."""

    vectors: TokenVectors
    rows: Int32Array
    places: Int32Array


def maxsim(
    queries: TokenVectors,
    documents: TokenVectors,
    *,
    rows: Int32Array | None = None,
    mean: bool = False,
    floats: int | None = None,
) -> Float32Array:
    """Scores of every query with every document, shape (queries, documents).

    Args:
        queries: whose tokens are summed over; a query of no tokens scores 0 with every document.
        documents: whose tokens are maximised over.
        rows: which queries, all by default.
        mean: divide by the number of the query's tokens (MeanMaxSim).
        floats: dot products in memory at once; what the device takes well by default.

    Raises:
        ScoreError: the two sides have different dimensions.
    """
    floats = _checked(queries, documents, floats)
    rows = np.arange(len(queries), dtype=np.int32) if rows is None else rows
    scores = np.full((len(rows), len(documents)), EMPTY, dtype=np.float32)
    asked, lengths = queries.lengths[rows], documents.lengths
    filled = np.flatnonzero(lengths)
    for some in _alike(lengths[filled], most=max(1, floats // QUERY_TOKENS)):
        columns = filled[some]
        right = _padded(documents, columns)
        for picked in _alike(asked, most=max(1, floats // (right.shape[0] * right.shape[1]))):
            left = _padded(queries, rows[picked], with_zeros=True)
            products = left.flatten(0, 1) @ right.flatten(0, 1).T
            best = products.view(*left.shape[:2], *right.shape[:2]).amax(dim=3).sum(dim=1)
            scores[np.ix_(picked, columns)] = best.cpu().numpy()
    if mean:
        scores /= np.maximum(asked, 1)[:, None]
    return scores


def maxsim_pairs(
    queries: TokenVectors,
    documents: TokenVectors,
    left: Int32Array,
    right: Int32Array,
    *,
    mean: bool = False,
    floats: int | None = None,
) -> Float32Array:
    """Scores of pairs, query `left[i]` with document `right[i]`; shape (pairs,).

    Equal pairs are scored once, so their scores are exactly equal. See `maxsim`.
    """
    floats = _checked(queries, documents, floats)
    keys = left.astype(np.int64) * max(1, len(documents)) + right
    distinct, inverse = np.unique(keys, return_inverse=True)
    asked, found = np.divmod(distinct, max(1, len(documents)))
    scores = np.full(len(distinct), EMPTY, dtype=np.float32)
    widths, lengths = queries.lengths[asked], documents.lengths[found]
    # Queries are padded too: those that share a batch differ by less than half.
    classes = np.where(lengths > 0, np.ceil(np.log2(np.maximum(widths, 1))), -1)
    dimension = queries.values.shape[1]
    for size in np.unique(classes[classes >= 0]):
        pairs = np.flatnonzero(classes == size)
        width = max(1, int(widths[pairs].max()))
        costs = (width + lengths[pairs]) * dimension + width * lengths[pairs]
        for some in _alike(costs, most=floats):
            picked = pairs[some]
            ours = _padded(queries, asked[picked], with_zeros=True)
            theirs = _padded(documents, found[picked])
            best = (ours @ theirs.transpose(1, 2)).amax(dim=2).sum(dim=1)
            scores[picked] = best.cpu().numpy()
    if mean:
        scores /= np.maximum(widths, 1)
    return scores[inverse]


def search_tokens(
    queries: TokenVectors,
    index: Int32Array,
    blocks: Iterable[Block],
    *,
    ids: pa.ChunkedArray,
    depth: int,
    mean: bool = False,
) -> Run:
    """The best `depth` documents of all blocks for every query.

    Args:
        queries: their distinct texts.
        index: for each query the position of its text.
        blocks: together every document once; each is dropped before the next is asked for.
        ids: of all documents.
        depth: how many to keep for each query.
        mean: see `maxsim`.

    Raises:
        ScoreError: different dimensions, or a score that is no finite number.
    """
    ties = tie_ranks(ids)
    best = Hits(
        np.empty((len(index), 0), dtype=np.int32), np.empty((len(index), 0), dtype=np.float32)
    )
    for block in blocks:
        places = _first_equal(block.vectors)[block.places]
        parts = [best]
        for rows in query_blocks(len(index), len(block.rows)):
            scores = maxsim(queries, block.vectors, rows=index[rows], mean=mean)[:, places]
            refuse_non_finite(scores, first_query=rows.start, documents=block.rows)
            hits = top_k(scores, ties[block.rows], depth)
            parts.append(Hits(block.rows[hits.docs], hits.scores))
        best = _merged(parts[0], parts[1:], ties, depth)
        del block  # before the next one is made
    offsets = np.arange(len(index) + 1, dtype=np.int64) * best.docs.shape[1]
    return Run(offsets=offsets, docs=best.docs.ravel(), scores=best.scores.ravel())


def rerank_tokens(
    queries: TokenVectors,
    index: Int32Array,
    blocks: Iterable[Block],
    candidates: Candidates,
    *,
    ids: pa.ChunkedArray,
    mean: bool = False,
) -> Run:
    """Exactly the given candidates of every query, ordered; the blocks hold all of them.

    Raises:
        ScoreError: different dimensions, or a score that is no finite number.
    """
    asked = np.repeat(index, np.diff(candidates.offsets))
    scores = score_listed(queries, blocks, asked, candidates.docs, documents=len(ids), mean=mean)

    def score_query(query: int, rows: Int32Array) -> Float32Array:
        del rows
        return scores[candidates.offsets[query] : candidates.offsets[query + 1]]

    return rank_candidates(score_query, candidates, tie_ranks(ids))


def score_listed(
    queries: TokenVectors,
    blocks: Iterable[Block],
    left: Int32Array,
    right: Int32Array,
    *,
    documents: int,
    mean: bool = False,
) -> Float32Array:
    """Scores of query `left[i]` with the document of row `right[i]`, shape (pairs,).

    Args:
        queries: their distinct texts.
        blocks: all documents that are listed; a document that is in none of them scores NaN.
        left: positions in `queries`.
        right: rows of documents.
        documents: how many rows there are.
        mean: see `maxsim`.
    """
    scores = np.full(len(right), np.nan, dtype=np.float32)
    for block in blocks:
        place = np.full(documents, -1, dtype=np.int32)
        place[block.rows] = _first_equal(block.vectors)[block.places]
        here = np.flatnonzero(place[right] >= 0)
        scores[here] = maxsim_pairs(
            queries, block.vectors, left[here], place[right[here]], mean=mean
        )
        del block  # before the next one is made
    return scores


def _checked(queries: TokenVectors, documents: TokenVectors, floats: int | None) -> int:
    ours, theirs = queries.values.shape[1], documents.values.shape[1]
    if ours != theirs:
        raise ScoreError(
            f"query tokens have {ours} dimensions and document tokens {theirs}: the two sides do "
            "not share a vector space. Check that both encoders belong together."
        )
    return floats or (CPU_FLOATS if documents.values.device.type == "cpu" else GPU_FLOATS)


def _alike(lengths: Int64Array, *, most: int) -> Iterator[Int64Array]:
    """Positions, longest first, in groups whose padded size stays within `most`; one at least."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, most // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def _padded(
    vectors: TokenVectors, texts: Int32Array | Int64Array, *, with_zeros: bool = False
) -> Tensor:
    """Texts as one float32 array, shape (texts, longest, dimension).

    Short texts repeat their last token, which changes no maximum, or get zeros, which change no
    sum.
    """
    import torch

    lengths = vectors.lengths[texts]
    steps = np.arange(max(1, int(lengths.max())))
    places = vectors.offsets[texts][:, None] + np.minimum(
        steps, np.maximum(lengths, 1)[:, None] - 1
    )
    if not len(vectors.values):
        return vectors.values.new_zeros((*places.shape, vectors.values.shape[1])).float()
    flat = torch.from_numpy(np.minimum(places, len(vectors.values) - 1).ravel())
    found = vectors.values.index_select(0, flat.to(vectors.values.device)).float()
    found = found.view(*places.shape, -1)
    if with_zeros and (beyond := steps >= lengths[:, None]).any():
        found.masked_fill_(torch.from_numpy(beyond)[:, :, None].to(found.device), 0)
    return found


def _first_equal(vectors: TokenVectors) -> Int32Array:
    """For each text the first one whose vectors are the same, bit by bit; shape (texts,)."""
    import torch

    words = {2: torch.int16, 4: torch.int32, 8: torch.int64}[vectors.values.element_size()]
    sums = vectors.values.view(words).sum(dim=1, dtype=torch.int64).cpu().numpy()
    steps = np.arange(len(sums)) - np.repeat(vectors.offsets[:-1], vectors.lengths)
    totals = np.concatenate([[0], np.cumsum(sums * (2 * steps + 1))])[vectors.offsets]
    keys = np.column_stack([vectors.lengths, np.diff(totals)])
    _, group, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    first = np.arange(len(vectors), dtype=np.int32)
    seen: dict[int, list[int]] = {}
    for text in np.flatnonzero(count[group.ravel()] > 1).tolist():
        others = seen.setdefault(int(group.ravel()[text]), [])
        same = (other for other in others if torch.equal(_of(vectors, other), _of(vectors, text)))
        first[text] = next(same, text)
        if first[text] == text:
            others.append(text)
    return first


def _of(vectors: TokenVectors, text: int) -> Tensor:
    return vectors.values[vectors.offsets[text] : vectors.offsets[text + 1]]


def _merged(best: Hits, parts: Sequence[Hits], ties: Int32Array, depth: int) -> Hits:
    """The best `depth` of what was kept and what is new; the parts follow each other by query."""
    if not parts:
        return best
    docs = np.hstack([best.docs, np.vstack([part.docs for part in parts])])
    scores = np.hstack([best.scores, np.vstack([part.scores for part in parts])])
    order = np.lexsort((ties[docs], -scores), axis=-1)[:, :depth]
    return Hits(np.take_along_axis(docs, order, axis=1), np.take_along_axis(scores, order, axis=1))
