"""A small cross-encoder over BM25."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from small_models.cross_encoder import classifier_folder

from cmedteb.models import ModelOptions


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """It reranks five documents."""
    options = ModelOptions(device="cpu", first_stage="bm25", rerank_depth=5)
    yield str(classifier_folder(folder / "reranker")), options
