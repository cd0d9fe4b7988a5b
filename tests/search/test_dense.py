"""Search with vectors, against plain products. Run: pytest tests/search/test_dense.py -q."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import as_lists, candidates, qrels, strings, text_column

from cmedteb.encoding import encode_distinct, planned
from cmedteb.errors import ScoreError
from cmedteb.metrics import score_run
from cmedteb.search import Vectors, dense, rerank_vectors, search_vectors
from cmedteb.search import collection as collection_module
from cmedteb.types import Float32Array, Run, Similarity
from search.support import each, names, random_vectors


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("repeats", [False, True])
def test_search_equals_a_plain_product(similarity: Similarity, repeats: bool) -> None:
    left, right = random_vectors(9, seed=1), random_vectors(60, seed=2)
    index = np.random.default_rng(3).integers(0, 60, 90) if repeats else np.arange(60)
    documents = Vectors(right, index.astype(np.int32))
    ids = names(len(index))
    run = search_vectors(each(left), documents, ids=strings(ids), similarity=similarity, depth=20)
    scores = left.astype(np.float64) @ right[index].astype(np.float64).T
    if similarity is Similarity.COSINE:
        scores /= np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right[index], axis=1)
    for query, found in enumerate(as_lists(run)):
        rows = [row for row, _ in found]
        best = sorted(range(len(index)), key=lambda row: (scores[query, row], ids[row]))
        exact = scores[query].astype(np.float32)
        np.testing.assert_allclose([score for _, score in found], exact[rows], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(exact[rows], exact[best[::-1][:20]], rtol=1e-4, atol=1e-4)
        assert len(set(rows)) == 20


def test_dot_and_cosine_rank_differently_when_lengths_differ() -> None:
    query = each(np.asarray([[1, 0]], dtype=np.float32))
    documents = each(np.asarray([[1, 0], [5, 5]], dtype=np.float32))

    def best(similarity: Similarity) -> list[tuple[int, float]]:
        run = search_vectors(query, documents, ids=strings("ab"), similarity=similarity, depth=2)
        return as_lists(run)[0]

    assert best(Similarity.DOT) == [(1, 5.0), (0, 1.0)]
    assert best(Similarity.COSINE) == [(0, 1.0), (1, pytest.approx(np.sqrt(0.5)))]


def test_zero_vector_has_cosine_zero_with_everything() -> None:
    query = each(np.asarray([[3, 4]], dtype=np.float32))
    documents = each(np.asarray([[0, 0], [-3, -4], [4, 3]], dtype=np.float32))
    run = search_vectors(
        query, documents, ids=strings("abc"), similarity=Similarity.COSINE, depth=3
    )
    assert [row for row, _ in as_lists(run)[0]] == [2, 0, 1]
    assert dict(as_lists(run)[0])[0] == 0.0


@pytest.mark.parametrize("width", [32, 100, 768])
@pytest.mark.parametrize("rows", [7, 101, 1003])
@pytest.mark.parametrize("similarity", list(Similarity))
def test_equal_vectors_score_exactly_equal_wherever_they_stand(
    width: int, rows: int, similarity: Similarity
) -> None:
    """A matrix product may round columns by their position: then ties would be noise."""
    queries = each(random_vectors(37, seed=width, width=width))
    documents = each(np.tile(random_vectors(1, seed=rows, width=width), (rows, 1)))
    expected = list(range(rows))[::-1]
    ids = strings(names(rows))
    found = search_vectors(queries, documents, ids=ids, similarity=similarity, depth=rows)
    ordered = rerank_vectors(
        queries, documents, candidates([range(rows)] * 37), ids=ids, similarity=similarity
    )
    for run in (found, ordered):
        for result in as_lists(run):
            assert [row for row, _ in result] == expected
            assert len({score for _, score in result}) == 1


def test_identical_texts_score_exactly_equal() -> None:
    texts = ["one", "two", "one", "three", "two", "one", "four", "five", "six", "one", "two"]
    column = text_column(texts)
    values = random_vectors(column.distinct, seed=4, width=100)
    queries = each(random_vectors(5, seed=5, width=100))
    documents, ids = Vectors(values, column.index), strings(names(len(texts)))
    listed = candidates([[0, 1, 2, 4, 5, 9, 10]] * 5)
    runs = (
        search_vectors(queries, documents, ids=ids, similarity=Similarity.DOT, depth=11),
        rerank_vectors(queries, documents, listed, ids=ids, similarity=Similarity.DOT),
    )
    for run in runs:
        for result in as_lists(run):
            scores = dict(result)
            assert scores[0] == scores[2] == scores[5] == scores[9]
            assert scores[1] == scores[4] == scores[10]


@pytest.mark.parametrize("similarity", list(Similarity))
def test_the_layout_of_a_matrix_in_memory_does_not_matter(similarity: Similarity) -> None:
    left, right = random_vectors(4, seed=1), np.repeat(random_vectors(9, seed=2), 3, axis=0)
    ids, listed = strings(names(27)), candidates([range(27)] * 4)

    def results(documents: Float32Array) -> list[list[list[tuple[int, float]]]]:
        two_sides = each(left), each(documents)
        found = search_vectors(*two_sides, ids=ids, similarity=similarity, depth=27)
        ordered = rerank_vectors(*two_sides, listed, ids=ids, similarity=similarity)
        return [as_lists(found), as_lists(ordered)]

    assert results(np.asfortranarray(right)) == results(right)


@pytest.mark.parametrize("similarity", list(Similarity))
def test_rerank_returns_exactly_the_candidates(similarity: Similarity) -> None:
    left, right = random_vectors(6, seed=6), random_vectors(30, seed=7)
    draw = random.Random(8)
    listed = [draw.sample(range(30), draw.randint(1, 20)) for _ in range(6)]
    ids = strings(names(30))
    run = rerank_vectors(
        each(left), each(right), candidates(listed), ids=ids, similarity=similarity
    )
    whole = search_vectors(each(left), each(right), ids=ids, similarity=similarity, depth=30)
    for found, given, everything in zip(as_lists(run), listed, as_lists(whole), strict=True):
        assert [row for row, _ in found] == [row for row, _ in everything if row in given]
        for row, score in found:
            assert score == pytest.approx(dict(everything)[row], rel=1e-4, abs=1e-5)


def test_two_sides_of_different_width_are_refused() -> None:
    left, right = each(np.ones((1, 3), np.float32)), each(np.ones((2, 4), np.float32))
    with pytest.raises(ScoreError, match=r"3 dimensions .* 4"):
        search_vectors(left, right, ids=strings("ab"), similarity=Similarity.DOT, depth=1)
    with pytest.raises(ScoreError, match=r"3 dimensions .* 4"):
        rerank_vectors(left, right, candidates([[0]]), ids=strings("ab"), similarity=Similarity.DOT)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("similarity", list(Similarity))
def test_vectors_that_are_not_finite_are_refused(bad: float, similarity: Similarity) -> None:
    left, right = random_vectors(2, seed=1), random_vectors(4, seed=2)
    right[2, 0] = bad
    ids, listed = strings("abcd"), candidates([[0], [1, 2]])
    with pytest.raises(ScoreError, match="no finite number"):
        search_vectors(each(left), each(right), ids=ids, similarity=similarity, depth=1)
    with pytest.raises(ScoreError, match="query row 1 and document row 2"):
        rerank_vectors(each(left), each(right), listed, ids=ids, similarity=similarity)


def chance_map(run: Run, judged: list[dict[int, int]], ids: list[str]) -> float:
    scores = score_run(
        run,
        qrels(judged),
        query_ids=[f"q{row}" for row in range(len(judged))],
        doc_ids=ids,
        depth=None,
    )
    return scores.mean()["map_at_1000"]


@pytest.mark.parametrize("first", [True, False])
def test_a_constant_encoder_reranks_at_chance(first: bool) -> None:
    """Also where every relevant document stands first (or last) in the corpus and the list.

    Chance is the mean over random orders of the same lists, drawn here.
    """
    draw = random.Random(11)
    size, queries = 20, 300
    ids = [f"{draw.getrandbits(64):016x}" for _ in range(size * queries)]
    listed = [list(range(size * q, size * (q + 1))) for q in range(queries)]
    judged = [
        {row: int((place < 3) if first else (place >= size - 3)) for place, row in enumerate(rows)}
        for rows in listed
    ]
    texts = text_column([f"text {row}" for row in range(len(ids))])
    encode = planned(lambda batch: np.full((len(batch), 48), 0.1, np.float32), budget=4096)
    values = encode_distinct(encode, texts).vectors
    asked = each(random_vectors(queries, seed=12, width=48))
    run = rerank_vectors(
        asked,
        Vectors(values, texts.index),
        candidates(listed),
        ids=strings(ids),
        similarity=Similarity.COSINE,
    )
    noise = np.random.default_rng(13)
    shuffles = []
    for _ in range(20):
        scores = noise.permutation(len(run.docs)).astype(np.float32)
        shuffles.append(chance_map(Run(run.offsets, run.docs, scores), judged, ids))
    spread = 4 * float(np.std(shuffles))
    assert chance_map(run, judged, ids) == pytest.approx(float(np.mean(shuffles)), abs=spread)
    assert spread < 0.1


def small_integers(rows: int, *, seed: int, levels: int, width: int = 6) -> Float32Array:
    """Vectors whose products are integers, exact in any order, and often equal."""
    draw = np.random.default_rng(seed)
    return draw.integers(-levels, levels + 1, (rows, width)).astype(np.float32)


def best_by(scores: Float32Array, ids: list[str], depth: int) -> list[list[tuple[int, float]]]:
    """trec_eval's order, sorted the plain way."""
    return [
        [
            (row, float(line[row]))
            for row in sorted(
                range(len(ids)), key=lambda row, line=line: (line[row], ids[row]), reverse=True
            )[:depth]
        ]
        for line in scores
    ]


