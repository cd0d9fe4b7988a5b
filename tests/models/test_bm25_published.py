"""BM25 against figures that others published or computed.

Run: pytest tests/models/test_bm25_published.py -q. The collections lie beside the repository;
without them these tests are skipped.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
from builders import SHARED, as_lists

from cmedteb.data import Access, Source, load_ranking, locate
from cmedteb.metrics import rank_run
from cmedteb.metrics.trec import read_qrels, read_run
from cmedteb.models.bm25 import Bm25
from cmedteb.types import RankingData, TaskType

# Lucene's default English stop words; StandardTokenizer's words (Unicode's word boundaries, as far
# as English text has them); what EnglishPossessiveFilter takes off.
# fmt: off
STOP_WORDS = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is",
    "it", "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there",
    "these", "they", "this", "to", "was", "will", "with",
])
# fmt: on
WORD = re.compile(r"[a-z0-9_]+(?:['.][a-z]+|[.,'][0-9]+|(?<=[a-z])[.':][a-z]+)*")


@cache
def porter(word: str) -> str:
    import snowballstemmer

    return str(snowballstemmer.stemmer("porter").stemWord(word))


def english(text: str) -> list[str]:
    """Anserini's English analyser: lower case, 33 stop words, Porter stems."""
    words = (word.removesuffix("'s") for word in WORD.findall(text.lower()))
    return [porter(word) for word in words if word not in STOP_WORDS]


def load(name: str) -> RankingData:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the collection {name} is not on this machine")
    located = locate(name, Source(kind="local"), Access(SHARED / name))
    return load_ranking(located, name=name, split="test", task_type=TaskType.RETRIEVAL)


def ranked(system: Bm25, data: RankingData, depth: int) -> dict[str, dict[str, float]]:
    ids = data.corpus.ids.to_pylist()
    found = as_lists(system.search(data.corpus, data.queries, depth))
    return {
        query: {ids[row]: score for row, score in result}
        for query, result in zip(data.queries.ids.to_pylist(), found, strict=True)
    }


def precision_at_30(run: dict[str, dict[str, float]], judged: dict[str, dict[str, int]]) -> float:
    return rank_run(run, judged, cutoffs=[30]).mean()["precision_at_30"]


def test_cacm_as_anserini_publishes_it() -> None:
    """MAP .3123, P30 .1942 (verbatim qrels), .3120 to .3239 and .1917 to .1968 in re-runs.

    Anserini rounds document lengths to one byte, so the last digits may differ.
    """
    data = load("cacm")
    run = ranked(Bm25(english), data, 1000)
    verbatim = read_qrels(SHARED / "cacm" / "qrels_anserini_verbatim.txt")
    corrected = read_qrels(SHARED / "cacm" / "qrels.tsv")
    assert len(verbatim) == len(corrected) == 52
    map_verbatim = rank_run(run, verbatim).mean()["map_at_1000"]
    assert map_verbatim == pytest.approx(0.3120, abs=0.0005)
    assert map_verbatim == pytest.approx(0.3123, abs=0.001)
    assert rank_run(run, corrected).mean()["map_at_1000"] == pytest.approx(0.3239, abs=0.0005)
    assert precision_at_30(run, verbatim) == pytest.approx(0.1917, abs=0.0005)
    assert precision_at_30(run, verbatim) == pytest.approx(0.1942, abs=0.003)
    assert precision_at_30(run, corrected) == pytest.approx(0.1968, abs=0.0005)


# trec_eval's name -> ours, for what trec_eval printed about the reference run.
MEASURES = {
    "ndcg_cut_10": "ndcg_at_10",
    "map_cut_10": "map_at_10",
    "map_cut_100": "map_at_100",
    "P_10": "precision_at_10",
    "recall_100": "recall_at_100",
    "success_1": "hit_rate_at_1",
}


@pytest.mark.parametrize("name", ["zh_med_mini", "kuake_qtr"])
def test_character_pairs_score_as_the_reference_run(name: str) -> None:
    """Another implementation's run over character pairs, scored by NIST's trec_eval."""
    data = load(name)
    folder = SHARED / name / "baseline_run"
    judged = read_qrels(folder / "qrels.trec.gz")
    run = ranked(Bm25("bigrams", k1=0.9, b=0.4), data, 100)
    means = rank_run(run, judged).mean()
    lines = (line.split() for line in (folder / "trec_eval.txt").read_text().splitlines())
    expected = {measure: float(value) for measure, query, value in lines if query == "all"}
    for theirs, ours in MEASURES.items():
        assert means[ours] == pytest.approx(expected[theirs], abs=0.002), ours
    reference = read_run(folder / "bm25.run.gz")
    shared_best = [max(reference[q], key=reference[q].get) in list(run[q])[:3] for q in reference]
    assert np.mean(shared_best) > 0.99
