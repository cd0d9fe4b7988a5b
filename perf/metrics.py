"""Ranking measures: ours from arrays, against pytrec_eval and mteb from dictionaries.

    python perf/metrics.py [--queries 4000] [--depth 1000] [--rounds 3]

Every arm scores the same seeded run (rows in order; a second time with scores so coarse that every
row has ties) at k = 1, 3, 5, 10, 20, 100, 1000, in a process of its own. What the peers' arms need
as dictionaries is built outside their time and stated apart. pytrec_eval computes what we compute;
mteb's function adds its nAUC. One JSON line: medians of processor seconds, the ratios, and the
largest difference of any query's value from pytrec_eval's. Needs the extra `mteb`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from _measure import ROUNDS, medians, quiet, report, spent, take_turns

from cmedteb.metrics import CUTOFFS, QueryScores, score_run
from cmedteb.metrics.trec import iter_rankings
from cmedteb.types import Qrels, Run

DOCUMENTS = 100_000
RELEVANT = 2
ARMS = ("cmedteb", "pytrec_eval", "mteb")
SEED = 0


def main() -> None:
    """Measure, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--depth", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--ties", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = arguments.queries, arguments.depth
    if arguments.arm:
        quiet()
        print(json.dumps(cost(arguments.arm, *size, ties=arguments.ties)))
        return
    line: dict[str, Any] = {"queries": size[0], "depth": size[1], "rounds": arguments.rounds}
    for name, flags in (("distinct", []), ("ties", ["--ties"])):
        given = ["--queries", str(size[0]), "--depth", str(size[1]), *flags]
        found = take_turns(__file__, ARMS, given, rounds=arguments.rounds)
        arms = {arm: medians(rounds) for arm, rounds in found.items()}
        own = arms["cmedteb"]["cpu"]
        ratio = {arm: round(arms[arm]["cpu"] / own, 1) for arm in ARMS[1:]}
        line[name] = {**arms, "ratio": ratio}
    report("metrics", line)


def make(queries: int, depth: int, *, ties: bool) -> tuple[Run, Qrels, list[str], list[str]]:
    """A run in order, and for each query one judged document that it has and one it may lack."""
    rng = np.random.default_rng(SEED)
    docs = np.stack([rng.choice(DOCUMENTS, depth, replace=False) for _ in range(queries)])
    scores = rng.standard_normal((queries, depth)).astype(np.float32)
    scores = -np.sort(-(np.round(scores, 2) if ties else scores), axis=1)
    there = docs[np.arange(queries), rng.integers(0, depth, queries)]
    other = (there + rng.integers(1, DOCUMENTS, queries)) % DOCUMENTS
    judged = np.stack([there, other], axis=1).astype(np.int32)
    grades = rng.integers(1, 4, judged.shape).astype(np.int32)
    offsets = np.arange(queries + 1, dtype=np.int64)
    return (
        Run(offsets * depth, docs.astype(np.int32).ravel(), scores.ravel()),
        Qrels(offsets * RELEVANT, judged.ravel(), grades.ravel()),
        [f"q{row}" for row in range(queries)],
        [f"d{row}" for row in range(DOCUMENTS)],
    )


def cost(arm: str, queries: int, depth: int, *, ties: bool) -> dict[str, Any]:
    """Processor seconds of one arm; ours is checked against pytrec_eval outside its time."""
    run, qrels, query_ids, doc_ids = make(queries, depth, ties=ties)
    if arm == "cmedteb":
        with spent() as scoring:
            scores = score_run(run, qrels, query_ids=query_ids, doc_ids=doc_ids, depth=None)
        gap = checked(scores, run, qrels, query_ids, doc_ids)
        peak = scoring.added_peak_mib
        return {"cpu": scoring.cpu, "added_peak_mib": peak, "largest_difference": gap}
    judgements = Run(qrels.offsets, qrels.docs, qrels.grades.astype(np.float32))
    rows = iter_rankings(judgements, query_ids=query_ids, doc_ids=doc_ids)
    judged = {query: {doc: int(grade) for doc, grade in row.items()} for query, row in rows}
    with spent() as building:
        results = dict(iter_rankings(run, query_ids=query_ids, doc_ids=doc_ids))
    score = by_pytrec_eval if arm == "pytrec_eval" else by_mteb
    return {"cpu": score(results, judged), "dictionaries_cpu": building.cpu}


def checked(
    scores: QueryScores, run: Run, qrels: Qrels, query_ids: list[str], doc_ids: list[str]
) -> float:
    """The largest difference from pytrec_eval over all values; an error beyond 1e-9."""
    from cmedteb.metrics.oracle import verify_run

    return verify_run(scores, run, qrels, query_ids=query_ids, doc_ids=doc_ids)


def by_pytrec_eval(results: dict[str, Any], judged: dict[str, Any]) -> float:
    """The same measures by the wrapper of trec_eval's C code."""
    import pytrec_eval

    ranks = ",".join(map(str, CUTOFFS))
    names = {f"{name}.{ranks}" for name in ("ndcg_cut", "map_cut", "recall", "P", "success")}
    with spent() as scoring:
        evaluator = pytrec_eval.RelevanceEvaluator(judged, names | {"recip_rank"})
        evaluator.evaluate(results)
    return scoring.cpu


def by_mteb(results: dict[str, Any], judged: dict[str, Any]) -> float:
    """What `mteb.evaluate` calls when a search is done."""
    from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores

    with spent() as scoring:
        calculate_retrieval_scores(results, judged, CUTOFFS)
    return scoring.cpu


if __name__ == "__main__":
    main()
