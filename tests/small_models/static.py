"""Static embeddings: a seeded table of token vectors whose mean stands for a text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builders import bert_folder

from cmedteb.models import ModelOptions

WIDTH = 32


def static_module(bert: Path, *, seed: int = 0, width: int = WIDTH) -> Any:
    """A table for the tokens of a BERT's tokenizer."""
    import torch
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(len(tokenizer), width, generator=generator)
    return StaticEmbedding(tokenizer, embedding_weights=weights)


def static_folder(folder: Path, *, half: bool = False, **configuration: Any) -> Path:
    """Save static embeddings as sentence-transformers does.

    Args:
        folder: where to; made.
        half: keep the table in float16.
        **configuration: more of config_sentence_transformers.json.
    """
    from sentence_transformers import SentenceTransformer

    module = static_module(bert_folder(folder.parent / f"{folder.name}-bert"))
    model = SentenceTransformer(modules=[module.half() if half else module], device="cpu")
    model.save_pretrained(str(folder))
    extend(folder / "config_sentence_transformers.json", **configuration)
    return folder


def extend(path: Path, **entries: Any) -> None:
    """Write more entries into a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | entries), encoding="utf-8")


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """What `load_model` takes for such a model."""
    yield str(static_folder(folder / "static")), ModelOptions(device="cpu")
