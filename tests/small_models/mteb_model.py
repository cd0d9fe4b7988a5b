"""Small models in mteb's registry: a BERT with prompts, and a reranker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import bert_folder

from cmedteb.models import ModelOptions

PROMPTS = {
    "query": "q: ",
    "document": "d: ",
    "STS": "s: ",
    "Reranking-query": "r: ",
    "CmedqaRetrieval-query": "cmedqa: ",
}


@contextmanager
def registered(name: str, loader: Callable[..., Any], **fields: Any) -> Iterator[str]:
    """A model that mteb knows for as long as this is open; gives what `-m` takes."""
    from mteb.models import ModelMeta
    from mteb.models.model_implementations import MODEL_REGISTRY

    stated = {
        **ModelMeta.create_empty().model_dump(),
        "name": name,
        "revision": "7",
        "loader": loader,
        "similarity_fn_name": "cosine",
    }
    meta = ModelMeta(**{**stated, **fields})
    MODEL_REGISTRY[name] = meta
    try:
        yield f"mteb:{name}"
    finally:
        del MODEL_REGISTRY[name]


def encoder_of(folder: Path) -> Callable[..., Any]:
    """A loader as mteb's registry has them: by name and revision, here of one folder."""
    from mteb.models import SentenceTransformerEncoderWrapper

    def tiny_encoder(name: str, revision: str | None = None, **settings: Any) -> Any:
        return SentenceTransformerEncoderWrapper(str(folder), **settings)

    return tiny_encoder


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A BERT whose prompts are chosen as mteb chooses them."""
    pytest.importorskip("mteb", reason="mteb is not installed")
    bert = bert_folder(folder / "mteb-bert", prompts=PROMPTS)
    with registered("small/bert", encoder_of(bert), max_tokens=128) as spec:
        yield spec, ModelOptions(device="cpu")
