"""Search over quantised vectors, against sentence-transformers' own.

Run: pytest tests/search/test_quantized.py -q.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from builders import as_lists, candidates, strings

from cmedteb.errors import MissingExtraError, ScoreError, UsageError
from cmedteb.search import (
    Vectors,
    bytes_per_document,
    quantized_pairs,
    rerank_quantized,
    rerank_vectors,
    search_quantized,
    search_vectors,
)
from cmedteb.types import Float32Array, Similarity, Storage
from search.support import each, names

util = pytest.importorskip("sentence_transformers.util", reason="needs sentence-transformers")

COARSE = (Storage.INT8, Storage.BINARY)


def drawn(rows: int, *, seed: int, width: int = 32) -> Float32Array:
    """Vectors of many lengths, whose dimensions have their own centre and spread."""
    draw = np.random.default_rng(seed)
    spread = np.random.default_rng(99).uniform(0.2, 3, size=width)
    centre = np.random.default_rng(98).normal(0, 0.5, size=width)
    lengths = draw.uniform(0.5, 4, size=(rows, 1))
    return ((draw.standard_normal((rows, width)) * spread + centre) * lengths).astype(np.float32)


def unit(vectors: Float32Array) -> Float32Array:
    scaled: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def plain_scores(
    queries: Float32Array, documents: Float32Array, similarity: Similarity, storage: Storage
) -> Float32Array:
    """The scores by the definitions, in integers; the ranges are the documents'."""
    if similarity is Similarity.COSINE:
        queries, documents = unit(queries), unit(documents)
    if storage is Storage.BINARY:
        differ = (queries > 0)[:, None, :] != (documents > 0)[None, :, :]
        return -differ.sum(axis=2).astype(np.float32)
    low, high = documents.min(axis=0), documents.max(axis=0)
    step = np.where(high > low, (high - low) / np.float32(255), np.float32(1))
    left, right = (
        np.clip(np.floor((side - low) / step), 0, 255).astype(np.int64) - 128
        for side in (queries, documents)
    )
    return (left @ right.T).astype(np.float32)


def best_by(scores: Float32Array, ids: list[str], depth: int) -> list[list[tuple[int, float]]]:
    """trec_eval's order, sorted the plain way."""
    return [
        [
            (row, float(line[row]))
            for row in sorted(
                sorted(range(len(ids)), key=lambda row: ids[row], reverse=True),
                key=lambda row: -line[row],
            )[:depth]
        ]
        for line in scores
    ]


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("storage", COARSE)
def test_scores_are_those_of_the_definitions_and_ties_trec_eval_s(
    similarity: Similarity, storage: Storage
) -> None:
    queries, documents = drawn(7, seed=1), drawn(300, seed=2)
    ids = names(300)
    run = search_quantized(
        each(queries),
        each(documents),
        ids=strings(ids),
        similarity=similarity,
        depth=40,
        storage=storage,
    )
    expected = plain_scores(queries, documents, similarity, storage)
    if storage is Storage.BINARY:
        assert len(np.unique(expected[0])) < 40, "no ties to break"
    assert as_lists(run) == best_by(expected, ids, 40)


def test_binary_distances_are_those_of_sentence_transformers_own_search() -> None:
    pytest.importorskip("faiss", reason="needs faiss")
    queries, documents = drawn(5, seed=3, width=64), drawn(120, seed=4, width=64)
    run = search_quantized(
        each(queries),
        each(documents),
        ids=strings(names(120)),
        similarity=Similarity.COSINE,
        depth=120,
        storage=Storage.BINARY,
    )
    theirs, _ = util.quantization.semantic_search_faiss(
        queries,
        corpus_embeddings=util.quantize_embeddings(documents, precision="ubinary"),
        corpus_precision="ubinary",
        top_k=120,
        rescore=False,
    )
    for ours, line in zip(as_lists(run), theirs, strict=True):
        assert dict(ours) == {hit["corpus_id"]: -hit["score"] for hit in line}


def test_wide_int8_products_are_exact() -> None:
    """Sums above 2**24, where float32 no longer holds every integer."""
    queries = np.abs(drawn(3, seed=5, width=3000))
    documents = np.concatenate([np.abs(drawn(40, seed=6, width=3000)), queries])
    run = search_quantized(
        each(queries),
        each(documents),
        ids=strings(names(43)),
        similarity=Similarity.DOT,
        depth=43,
        storage=Storage.INT8,
    )
    expected = plain_scores(queries, documents, Similarity.DOT, Storage.INT8)
    assert np.abs(expected).max() > 2**24
    assert as_lists(run) == best_by(expected, names(43), 43)


