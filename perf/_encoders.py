"""Models with seeded weights in the shapes of real ones, and the arms that encode texts with them.

Speed depends on the shape and the texts, not on what the weights have learnt, so nothing is
downloaded. The tokeniser is BERT's over the characters of the texts, one token a character, which
is what bge-*-zh's does to Chinese.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from _measure import quiet, spent

MAX_LENGTH = 512
# Texts that are encoded before the clock starts, and the characters that they are also cut to.
WARM, SHORT = 64, 32


class Shape(NamedTuple):
    """What a transformer is made of; `kv_heads` where it is a decoder with grouped queries."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    kv_heads: int | None = None
    head_width: int = 64

    def flops(self, lengths: Iterable[int]) -> float:
        """Multiplications and additions of one pass over texts of so many tokens, no padding.

        Two for each weight of the matrices and token, and 4 x heads x head width for each pair of
        tokens that attend to each other (all in an encoder, half in a decoder).
        """
        wide = self.heads * self.head_width
        narrow = (self.kv_heads or self.heads) * self.head_width
        matrices = 3 if self.kv_heads else 2  # decoders of this kind have a gated inner layer
        weights = self.hidden * (2 * wide + 2 * narrow + matrices * self.inner)
        pair = 4 * wide / (2 if self.kv_heads else 1)
        return float(
            sum(self.layers * (2 * weights * length + pair * length**2) for length in lengths)
        )


BGE_SMALL_ZH = Shape(512, 4, 8, 2048, 21_128)
BGE_LARGE_ZH = Shape(1024, 24, 16, 4096, 21_128)
QWEN3_4B = Shape(2560, 36, 32, 9728, 151_665, kv_heads=8, head_width=128)


def write_model(folder: Path, shape: Shape, texts: Sequence[str], *, dtype: str) -> None:
    """Save a sentence-transformers model of this shape, its weights drawn with a seed."""
    quiet()
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    inner = folder / "inner"
    inner.mkdir(parents=True)
    write_tokenizer(inner, shape.vocabulary, texts)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": MAX_LENGTH,
        "pad_token_id": 0,
    }
    config: Any
    if shape.kv_heads:
        width: dict[str, Any] = {
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_width,
        }
        config = transformers.Qwen3Config(**sizes, **width)
    else:
        config = transformers.BertConfig(**sizes)
    automatic: Any = transformers.AutoModel
    network = automatic.from_config(config, dtype=getattr(torch, dtype))
    network.save_pretrained(inner)
    module = Transformer(str(inner), max_seq_length=MAX_LENGTH)
    pooling = Pooling(shape.hidden, pooling_mode="lasttoken" if shape.kv_heads else "cls")
    model = SentenceTransformer(modules=[module, pooling, Normalize()], device="cpu")
    model.save(str(folder / "model"), create_model_card=False)


def write_tokenizer(folder: Path, size: int, texts: Sequence[str]) -> None:
    """BERT's tokeniser: the characters of the texts, filled up to `size` entries."""
    from transformers import BertTokenizer

    characters = sorted({character for text in texts for character in text.lower()})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    joined = [f"##{character}" for character in characters if character.isascii()]
    entries = [*special, *(c for c in characters if not c.isspace()), *joined][:size]
    entries += [f"[unused{number}]" for number in range(size - len(entries))]
    (folder / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=MAX_LENGTH)
    tokenizer.save_pretrained(folder)


def write_texts(folder: Path, texts: Sequence[str]) -> None:
    """A local data set: these documents, and the first of them as the only query."""
    folder.mkdir(parents=True)
    rows = [{"_id": f"d{row}", "text": text} for row, text in enumerate(texts)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "corpus.jsonl").write_text(lines, encoding="utf-8")
    query = json.dumps({"_id": "q", "text": texts[0][:64]})
    (folder / "queries.jsonl").write_text(query + "\n", encoding="utf-8")
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\n", encoding="utf-8")


def read_texts(folder: Path) -> list[str]:
    """What `write_texts` wrote."""
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def lengths(model: Path, texts: Sequence[str]) -> list[int]:
    """Tokens of every text as the model takes them, cut at its maximum."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    found = tokenizer(list(texts), truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return [len(row) for row in found]


def encode(arm: str, scratch: Path, *, device: str) -> dict[str, Any]:
    """One arm: `cmedteb:DTYPE`, the same with `:compile`, or `st:DTYPE:BATCH` for the peer.

    Both have encoded a few texts before the clock starts. Ours is the phase "encode documents" of
    a whole evaluation: it tokenises, plans, encodes and gathers.
    """
    quiet()
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    name, dtype, *batch = arm.split(":")
    model, data = scratch / "model", scratch / "data"
    if name == "cmedteb":
        options = {"device": device, "dtype": dtype, "compile": bool(batch)}
        return _ours(str(model), data, options)
    import torch
    from sentence_transformers import SentenceTransformer

    how = {"dtype": getattr(torch, dtype)}
    network = SentenceTransformer(str(model), device=device, model_kwargs=how)
    texts = read_texts(data)
    size = int(batch[0])
    network.encode(texts[: 2 * size], batch_size=size, show_progress_bar=False)
    with spent() as taken:
        network.encode(texts, batch_size=size, show_progress_bar=False)
    return {"wall": taken.wall, "cpu": taken.cpu}


def _ours(model: str, data: Path, options: dict[str, Any]) -> dict[str, Any]:
    import cmedteb
    from cmedteb.models import Engined, ModelOptions, Role, load_model

    system = load_model(model, ModelOptions(**options, offline=True))
    if not isinstance(system, Engined):
        raise SystemExit(f"the engine does not run {model}")
    _warm(system.source(Role.DOCUMENT), read_texts(data)[:WARM])
    with spent() as taken:
        result = cmedteb.evaluate(system, tasks=[str(data)], offline=True)[0]
    wall = sum(
        phase.end - phase.start
        for phase in result.evaluation_phases
        if phase.name == "encode documents"
    )
    return {"wall": wall, "cpu": taken.cpu, "whole_wall": taken.wall}


def _warm(source: Callable[[Any], Iterable[Any]], texts: Sequence[str]) -> None:
    """Encode a few texts, as they are and cut to one length: with and without padding."""
    import pyarrow as pa

    for some in (texts, sorted({text[:SHORT] for text in texts if len(text) >= SHORT})):
        for _ in source(pa.chunked_array([pa.array(some, pa.string())])):
            pass
