"""A small model of the instruct family: Qwen3-Embedding's recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from small_models.card_files import write_card
from small_models.qwen3 import END, qwen3_folder

from cmedteb.models import ModelOptions


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A card with the weights beside it."""
    weights = qwen3_folder(folder / "small-qwen3")
    card = write_card(
        folder / "small-instruct.toml",
        name="small-instruct",
        family="instruct",
        title="A Qwen3 of two layers",
        hf=str(weights),
        pooling="last",
        similarity="cosine",
        settings={"normalize": True, "last_token": END, "padding_side": "left"},
        prompts={"query": "Instruct: {instruction}\nQuery:", "document": ""},
        instructions={"default": "Find passages that answer the question"},
    )
    yield str(card), ModelOptions(device="cpu")
