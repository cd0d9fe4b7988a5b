"""BM25 and a small BERT, fused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import bert_folder

from cmedteb.models import ModelOptions


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """Min-max fusion with other weights than 1."""
    bert = bert_folder(folder / "fused-bert")
    options = ModelOptions(device="cpu", fusion_weights=(0.6, 0.4))
    yield f"fusion:bm25+{bert}", options
