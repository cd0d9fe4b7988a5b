"""Exact search with vectors: ours against mteb's loop and FAISS' own exact search.

    python perf/search.py [--queries 1000] [--documents 50000] [--dimension 384] [--depth 100]

Every arm searches the same seeded random vectors by dot product, in a process of its own. Timed is
the way from two matrices and the ids to what the harness goes on with: our arrays in trec_eval's
order, mteb's heaps of (score, id) for each query (its loop is given vectors and encodes nothing),
and the bare arrays of scores and numbers of `faiss.knn`, which knows no order of ties. `product` is
the matrix product alone, block by block: what no exact search undercuts. One JSON line: medians of
wall and processor seconds and of the peak above the vectors, the ratios to ours, and the mean kept
score of each arm, which must agree. Needs the extras `mteb` and `faiss`.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from _measure import ROUNDS, medians, quiet, ratios, report, since_start, spent, take_turns

if TYPE_CHECKING:
    from cmedteb.types import Float32Array

ARMS = ("cmedteb", "mteb", "faiss", "product")
SEED = 0
TOLERANCE = 1e-5
BLOCK = 2**13, 2**10


def main() -> None:
    """Measure, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {"queries": 1000, "documents": 50_000, "dimension": 384, "depth": 100}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = {name: getattr(arguments, name) for name in sizes}
    if arguments.arm:
        quiet()
        print(json.dumps(cost(arguments.arm, **sizes)))
        return
    given = [part for name, size in sizes.items() for part in (f"--{name}", str(size))]
    found = take_turns(__file__, ARMS, given, rounds=arguments.rounds)
    arms = {arm: medians(rounds) for arm, rounds in found.items()}
    keys = ["wall", "cpu", "added_peak_mib", "process"]
    compared = {arm: ratios(arms["cmedteb"], arms[arm], keys) for arm in ARMS[1:]}
    means = [arms[arm]["mean_score"] for arm in ("cmedteb", "mteb", "faiss")]
    if np.ptp(means) > TOLERANCE * abs(means[0]):
        raise SystemExit(f"the arms kept different scores, on average {means}: compare their runs")
    report("search", {**sizes, "rounds": arguments.rounds, **arms, "ratio": compared})


def cost(arm: str, queries: int, documents: int, dimension: int, depth: int) -> dict[str, Any]:
    """What one arm takes."""
    draw = np.random.default_rng(SEED)
    left = draw.standard_normal((queries, dimension), dtype=np.float32)
    right = draw.standard_normal((documents, dimension), dtype=np.float32)
    search = {"cmedteb": by_us, "mteb": by_mteb, "faiss": by_faiss, "product": by_nothing}[arm]
    return {**search(left, right, depth), "process": since_start()}


def by_us(left: Float32Array, right: Float32Array, depth: int) -> dict[str, float]:
    """Our search."""
    import pyarrow as pa

    from cmedteb.search import Vectors, search_vectors
    from cmedteb.types import Similarity

    ids = pa.chunked_array([pa.array(names(len(right)))])
    rows = [np.arange(len(side), dtype=np.int32) for side in (left, right)]
    with spent() as search:
        run = search_vectors(
            Vectors(left, rows[0]),
            Vectors(right, rows[1]),
            ids=ids,
            similarity=Similarity.DOT,
            depth=depth,
            device="cpu",
        )
    return {**vars(search), "mean_score": float(run.scores.mean(dtype=np.float64))}


def by_mteb(left: Float32Array, right: Float32Array, depth: int) -> dict[str, float]:
    """The loop of mteb's `SearchEncoderWrapper`, at its own chunk size."""
    import torch
    from datasets import Dataset
    from mteb.models.search_wrappers import chunked_full_corpus_search
    from mteb.tasks import NFCorpus

    texts = [""] * len(right)
    corpus = Dataset.from_dict({"id": names(len(right)), "text": texts, "title": texts})
    parts = iter(np.split(right, range(50_000, len(right), 50_000)))
    with spent() as search:
        heaps = chunked_full_corpus_search(
            task_corpus=corpus,
            corpus_chunk_size=50_000,
            query_idx_to_id={row: f"q{row}" for row in range(len(left))},
            query_embeddings=left,
            task_metadata=NFCorpus.metadata,
            hf_subset="default",
            hf_split="test",
            top_k=depth,
            encode_kwargs={"show_progress_bar": False},
            encode_fn=lambda _, **__: next(parts),
            similarity_fn=lambda one, two: torch.as_tensor(one) @ torch.as_tensor(two).T,
            search_k_offset=1,
        )
    scores = [score for heap in heaps.values() for score, _ in heap]
    return {**vars(search), "mean_score": float(np.mean(scores))}


def by_faiss(left: Float32Array, right: Float32Array, depth: int) -> dict[str, float]:
    """FAISS' exact search, without an index."""
    import faiss

    with spent() as search:
        metric = faiss.METRIC_INNER_PRODUCT
        scores, _ = faiss.knn(left, right, min(depth, len(right)), metric=metric)
    return {**vars(search), "mean_score": float(scores.mean(dtype=np.float64))}


def by_nothing(left: Float32Array, right: Float32Array, depth: int) -> dict[str, float]:
    """The products alone; nothing is kept."""
    del depth
    largest = -np.inf
    with spent() as search:
        for start in range(0, len(right), BLOCK[0]):
            block = right[start : start + BLOCK[0]].T
            for first in range(0, len(left), BLOCK[1]):
                largest = max(largest, float((left[first : first + BLOCK[1]] @ block)[0, 0]))
    return vars(search)


def names(count: int) -> list[str]:
    """Ids of documents."""
    return [f"d{row:07d}" for row in range(count)]


if __name__ == "__main__":
    main()