@pytest.mark.parametrize("levels", [0, 1, 20])
@pytest.mark.parametrize("depth", [1, 7, 150, 1000])
@pytest.mark.parametrize("blocks", [(2**13, 2**10, 2**22), (17, 3, 50)])
def test_repeats_and_ties_are_ranked_as_by_one_sort(
    monkeypatch: pytest.MonkeyPatch, levels: int, depth: int, blocks: tuple[int, int, int]
) -> None:
    """Texts that stand often, equal vectors of different texts, equal scores of other vectors."""
    monkeypatch.setattr(dense, "BLOCK_DOCUMENTS", blocks[0])
    monkeypatch.setattr(dense, "BLOCK_QUERIES", blocks[1])
    monkeypatch.setattr(collection_module, "EXPANDED", blocks[2])
    draw = np.random.default_rng(levels)
    left, right = (
        small_integers(8, seed=1, levels=levels),
        small_integers(90, seed=2, levels=levels),
    )
    right[40:60] = right[:20]
    index = draw.integers(0, 90, 200).astype(np.int32)
    index[:60] = 5
    asked = draw.integers(0, 8, 12).astype(np.int32)
    ids = draw.permutation(names(200)).tolist()
    run = search_vectors(
        Vectors(left, asked),
        Vectors(right, index),
        ids=strings(ids),
        similarity=Similarity.DOT,
        depth=depth,
    )
    assert as_lists(run) == best_by(left[asked] @ right[index].T, ids, depth)


