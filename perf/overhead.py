"""What does a harness take when the model costs nothing? cmedteb against mteb, the same data.

    python perf/overhead.py [--documents 25000,50000,...] [--queries 4000] [--dimension 768]

A retrieval set is written once to parquet files. The "model" looks a vector up: each text is its
row number, each vector the sum of two rows of a seeded table. Both harnesses read the same files,
ask the same vectors, rank to depth 1,000 and compute their scores; mteb's task reads the files
straight into its data sets, without the cache that it would make from the hub.

For every size one JSON line: medians of wall and processor seconds, of the same outside the score
matrix product (the encoder's own seconds, and those of one plain product of the same shape, are
taken off), of the whole process with its imports, added peak memory, the ratios, and the largest
difference of any score (mteb rounds to five digits). Needs the
extras `models` and `mteb`; opens no connection.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _measure import ROUNDS, medians, quiet, ratios, report, since_start, spent, take_turns

if TYPE_CHECKING:
    from cmedteb.types import Float32Array

DEPTH = 1000
TABLE = 4096
BLOCK = 512
STEP = 32
COSTS = ("process_wall", "wall", "cpu", "wall_outside", "cpu_outside", "added_peak_mib")


class FreeEncoder:
    """Vectors of rows, for next to nothing; it keeps its own time."""

    similarity = "dot"

    def __init__(self, dimension: int) -> None:
        rng = np.random.default_rng(0)
        self.table = rng.standard_normal((TABLE, dimension), dtype=np.float32)
        self.table /= np.sqrt(2.0 * dimension)
        self.wall = self.cpu = 0.0

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """One row number a text."""
        wall, cpu = time.perf_counter(), time.process_time()
        rows = np.fromiter(map(int, texts), dtype=np.int64, count=len(texts))
        vectors = self.table[rows % TABLE]
        for start in range(0, len(rows), STEP):  # the second summand stays in the processor's cache
            part = slice(start, start + STEP)
            vectors[part] += self.table[(rows[part] // TABLE * 613 + 7) % TABLE]
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """The same."""
        return self.encode_documents(texts)


def main() -> None:
    """Measure every size, or be one arm of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", default="25000,50000,100000,400000")
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--arm", choices=("cmedteb", "mteb"), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        quiet()
        run = run_ours if arguments.arm == "cmedteb" else run_mteb
        print(json.dumps(costs(run, arguments.data, arguments.dimension)))
        return
    for documents in map(int, arguments.documents.split(",")):
        measure(documents, arguments.queries, arguments.dimension, arguments.rounds)


def measure(documents: int, queries: int, dimension: int, rounds: int) -> None:
    """Both arms on one size."""
    with tempfile.TemporaryDirectory() as scratch:
        write_data(Path(scratch), documents, queries)
        given = ["--data", scratch, "--dimension", str(dimension)]
        found = take_turns(__file__, ("cmedteb", "mteb"), given, rounds=rounds)
    ours, theirs = medians(found["cmedteb"]), medians(found["mteb"])
    scores, others = ours.pop("scores"), theirs.pop("scores")
    common = sorted(set(scores) & set(others))
    line = {
        "documents": documents,
        "queries": queries,
        "dimension": dimension,
        "rounds": rounds,
        "cmedteb": ours,
        "mteb": theirs,
        "ratio": ratios(ours, theirs, COSTS),
        "scores_compared": len(common),
        "largest_difference": max(abs(scores[key] - others[key]) for key in common),
        "ndcg_at_10": scores["ndcg_at_10"],
    }
    report("overhead", line)


def write_data(folder: Path, documents: int, queries: int) -> None:
    """A local data set: query i asks for the document i * 7 modulo their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"d{row}" for row in range(documents)]
    texts = [str(row) for row in range(documents)]
    pq.write_table(pa.table({"_id": names, "text": texts}), folder / "corpus.parquet")
    # A query shares one of its document's two summands, so the document is near, not on top.
    wanted = [row * 7 % documents for row in range(queries)]
    texts = [str(row + TABLE * (10_000 + number)) for number, row in enumerate(wanted)]
    names = [f"q{number}" for number in range(queries)]
    pq.write_table(pa.table({"_id": names, "text": texts}), folder / "queries.parquet")
    lines = (f"q{number}\td{row}\t1\n" for number, row in enumerate(wanted))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))


def costs(run: Any, folder: Path, dimension: int) -> dict[str, Any]:  # noqa: ANN401  one of two
    """What one harness takes, imports left out."""
    encoder = FreeEncoder(dimension)
    evaluate = run(folder, encoder)
    with spent() as whole:
        scores = evaluate()
    process_wall = since_start()
    product = plain_product(folder, encoder)
    return {
        "process_wall": process_wall,
        "wall": whole.wall,
        "cpu": whole.cpu,
        "wall_outside": whole.wall - encoder.wall - product[0],
        "cpu_outside": whole.cpu - encoder.cpu - product[1],
        "encoder_wall": encoder.wall,
        "product_wall": product[0],
        "added_peak_mib": whole.added_peak_mib,
        "scores": scores,
    }


def run_ours(folder: Path, encoder: FreeEncoder) -> Any:  # noqa: ANN401  a function
    """The whole of `cmedteb.evaluate`, reading the files included."""
    import pandas  # type: ignore[import-untyped]  # noqa: F401  pyarrow loads it when it first meets NumPy
    import pyarrow.compute
    import pyarrow.json
    import pyarrow.parquet  # noqa: F401  imports are left out of both arms
    import torch  # noqa: F401  what a real encoder has loaded by then

    from cmedteb import evaluate as evaluate_ours

    def evaluate() -> dict[str, float]:
        return evaluate_ours(encoder, tasks=[str(folder)], depth=DEPTH)[0].values

    return evaluate


def run_mteb(folder: Path, encoder: FreeEncoder) -> Any:  # noqa: ANN401  a function
    """The whole of `mteb.evaluate`, reading the files included."""
    import mteb
    import sentence_transformers  # noqa: F401  what mteb would load late
    from _mteb import as_model, file_task

    model, task = as_model(encoder), file_task(folder)

    def evaluate() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as scratch:
            cache = mteb.ResultCache(scratch)
            found = mteb.evaluate(model, task, cache=cache, show_progress_bar=False)
        scores = found.task_results[0].scores["test"][0]
        return {key: value for key, value in scores.items() if isinstance(value, float)}

    return evaluate


def plain_product(folder: Path, encoder: FreeEncoder) -> tuple[float, float]:
    """Wall and processor seconds of the score matrix alone, in blocks; the best of three."""
    import pyarrow.parquet as pq
    import torch

    sides: list[Any] = [
        torch.from_numpy(encoder.encode_documents(pq.read_table(path)["text"].to_pylist()))
        for path in (folder / "queries.parquet", folder / "corpus.parquet")
    ]
    out = torch.empty(BLOCK, len(sides[1]))
    taken = []
    for _ in range(3):
        with spent() as product:
            for block in sides[0].split(BLOCK):
                torch.mm(block, sides[1].T, out=out[: len(block)])
        taken.append((product.wall, product.cpu))
    return min(taken)


if __name__ == "__main__":
    main()
