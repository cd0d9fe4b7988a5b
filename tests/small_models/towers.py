"""Towers of the instruct family by a card written for them, and their authors' recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from builders import smoke_texts
from numpy.typing import NDArray
from small_models.card_files import write_card
from small_models.qwen3 import END

from cmedteb.models import ModelOptions, load_model
from cmedteb.models.instruct import Instruct

TEXTS = [*smoke_texts()[:5], "\u9ad8\u8840\u538b", "CT \u68c0\u67e5", "a", ""]
LONG = "\u8840\u538b" * 400
TASK = "Given a web search query, find passages"
QWEN3: dict[str, Any] = {
    "pooling": "last",
    "similarity": "cosine",
    "settings": {"normalize": True, "last_token": END, "padding_side": "left"},
    "prompts": {"query": "Instruct: {instruction}\nQuery:", "document": ""},
    "instructions": {"default": TASK},
}
BMRETRIEVER: dict[str, Any] = {
    "pooling": "last",
    "similarity": "dot",
    "max_length": 64,
    "settings": {"append_eos": True, "padding_side": "left"},
    "prompts": {
        "query": "{instruction}\nQuery: ",
        "document": "Represent this passage\npassage: ",
    },
}


def load_tower(folder: Path, options: dict[str, Any] | None = None, **fields: Any) -> Instruct:
    """Load a folder by a card that is written beside it."""
    said = {"name": "mine", "family": "instruct", "title": "x", "hf": str(folder)}
    card = write_card(folder.parent / f"{folder.name}.toml", **(said | fields))
    system = load_model(str(card), ModelOptions(**({"device": "cpu"} | (options or {}))))
    assert isinstance(system, Instruct)
    return system


def parts_of(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model, as authors load them."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer, AutoModel.from_pretrained(folder, dtype=torch.float32).eval()


def last_states(model: Any, rows: list[list[int]]) -> NDArray[Any]:
    """States of the last tokens, text by text, without padding."""
    import torch

    with torch.no_grad():
        states = [model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1] for ids in rows]
    return np.asarray(torch.stack(states).numpy())


def qwen3_recipe(folder: Path, texts: list[str], max_length: int = 256) -> NDArray[Any]:
    """As the usage example of Qwen3-Embedding: one batch, padded on the left."""
    import torch

    tokenizer, model = parts_of(folder)
    tokenizer.padding_side = "left"
    batch = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    with torch.no_grad():
        vectors = model(**batch).last_hidden_state[:, -1]
    return np.asarray(torch.nn.functional.normalize(vectors, p=2, dim=1).numpy())


def bmretriever_recipe(folder: Path, texts: list[str]) -> NDArray[Any]:
    """As BMRetriever's eval.py: cut to one less, end of sequence by hand, no normalisation."""
    import torch

    tokenizer, model = parts_of(folder)
    tokenizer.padding_side = "left"
    rows = tokenizer(texts, max_length=63, truncation=True, padding=False)["input_ids"]
    rows = [[*ids, tokenizer.eos_token_id] for ids in rows]
    batch = tokenizer.pad({"input_ids": rows}, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    return np.asarray(states[:, -1].numpy())
