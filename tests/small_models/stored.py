"""A small BERT whose vectors are cut to 16 dimensions and stored in one bit each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import bert_folder

from cmedteb.models import ModelOptions


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """Cut, quantised and rescored: all that storage can be."""
    options = ModelOptions(device="cpu", truncate_dim=16, quantize="binary", rescore=True)
    yield str(bert_folder(folder / "stored-bert")), options
