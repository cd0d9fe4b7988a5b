"""Sparse encoders made from a seed: SPLADE, inference-free SPLADE, CSR."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builders import bert_folder
from small_models.static import extend

from cmedteb.models import ModelOptions


def masked_folder(folder: Path, *, seed: int = 0) -> Path:
    """Save a seeded masked language model with the tokenizer of the small BERT, and no modules."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    bert_folder(folder)
    torch.manual_seed(seed)
    # Logits of the wider weights of the small BERT differ by 1e-5 from batch to batch.
    model = BertForMaskedLM(BertConfig.from_pretrained(folder, initializer_range=0.2))
    torch.nn.init.normal_(model.cls.predictions.bias, mean=-3.0, std=3.0)
    model.save_pretrained(folder)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    return folder


def _save(folder: Path, modules: list[Any], **configuration: Any) -> Path:
    from sentence_transformers import SparseEncoder

    SparseEncoder(modules=modules, device="cpu").save_pretrained(str(folder))
    extend(folder / "config_sentence_transformers.json", **configuration)
    return folder


def splade_folder(folder: Path, *, activation: str = "relu", **configuration: Any) -> Path:
    """Save SPLADE with max pooling as sentence-transformers does."""
    return _save(folder, _splade(folder, activation), **configuration)


def _splade(folder: Path, activation: str) -> list[Any]:
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    masked = masked_folder(folder.parent / f"{folder.name}-masked")
    return [
        Transformer(str(masked), transformer_task="fill-mask"),
        SpladePooling("max", activation_function=activation),  # type: ignore[arg-type]
    ]


def inference_free_folder(folder: Path, **configuration: Any) -> Path:
    """Save a model whose queries are looked up in a table of seeded weights."""
    import torch
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    encoder = _splade(folder, "log1p_relu")
    tokenizer = encoder[0].tokenizer
    generator = torch.Generator().manual_seed(2)
    table = SparseStaticEmbedding(
        tokenizer, weight=torch.rand(len(tokenizer), generator=generator), frozen=True
    )
    return _save(folder, [Router.for_query_document([table], encoder)], **configuration)


def csr_folder(folder: Path, *, kept: int = 8) -> Path:
    """Save a dense encoder with a seeded sparse auto-encoder on top."""
    import torch
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    bert = bert_folder(folder.parent / f"{folder.name}-bert")
    torch.manual_seed(3)
    modules = [
        Transformer(str(bert)),
        Pooling(32, pooling_mode="mean"),
        SparseAutoEncoder(32, hidden_dim=96, k=kept, k_aux=16),
    ]
    return _save(folder, modules)


@contextmanager
def small(folder: Path) -> Iterator[tuple[str, ModelOptions]]:
    """What `load_model` takes for such a model."""
    yield str(splade_folder(folder / "splade")), ModelOptions(device="cpu")
