"""From texts to vectors, checked on the way. Run: pytest tests/encoding/test_pipeline.py -q."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import strings, text_column

from cmedteb.encoding import Encoded, VectorStore, encode_distinct, planned
from cmedteb.errors import ScoreError
from cmedteb.models.hashing import Hashing
from cmedteb.types import Float32Array, TextColumn

TEXTS = ["bb", "a", "cccc", "a", "bb", "ddd", ""]


def lengths(texts: Sequence[str]) -> Float32Array:
    """An encoder whose vectors can be told from the texts."""
    return np.asarray([[len(text), sum(map(ord, text))] for text in texts], dtype=np.float32)


def encode(
    encoder: Callable[[Sequence[str]], Any], texts: list[str], *, budget: int = 4
) -> Float32Array:
    return encode_distinct(planned(encoder, budget=budget), text_column(texts)).vectors


@pytest.mark.parametrize("budget", [1, 4, 1000])
def test_each_row_gets_the_vector_of_its_text(budget: int) -> None:
    column = text_column(TEXTS)
    vectors = encode_distinct(planned(lengths, budget=budget), column).vectors
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[column.index], lengths(TEXTS))


def test_each_distinct_text_is_encoded_once() -> None:
    seen: list[str] = []

    def watch(texts: Sequence[str]) -> Float32Array:
        seen.extend(texts)
        return lengths(texts)

    encode(watch, TEXTS)
    assert sorted(seen) == sorted(set(TEXTS))


def test_progress_counts_every_distinct_text() -> None:
    told: list[int] = []
    encode_distinct(planned(lengths, budget=4), text_column(TEXTS), on_batch=told.append)
    assert told == [1, 1, 2, 1]


def test_a_real_encoder_gives_the_same_in_any_batches() -> None:
    encoder = Hashing(dimension=64)
    together = encode(encoder.encode_queries, TEXTS, budget=1000)
    np.testing.assert_array_equal(encode(encoder.encode_queries, TEXTS, budget=1), together)


def test_texts_in_several_chunks() -> None:
    chunked = strings(["a", "bb"]).chunks + strings(["ccc"]).chunks
    import pyarrow as pa

    column = TextColumn(pa.chunked_array(chunked), np.asarray([2, 0, 1], dtype=np.int32))
    vectors = encode_distinct(planned(lengths, budget=3), column).vectors
    assert vectors[column.index, 0].tolist() == [3, 1, 2]


def test_no_texts_no_vectors() -> None:
    assert encode(lengths, []).shape == (0, 0)


@pytest.mark.parametrize(
    "broken",
    [
        lambda texts: lengths(texts)[:-1],
        lambda texts: lengths([*texts, "more"]),
        lambda texts: lengths(texts)[:, 0],
        lambda texts: np.empty((len(texts), 0)),
        lambda _: np.float32(1),
    ],
    ids=["a row too few", "a row too many", "one dimension", "no width", "a number"],
)
def test_a_wrong_shape_is_refused(broken: Callable[[Sequence[str]], Any]) -> None:
    with pytest.raises(ScoreError, match=r"array of shape .* one vector of one width"):
        encode(broken, TEXTS)


def test_a_width_that_changes_between_batches_is_refused() -> None:
    with pytest.raises(ScoreError, match=r"shape \(1, 4\) for 1 texts, not \(1, 5\)"):
        encode(lambda texts: np.ones((len(texts), 1 + max(map(len, texts)))), ["cccc", "ddd"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_with_its_text(bad: float) -> None:
    def broken(texts: Sequence[str]) -> Float32Array:
        vectors = lengths(texts)
        vectors[[text == "ddd" for text in texts]] = bad
        return vectors

    with pytest.raises(ScoreError, match="starts with text 3"):
        encode(broken, TEXTS)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_value_beyond_float32_is_refused() -> None:
    with pytest.raises(ScoreError, match="NaN or infinity"):
        encode(lambda texts: np.full((len(texts), 2), 1e300), TEXTS)


def test_a_source_that_leaves_a_text_out_is_refused() -> None:
    def source(texts: Any) -> Iterator[Encoded]:
        yield Encoded(np.arange(len(texts) - 1), np.ones((len(texts) - 1, 2), dtype=np.float32))

    with pytest.raises(ScoreError, match="no vector for 1 of 5 texts, of which text 4"):
        encode_distinct(source, text_column(TEXTS))


def test_what_the_store_holds_is_not_encoded_again(tmp_path: Path) -> None:
    column = text_column(TEXTS)
    first = encode_distinct(planned(lengths, budget=4), column, store=store(tmp_path))
    assert (first.encoded, first.reused) == (5, 0)
    seen: list[str] = []

    def watch(texts: Sequence[str]) -> Float32Array:
        seen.extend(texts)
        return lengths(texts)

    more = text_column([*TEXTS, "new", "newer"])
    second = encode_distinct(planned(watch, budget=4), more, store=store(tmp_path))
    assert sorted(seen) == ["new", "newer"]
    assert (second.encoded, second.reused) == (2, 5)
    np.testing.assert_array_equal(second.vectors[more.index], lengths(list(more)))


def test_what_came_before_an_error_is_kept(tmp_path: Path) -> None:
    def fails_late(texts: Sequence[str]) -> Float32Array:
        if "a" in texts:
            raise RuntimeError("the connection is gone")
        return lengths(texts)

    with pytest.raises(RuntimeError, match="gone"):
        encode_distinct(planned(fails_late, budget=1), text_column(TEXTS), store=store(tmp_path))
    again = encode_distinct(planned(lengths, budget=1), text_column(TEXTS), store=store(tmp_path))
    assert (again.encoded, again.reused) == (2, 3)


def test_a_vector_that_is_refused_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ScoreError):
        encode_distinct(
            planned(lambda texts: np.full((len(texts), 2), np.nan), budget=9),
            text_column(TEXTS),
            store=store(tmp_path),
        )
    again = encode_distinct(planned(lengths, budget=1), text_column(TEXTS), store=store(tmp_path))
    assert again.reused == 0


def store(folder: Path) -> VectorStore:
    return VectorStore(folder, {"model": "lengths"})
