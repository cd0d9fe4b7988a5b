"""A small late-interaction model: a seeded BERT of two layers and a projection of its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builders import bert_folder

from cmedteb.models import ModelOptions

FULL_STOP, COMMA = "\u3002", "\uff0c"
EXPANSION = {"strategy": "fixed", "attend": False, "length": 24}
WIDTH = 16


def colbert_folder(
    folder: Path,
    *,
    prompts: dict[str, str] | None = None,
    expansion: dict[str, Any] | None = EXPANSION,
    query_length: int | None = None,
    document_length: int | None = 40,
    skipped: Sequence[str] = (FULL_STOP, COMMA),
    similarity: str = "maxsim",
    normalise: bool = True,
) -> Path:
    """Save a seeded model as sentence-transformers lays it out."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    bert = bert_folder(folder.parent / f"{folder.name}-bert")
    torch.manual_seed(7)
    tokens = {"module_input_name": "token_embeddings"}
    network = Transformer(
        str(bert),
        query_expansion=expansion,
        query_length=query_length,
        document_length=document_length,
        model_kwargs={"dtype": torch.float32},
    )
    projection = Dense(32, WIDTH, bias=False, activation_function=torch.nn.Identity(), **tokens)
    modules = [network, projection, MultiVectorMask(skiplist_words=list(skipped))]
    if normalise:
        modules.append(Normalize(**tokens))
    model = MultiVectorEncoder(
        modules=modules, device="cpu", prompts=prompts or {}, similarity_fn_name=similarity
    )
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """A model folder, as `load_model` takes it."""
    yield str(colbert_folder(folder / "colbert")), ModelOptions(device="cpu")
