"""A Router: queries by static embeddings, documents by a seeded BERT and a projection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builders import bert_folder
from small_models.static import WIDTH, extend, static_module

from cmedteb.models import ModelOptions, Role


def router_folder(
    folder: Path,
    *,
    names: tuple[str, str] = ("query", "document"),
    query_width: int = WIDTH,
    **configuration: Any,
) -> Path:
    """Save a model of two routes as sentence-transformers does.

    Args:
        folder: where to; made.
        names: of the routes of queries and documents.
        query_width: of the vectors of queries.
        **configuration: more of config_sentence_transformers.json.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    bert = bert_folder(folder.parent / f"{folder.name}-bert")
    torch.manual_seed(1)
    encoder = [
        Transformer(str(bert)),
        Pooling(WIDTH, pooling_mode="cls"),
        Dense(WIDTH, WIDTH, activation_function=torch.nn.Tanh()),
    ]
    routes = {names[0]: [static_module(bert, width=query_width)], names[1]: encoder}
    router = Router(routes, default_route=names[1])
    SentenceTransformer(modules=[router, Normalize()], device="cpu").save_pretrained(str(folder))
    extend(folder / "config_sentence_transformers.json", **configuration)
    return folder


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """What `load_model` takes for such a model."""
    options = ModelOptions(device="cpu", sts_sides=(Role.QUERY, Role.DOCUMENT))
    yield str(router_folder(folder / "router")), options
