"""BM25: documents indexed and queries answered in a second, ours against bm25s.

    python perf/bm25.py DATA_FOLDER [--queries 2000] [--depth 1000] [--rounds 3]

DATA_FOLDER is a retrieval set in the local layout. Both arms use our default tokeniser (character
bigrams; bm25s's own takes a whole Chinese clause as one word), k1 = 0.9, b = 0.4 and
Lucene's formula. Tokenising is timed with each. Without bm25s the line has our figures and says
why the peer's are missing; where it is installed, the share of equal documents among the first ten
of each query is given too. One JSON line; wall seconds, medians.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _measure import ROUNDS, medians, quiet, report, spent, take_turns

if TYPE_CHECKING:
    from cmedteb.types import RankingData

K1, B = 0.9, 0.4


def main() -> None:
    """Measure, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", choices=("cmedteb", "bm25s"), help=argparse.SUPPRESS)
    parser.add_argument("--top", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        quiet()
        data = load(arguments.data, arguments.queries)
        answer = ours if arguments.arm == "cmedteb" else theirs
        cost, top = answer(data, arguments.depth)
        np.save(arguments.top / f"{arguments.arm}.npy", top[:, :10])
        print(json.dumps(cost))
        return
    arms = ["cmedteb", "bm25s"] if find_spec("bm25s") else ["cmedteb"]
    with tempfile.TemporaryDirectory() as scratch:
        sizes = ["--queries", str(arguments.queries), "--depth", str(arguments.depth)]
        given = [str(arguments.data), *sizes, "--top", scratch]
        found = take_turns(__file__, arms, given, rounds=arguments.rounds)
        line: dict[str, Any] = {arm: medians(rounds) for arm, rounds in found.items()}
        if "bm25s" in arms:
            line["ratio"] = {
                key: round(line["cmedteb"][key] / line["bm25s"][key], 2)
                for key in ("index_documents_per_second", "queries_per_second")
            }
            tops = [np.load(Path(scratch) / f"{arm}.npy") for arm in arms]
            line["same_in_top_10"] = round(overlap(*tops), 4)
        else:
            line["bm25s"] = "not installed: pip install bm25s"
    report("bm25", {"data": arguments.data.name, "rounds": arguments.rounds, **line})


def load(folder: Path, queries: int) -> RankingData:
    """The data set, the first queries only."""
    from cmedteb.data import Access
    from cmedteb.tasks import RetrievalTask, from_folder

    task = from_folder(folder)
    if isinstance(task, RetrievalTask):
        return task.load(Access(), limit=queries)
    raise SystemExit(f"{folder} is no retrieval set")


def ours(data: RankingData, depth: int) -> tuple[dict[str, float], Any]:
    """Index and search, ties settled as everywhere."""
    from cmedteb.models.bm25 import Bm25

    with spent() as index:
        engine = Bm25(k1=K1, b=B).indexed(data.corpus)
    with spent() as search:
        run = engine.search(data.corpus, data.queries, depth)
    return rates(data, index.wall, search.wall), run.docs.reshape(len(run), -1)


def theirs(data: RankingData, depth: int) -> tuple[dict[str, float], Any]:
    """The same with bm25s, from our tokens."""
    from importlib import import_module

    from cmedteb.models.tokenize import TOKENIZERS

    tokens = TOKENIZERS["bigrams"]
    bm25s: Any = import_module("bm25s")
    engine = bm25s.BM25(method="lucene", k1=K1, b=B)
    with spent() as index:
        engine.index([tokens(text) for text in data.corpus.texts], show_progress=False)
    with spent() as search:
        asked = [tokens(text) for text in data.queries.texts]
        found = engine.retrieve(asked, k=min(depth, len(data.corpus)), show_progress=False)
    return rates(data, index.wall, search.wall), found.documents.astype(np.int32)


def rates(data: RankingData, index: float, search: float) -> dict[str, float]:
    """What is reported of an arm."""
    return {
        "documents": len(data.corpus),
        "queries": len(data.queries),
        "index_seconds": index,
        "search_seconds": search,
        "index_documents_per_second": len(data.corpus) / index,
        "queries_per_second": len(data.queries) / search,
    }


def overlap(left: Any, right: Any) -> float:  # noqa: ANN401  arrays
    """The mean share of documents that both have in a row."""
    shared = [len(set(a) & set(b)) / len(a) for a, b in zip(left, right, strict=True)]
    return float(np.mean(shared))


if __name__ == "__main__":
    main()
