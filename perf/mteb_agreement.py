"""Do our scores equal mteb's? Runs both on the same data sets with the same model.

    python perf/mteb_agreement.py MODEL_FOLDER DATA_FOLDER...

MODEL_FOLDER is a sentence-transformers model, each DATA_FOLDER a data set in the local layout.
Prints one JSON line a data set: how many score keys both give, the largest difference over them
and where it stands, and every key that differs by more than 1e-5. Needs the extras `models` and
`mteb`; opens no connection.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from _measure import report

DEPTH = 1000
TOLERANCE = 1e-5


def main() -> None:
    """Run both harnesses on every data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=None, help="only the first N queries or pairs")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    for folder in arguments.data:
        ours = score_ours(arguments.model, folder, arguments.limit)
        theirs = score_theirs(arguments.model, folder, arguments.limit)
        report("mteb_agreement", {"data": folder.name, **compared(ours, theirs)})


def score_ours(model: Path, folder: Path, limit: int | None) -> dict[str, float]:
    """Every score that cmedteb gives."""
    import cmedteb

    result = cmedteb.evaluate(str(model), tasks=[str(folder)], depth=DEPTH, limit=limit)[0]
    return result.values


def score_theirs(model: Path, folder: Path, limit: int | None) -> dict[str, Any]:
    """Every score that mteb gives."""
    import mteb
    from sentence_transformers import SentenceTransformer

    from cmedteb.data import Access
    from cmedteb.interop.mteb import as_task
    from cmedteb.tasks import from_folder

    task = from_folder(folder)
    converted = as_task(task.card, task.load(Access(), limit=limit))
    with tempfile.TemporaryDirectory() as scratch:
        outcome = mteb.evaluate(
            SentenceTransformer(str(model), device="cpu"),
            converted,
            cache=mteb.ResultCache(scratch),
            show_progress_bar=False,
        )
    return dict(outcome.task_results[0].scores[task.card.split][0])


def compared(ours: dict[str, float], theirs: dict[str, Any]) -> dict[str, Any]:
    """The largest difference over all keys that both give."""
    common = sorted(
        key
        for key in set(ours) & set(theirs)
        if isinstance(theirs[key], float) and key != "main_score"
    )
    gaps = {key: abs(ours[key] - theirs[key]) for key in common}
    worst = max(gaps, key=lambda key: gaps[key])
    return {
        "keys": len(common),
        "largest_difference": gaps[worst],
        "at": worst,
        "above_1e-5": {key: gap for key, gap in gaps.items() if gap > TOLERANCE},
    }


if __name__ == "__main__":
    main()
