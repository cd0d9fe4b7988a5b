"""The content hash (run: `pytest tests/data/test_identity.py`).

It is the same for the same set however it is stored, and another for any change that can move a
score. Degenerate inputs: texts that move across a row's border.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cmedteb.data import pairs_hash, ranking_hash

Load = Callable[..., Any]
CORPUS = [{"_id": "d1", "text": "one"}, {"_id": "d2", "text": "two"}]
SUFFIXES = [".jsonl", ".jsonl.gz", ".parquet", ".json"]


def ranking_content(make: Load, ranking: Load, name: str, **files: Any) -> str:
    named = {key.replace("_", ".", 1): value for key, value in files.items()}
    data = ranking(make({"corpus.jsonl": CORPUS, "qrels.tsv": "q1\td1\t1\n"} | named, name=name))
    return str(data.provenance.content_hash)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_storage_does_not_count(make: Load, ranking: Load, suffix: str) -> None:
    plain = ranking_content(make, ranking, "plain")
    folder = make({"qrels.tsv": "q1\td1\t1\n", f"corpus{suffix}": CORPUS}, name=suffix)
    if suffix != ".jsonl":
        (folder / "corpus.jsonl").unlink()
    assert ranking(folder).provenance.content_hash == plain


CHANGES: dict[str, dict[str, Any]] = {
    "a text": {"corpus_jsonl": [CORPUS[0], {"_id": "d2", "text": "two."}]},
    "an id": {"corpus_jsonl": [CORPUS[0], {"_id": "d3", "text": "two"}]},
    "the order of documents": {"corpus_jsonl": CORPUS[::-1]},
    "one document less": {"corpus_jsonl": CORPUS[:1]},
    "a query": {"queries_jsonl": [{"_id": "q1", "text": "First"}]},
    "a grade": {"qrels_tsv": "q1\td1\t2\n"},
    "a judgement of 0": {"qrels_tsv": "q1\td1\t1\nq1\td2\t0\n"},
    "a judged document": {"qrels_tsv": "q1\td2\t1\n"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_counts(make: Load, ranking: Load, change: str) -> None:
    plain = ranking_content(make, ranking, "plain")
    assert ranking_content(make, ranking, "changed", **CHANGES[change]) != plain


def test_text_that_moves_across_a_border_counts(make: Load, ranking: Load) -> None:
    moved = [{"_id": "d1", "text": "onet"}, {"_id": "d2", "text": "wo"}]
    plain = ranking_content(make, ranking, "plain")
    assert ranking_content(make, ranking, "moved", corpus_jsonl=moved) != plain


def test_candidates_count_and_their_order_does_not(make: Load, reranking: Load) -> None:
    def hash_of(name: str, docs: list[str]) -> str:
        lists = [{"query-id": "q1", "corpus-ids": docs}]
        files = {"qrels.tsv": "q1\td1\t1\n", "top_ranked.jsonl": lists}
        return str(reranking(make(files, name=name)).provenance.content_hash)

    assert hash_of("a", ["d1", "d2"]) == hash_of("b", ["d2", "d1"])
    assert hash_of("a", ["d1", "d2"]) != hash_of("c", ["d1", "d3"])


def test_pairs(make: Load, sts: Load) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "score": score} for score in (0, 1, 2)]
    sets = {
        name: sts(make({f"pairs{suffix}": content}, bare=True, name=name)).provenance.content_hash
        for name, suffix, content in [
            ("jsonl", ".jsonl", rows),
            ("parquet", ".parquet", rows),
            ("gold", ".jsonl", [*rows[:2], {**rows[2], "score": 3}]),
            ("sides", ".jsonl", [*rows[:2], {**rows[2], "sentence1": "b", "sentence2": "a"}]),
        ]
    }
    assert sets["jsonl"] == sets["parquet"]
    assert len(set(sets.values())) == 3


def test_it_can_be_computed_from_what_was_loaded(make: Load, ranking: Load, sts: Load) -> None:
    data = ranking(make())
    computed = ranking_hash(data.corpus, data.queries, data.qrels, data.candidates)
    assert computed == data.provenance.content_hash
    rows = [{"sentence1": "a", "sentence2": "b", "score": score} for score in (0, 1)]
    pairs = sts(make({"pairs.jsonl": rows}, bare=True, name="pairs"))
    assert pairs_hash(pairs.pairs) == pairs.provenance.content_hash
