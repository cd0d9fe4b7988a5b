"""Small real things for tests: columns from lists, data folders, and models made from a seed.

No mock: columns are what the loaders make, folders are what a user would write, and the model is
a BERT of two layers with a WordPiece tokenizer over the characters of the smoke texts, the words of
`runner.support` and numbers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmedteb.resources import data_folder
from cmedteb.types import Candidates, Corpus, Qrels, Queries, RankingData, Run, TextColumn
from cmedteb.types import Provenance as _Provenance

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# What the texts of `runner.support` are made of: a model that knows none of it has one vector for
# all texts of a length, and whatever compares its vectors or its ranks cannot fail.
LETTERS = tuple("".join(word) for word in product("abcdefgh", repeat=3))
DIGITS = tuple(f"{before}{digit}" for before in ("", "##") for digit in range(10))


def strings(values: Iterable[str]) -> pa.ChunkedArray:
    """A column of strings."""
    return pa.chunked_array([pa.array(list(values), pa.string())])


def text_column(texts: Sequence[str]) -> TextColumn:
    """A column of texts, every distinct text once."""
    place: dict[str, int] = {}
    index = [place.setdefault(text, len(place)) for text in texts]
    return TextColumn(strings(place), np.asarray(index, dtype=np.int32))


def corpus(texts: Sequence[str], ids: Sequence[str] | None = None) -> Corpus:
    """Documents, called d000, d001, ... unless ids are given."""
    return Corpus(strings(ids or _names("d", len(texts))), text_column(texts))


def queries(texts: Sequence[str], ids: Sequence[str] | None = None) -> Queries:
    """Queries, called q000, q001, ... unless ids are given."""
    return Queries(strings(ids or _names("q", len(texts))), text_column(texts))


def candidates(rows: Sequence[Sequence[int]]) -> Candidates:
    """For each query its corpus rows."""
    docs = [doc for row in rows for doc in row]
    return Candidates(_offsets(rows), np.asarray(docs, dtype=np.int32))


def qrels(rows: Sequence[Mapping[int, int]], absent: Sequence[str] = ()) -> Qrels:
    """For each query a grade by corpus row."""
    docs = [doc for row in rows for doc in row]
    grades = [grade for row in rows for grade in row.values()]
    return Qrels(
        _offsets(rows),
        np.asarray(docs, dtype=np.int32),
        np.asarray(grades, dtype=np.int32),
        tuple(absent),
    )


def ranking(
    documents: Corpus, asked: Queries, judged: Qrels, listed: Candidates | None = None
) -> RankingData:
    """A ranking set that was loaded from nowhere."""
    return RankingData(documents, asked, judged, _Provenance("local", "0" * 64), listed)


def as_lists(run: Run) -> list[list[tuple[int, float]]]:
    """For each query its (corpus row, score), best first."""
    spans = zip(run.offsets[:-1], run.offsets[1:], strict=True)
    return [
        list(zip(run.docs[a:b].tolist(), run.scores[a:b].tolist(), strict=True)) for a, b in spans
    ]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def retrieval_folder(
    folder: Path,
    documents: Mapping[str, str],
    asked: Mapping[str, str],
    judged: Mapping[str, Mapping[str, int]],
) -> Path:
    """A local retrieval set: texts by id, and grades by query id and document id."""
    write_jsonl(folder / "corpus.jsonl", ({"_id": i, "text": t} for i, t in documents.items()))
    write_jsonl(folder / "queries.jsonl", ({"_id": i, "text": t} for i, t in asked.items()))
    lines = [f"{q}\t{d}\t{grade}\n" for q, row in judged.items() for d, grade in row.items()]
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels.tsv").write_text(header + "".join(lines), encoding="utf-8")
    return folder


def reranking_folder(folder: Path, rows: Iterable[tuple[str, list[str], list[str]]]) -> Path:
    """A local reranking set: (query, positive texts, negative texts)."""
    write_jsonl(
        folder / "rerank.jsonl",
        ({"query": q, "positive": good, "negative": bad} for q, good, bad in rows),
    )
    return folder


def sts_folder(folder: Path, rows: Iterable[tuple[str, str, float]]) -> Path:
    """A local STS set: (sentence, sentence, score)."""
    write_jsonl(
        folder / "pairs.jsonl",
        ({"sentence1": a, "sentence2": b, "score": score} for a, b, score in rows),
    )
    return folder


def smoke_texts() -> list[str]:
    """The passages of the retrieval smoke test, in file order."""
    path = data_folder("tasks") / "smoke" / "SmokeRetrieval" / "corpus.jsonl"
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def bert_folder(
    folder: Path,
    *,
    pooling: str = "cls",
    normalise: bool = True,
    seed: int = 0,
    **configuration: Any,
) -> Path:
    """Save a seeded BERT as sentence-transformers lays a model out.

    Args:
        folder: where to; made.
        pooling: `cls`, `mean`, ...
        normalise: end with a module that scales vectors to length 1.
        seed: of the weights.
        **configuration: what config_sentence_transformers.json says.
    """
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    characters = sorted(set("".join(smoke_texts()).lower()) - {" "})
    known = [*SPECIAL_TOKENS, *dict.fromkeys([*characters, *LETTERS, *DIGITS])]
    vocabulary = {word: row for row, word in enumerate(known)}
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(known),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocab=vocabulary, model_max_length=128).save_pretrained(folder)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 128})
    _write_modules(folder, pooling=pooling, width=32, normalise=normalise)
    configure(folder, **configuration)
    return folder


def configure(folder: Path, **configuration: Any) -> None:
    """Write what a model says about its prompts and its similarity."""
    _write_json(folder / "config_sentence_transformers.json", configuration)


class ModelCopies:
    """Makes copies of a model folder with another configuration of sentence-transformers."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    def __call__(self, **configuration: Any) -> Path:
        """A copy whose configuration says this and nothing else."""
        copy = self.home / f"copy-{len(list(self.home.iterdir()))}"
        shutil.copytree(self.folder, copy)
        configure(copy, **configuration)
        return copy


def _write_modules(folder: Path, *, pooling: str, width: int, normalise: bool) -> None:
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if normalise:
        modules.append(("2_Normalize", "Normalize"))
    for path, _ in modules:
        (folder / path).mkdir(exist_ok=True)
    _write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": width, "pooling_mode": pooling},
    )
    _write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{row:03d}" for row in range(count)]


def _offsets(rows: Sequence[Sequence[Any] | Mapping[Any, Any]]) -> Any:
    return np.cumsum([0, *map(len, rows)]).astype(np.int64)
