"""A seeded BERT of two layers with mean pooling, and with prompts of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import bert_folder

from cmedteb.models import ModelOptions

PROMPTS = {"query": "\u95ee: ", "document": "\u7b54: "}


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """What `load_model` takes for such a model."""
    yield (
        str(bert_folder(folder / "dense", pooling="mean", prompts=PROMPTS)),
        ModelOptions(device="cpu"),
    )