def test_a_query_that_stands_twice_is_answered_twice() -> None:
    left = Vectors(random_vectors(3, seed=20), np.asarray([2, 0, 2], dtype=np.int32))
    run = search_vectors(
        left,
        each(random_vectors(30, seed=21)),
        ids=strings(names(30)),
        similarity=Similarity.DOT,
        depth=5,
    )
    found = as_lists(run)
    assert found[0] == found[2] != found[1]


def test_no_query_and_no_document() -> None:
    none, some = each(np.empty((0, 4), np.float32)), each(np.ones((3, 4), np.float32))
    how = {"similarity": Similarity.COSINE, "depth": 5}
    assert len(search_vectors(none, some, ids=strings("abc"), **how)) == 0
    assert as_lists(search_vectors(some, none, ids=strings(""), **how)) == [[], [], []]
    empty = candidates([[], [], []])
    run = rerank_vectors(some, none, empty, ids=strings(""), similarity=Similarity.DOT)
    assert as_lists(run) == [[], [], []]


@pytest.mark.parametrize("similarity", list(Similarity))
def test_products_beyond_float32_are_refused_with_their_texts(similarity: Similarity) -> None:
    left, right = random_vectors(3, seed=22), random_vectors(9, seed=23)
    left[1], right[4] = 1e19, 1e20
    index = np.asarray([0, 1, 2, 3, 5, 4, 4], dtype=np.int32)
    ids, two = strings("abcdefg"), (each(left), Vectors(right, index))
    if similarity is Similarity.DOT:
        with pytest.raises(ScoreError, match="query row 1 and document row 5 is inf"):
            search_vectors(*two, ids=ids, similarity=similarity, depth=1)
        return
    assert len(search_vectors(*two, ids=ids, similarity=similarity, depth=1)) == 3


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("repeats", [False, True])
def test_a_mapped_file_is_never_copied_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, similarity: Similarity, repeats: bool
) -> None:
    monkeypatch.setattr(dense, "BLOCK_DOCUMENTS", 256)
    rows, width = 12_000, 512
    stored = np.memmap(tmp_path / "vectors", np.float32, "w+", shape=(rows, width))
    stored[:] = random_vectors(rows, seed=24, width=width)
    stored.flush()
    mapped = np.memmap(tmp_path / "vectors", np.float32, "r", shape=(rows, width))
    index = np.arange(rows, dtype=np.int32)
    if repeats:
        index[::3] = 11
    queries, ids = each(random_vectors(40, seed=25, width=width)), strings(names(rows))
    tracemalloc.start()
    run = search_vectors(queries, Vectors(mapped, index), ids=ids, similarity=similarity, depth=9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < stored.nbytes / 2 == 12_288_000
    whole = Vectors(np.asarray(mapped).copy(), index)
    again = search_vectors(queries, whole, ids=ids, similarity=similarity, depth=9)
    assert as_lists(run) == as_lists(again)


@pytest.mark.parametrize("held", [2**21, 60])
@pytest.mark.parametrize("fair", [True, False])
@pytest.mark.parametrize("depth", [1, 20, 60])
def test_a_sample_spares_work_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, depth: int, fair: bool, held: int
) -> None:
    """Also one that sets the bar above all that there is, and where few queries are held."""
    monkeypatch.setattr(dense, "HELD_KEYS", held)
    left, right = random_vectors(30, seed=31), random_vectors(900, seed=32)
    right[200:300] = right[100:200]
    both, ids = (each(left), each(right)), strings(names(900))
    how = {"ids": ids, "similarity": Similarity.DOT, "depth": depth}
    plain = search_vectors(*both, **how)
    monkeypatch.setattr(dense, "SAMPLE", 100)
    if not fair:
        monkeypatch.setattr(dense, "_bar", lambda queries, *_: np.full(len(queries), 0.9e9, "f4"))
    sampled = search_vectors(*both, **how)
    np.testing.assert_array_equal(sampled.docs, plain.docs)
    np.testing.assert_allclose(sampled.scores, plain.scores, rtol=0, atol=1e-6)


def test_a_bar_lies_below_the_best_most_of_the_time() -> None:
    left, right = random_vectors(200, seed=33), random_vectors(20_000, seed=34)
    bar = dense._bar(left, right[::10], 50 / 20_000)
    best = np.sort(left @ right.T, axis=1)[:, -50]
    assert (bar <= best).mean() > 0.99
    assert (left @ right.T >= bar[:, None]).sum(axis=1).mean() < 400
