"""A small model of the pair family, by CARE's recipe: a BERT for queries, a Qwen3 for documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import bert_folder
from small_models.card_files import write_card
from small_models.qwen3 import END, qwen3_folder

from cmedteb.models import ModelOptions

DOCUMENT_WIDTH = 48
WIDTH = 32


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A card with the weights of both sides beside it."""
    bert_folder(folder / "query-bert", pooling="cls")
    qwen3_folder(folder / "document-qwen3", width=DOCUMENT_WIDTH, closed_by=None, eos=END)
    yield str(care_card(folder)), ModelOptions(device="cpu")


def care_card(folder: Path, **more: object) -> Path:
    """A card by CARE's recipe for the two folders `query-bert` and `document-qwen3`.

    Args:
        folder: where they lie.
        **more: fields of the card, or other values of them.
    """
    fields: dict[str, object] = {
        "name": "small-pair",
        "family": "pair",
        "title": "A BERT for queries, a Qwen3 for documents",
        "similarity": "dot",
        "dimension": WIDTH,
        "sts_sides": ["query", "document"],
        "prompts": {
            "query": "<instruct>{instruction}\n<query>",
            "document": "",
            "sts": "<instruct>{instruction}\n<query>",
        },
        "instructions": {
            "retrieval": "Find documents that answer the question.",
            "reranking": "Order documents by how they answer the question.",
            "sts": "Find similar text.",
        },
        "query": {
            "family": "instruct",
            "hf": str(folder / "query-bert"),
            "pooling": "cls",
            "max_length": 96,
            "settings": {"normalize": True, "truncate_dim": WIDTH},
        },
        "document": {
            "family": "instruct",
            "hf": str(folder / "document-qwen3"),
            "pooling": "last",
            "max_length": 80,
            "settings": {
                "normalize": True,
                "truncate_dim": WIDTH,
                "append_eos": True,
                "padding_side": "left",
            },
        },
    }
    return write_card(folder / "small-pair.toml", **(fields | more))