@pytest.mark.parametrize("storage", COARSE)
def test_equal_documents_tie_wherever_they_stand(storage: Storage) -> None:
    documents = drawn(50, seed=7)
    index = np.random.default_rng(8).integers(0, 50, 200).astype(np.int32)
    ids = names(200)
    run = search_quantized(
        each(drawn(4, seed=9)),
        Vectors(documents, index),
        ids=strings(ids),
        similarity=Similarity.COSINE,
        depth=60,
        storage=storage,
    )
    scores = plain_scores(drawn(4, seed=9), documents, Similarity.COSINE, storage)[:, index]
    assert as_lists(run) == best_by(scores, ids, 60)


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("storage", COARSE)
def test_rescoring_orders_the_best_four_times_depth_by_the_float_vectors(
    similarity: Similarity, storage: Storage
) -> None:
    queries, documents, ids = drawn(6, seed=10), drawn(200, seed=11), names(200)
    run = search_quantized(
        each(queries),
        each(documents),
        ids=strings(ids),
        similarity=similarity,
        depth=5,
        storage=storage,
        rescore=True,
    )
    coarse = best_by(plain_scores(queries, documents, similarity, storage), ids, 20)
    whole = as_lists(
        search_vectors(
            each(queries), each(documents), ids=strings(ids), similarity=similarity, depth=200
        )
    )
    for query, found in enumerate(as_lists(run)):
        picked = {row for row, _ in coarse[query]}
        expected = [hit for hit in whole[query] if hit[0] in picked][:5]
        assert [row for row, _ in found] == [row for row, _ in expected]
        np.testing.assert_allclose(
            [score for _, score in found], [score for _, score in expected], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("storage", COARSE)
def test_a_corpus_that_is_rescored_whole_is_ranked_as_before_quantisation(storage: Storage) -> None:
    queries, documents, ids = each(drawn(6, seed=12)), each(drawn(30, seed=13)), strings(names(30))
    keywords = {"ids": ids, "similarity": Similarity.COSINE, "depth": 8}
    run = search_quantized(queries, documents, **keywords, storage=storage, rescore=True)
    exact = search_vectors(queries, documents, **keywords)
    np.testing.assert_array_equal(run.docs, exact.docs)
    np.testing.assert_array_equal(run.offsets, exact.offsets)


@pytest.mark.parametrize("storage", COARSE)
@pytest.mark.parametrize("rescore", [False, True])
def test_reranking_gives_the_scores_of_search(storage: Storage, rescore: bool) -> None:
    queries, documents, ids = drawn(3, seed=14), drawn(40, seed=15), strings(names(40))
    listed = [[5, 1, 30], [], list(range(40))]
    run = rerank_quantized(
        each(queries),
        each(documents),
        candidates(listed),
        ids=ids,
        similarity=Similarity.COSINE,
        storage=storage,
        rescore=rescore,
    )
    if rescore:
        plain = rerank_vectors(
            each(queries),
            each(documents),
            candidates(listed),
            ids=ids,
            similarity=Similarity.COSINE,
        )
        assert as_lists(run) == as_lists(plain)
        return
    scores = plain_scores(queries, documents, Similarity.COSINE, storage)
    whole = best_by(scores, names(40), 40)
    for found, line, rows in zip(as_lists(run), whole, listed, strict=True):
        assert found == [hit for hit in line if hit[0] in rows]


def test_cosine_does_not_see_lengths() -> None:
    queries, documents, ids = drawn(3, seed=16), drawn(50, seed=17), strings(names(50))

    def found(left: Float32Array, right: Float32Array) -> list[list[tuple[int, float]]]:
        run = search_quantized(
            each(left),
            each(right),
            ids=ids,
            similarity=Similarity.COSINE,
            depth=9,
            storage=Storage.INT8,
        )
        return as_lists(run)

    scale = np.float32(2) ** np.arange(50, dtype=np.float32)[:, None] / np.float32(2**20)
    assert found(queries, documents) == found(queries * 4, documents * scale)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("storage", COARSE)
def test_a_corpus_of_one_vector_is_all_ties(rows: int, storage: Storage) -> None:
    documents = np.repeat(drawn(1, seed=18), rows, axis=0)
    run = search_quantized(
        each(drawn(2, seed=19)),
        each(documents),
        ids=strings(names(rows)),
        similarity=Similarity.COSINE,
        depth=10,
        storage=storage,
    )
    assert [[row for row, _ in line] for line in as_lists(run)] == [list(range(rows))[::-1]] * 2


def test_no_query_is_no_result() -> None:
    for rescore in (False, True):
        run = search_quantized(
            each(np.empty((0, 8), dtype=np.float32)),
            each(drawn(3, seed=20, width=8)),
            ids=strings(names(3)),
            similarity=Similarity.DOT,
            depth=2,
            storage=Storage.BINARY,
            rescore=rescore,
        )
        assert len(run) == len(run.docs) == 0


@pytest.mark.parametrize("storage", COARSE)
def test_pairs_are_coded_as_by_sentence_transformers_evaluator(storage: Storage) -> None:
    left, right = drawn(30, seed=21), drawn(30, seed=22)
    ours = quantized_pairs(each(left), each(right), similarity=Similarity.COSINE, storage=storage)
    both = unit(np.concatenate([left, right]))
    if storage is Storage.INT8:
        codes = util.quantize_embeddings(both, precision="int8").astype(np.float32)
    else:
        codes = np.unpackbits(util.quantize_embeddings(both, precision="ubinary"), axis=1)
    np.testing.assert_array_equal(np.concatenate(ours), codes)


def test_bytes_per_document() -> None:
    sizes = {storage: bytes_per_document(storage, 768) for storage in Storage}
    assert sizes == {Storage.FLOAT32: 3072, Storage.INT8: 768, Storage.BINARY: 96}


def searched(left: Float32Array, right: Float32Array, storage: Storage) -> None:
    search_quantized(
        each(left),
        each(right),
        ids=strings(names(len(right))),
        similarity=Similarity.COSINE,
        depth=2,
        storage=storage,
    )


def reranked(left: Float32Array, right: Float32Array, storage: Storage) -> None:
    rerank_quantized(
        each(left),
        each(right),
        candidates([[0]] * len(left)),
        ids=strings(names(len(right))),
        similarity=Similarity.COSINE,
        storage=storage,
    )


def paired(left: Float32Array, right: Float32Array, storage: Storage) -> None:
    quantized_pairs(each(left), each(right), similarity=Similarity.COSINE, storage=storage)


Asked = Callable[[Float32Array, Float32Array, Storage], None]
every_way = pytest.mark.parametrize("ask", [searched, reranked, paired])


@every_way
@pytest.mark.parametrize("storage", COARSE)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_before_it_becomes_a_code(
    ask: Asked, storage: Storage, bad: float
) -> None:
    documents = drawn(4, seed=23)
    documents[2, 5] = bad
    with pytest.raises(ScoreError, match="vector 2 of the second side holds NaN or infinity"):
        ask(drawn(3, seed=24), documents, storage)
    with pytest.raises(ScoreError, match="vector 2 of the first side holds NaN or infinity"):
        ask(documents, drawn(3, seed=24), storage)


@every_way
def test_sides_of_different_width_are_refused(ask: Asked) -> None:
    with pytest.raises(ScoreError, match="16 dimensions and document vectors 32"):
        ask(drawn(3, seed=25, width=16), drawn(4, seed=26), Storage.INT8)


@every_way
def test_bits_that_do_not_fill_bytes_are_refused(ask: Asked) -> None:
    with pytest.raises(UsageError, match=r"vectors have 20\..* such as --truncate-dim 16"):
        ask(drawn(3, seed=27, width=20), drawn(4, seed=28, width=20), Storage.BINARY)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cmedteb\[models\]'"):
        searched(drawn(3, seed=29), drawn(4, seed=30), Storage.INT8)


@pytest.mark.parametrize("storage", COARSE)
def test_blocks_move_no_score(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = each(drawn(9, seed=32)), drawn(130, seed=33)
    index = np.random.default_rng(34).integers(0, 130, 300).astype(np.int32)
    keywords = {"ids": strings(names(300)), "similarity": Similarity.COSINE, "depth": 30}
    whole = search_quantized(queries, Vectors(documents, index), storage=storage, **keywords)
    monkeypatch.setattr("cmedteb.search.quantized.BLOCK_DOCUMENTS", 7)
    monkeypatch.setattr("cmedteb.search.quantized.BLOCK_FLOATS", 21)
    monkeypatch.setattr("cmedteb.search.quantized.HELD_KEYS", 240)
    monkeypatch.setattr("cmedteb.search.sides.PART_FLOATS", 64)
    parted = search_quantized(queries, Vectors(documents, index), storage=storage, **keywords)
    assert as_lists(parted) == as_lists(whole)
