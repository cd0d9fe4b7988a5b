"""What is written loads again as the same data (run: `pytest tests/data/test_export.py`).

Degenerate inputs: judged documents that are absent, a folder that was changed after the export, a
record that is no JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cmedteb.data import detect, export_folder
from cmedteb.types import TaskType

Load = Callable[..., Any]
TEXT = 'tab\t "quote" \u5934\u75db\u2028\nbreak'


def test_a_retrieval_set(make: Load, ranking: Load, tmp_path: Path) -> None:
    corpus = [{"_id": f"d{row}", "title": "T", "text": TEXT * row} for row in range(1, 4)]
    qrels = "q1\td1\t1\nq2\tz\t2\nq2\td3\t0\n"
    data = ranking(make({"corpus.jsonl": corpus, "qrels.tsv": qrels}), lenient=True)
    out = tmp_path / "out"
    export_folder(data, out, name="Set", split="dev")
    assert detect(out) is TaskType.RETRIEVAL
    again = ranking(out, split="dev", lenient=True)
    assert again.provenance == data.provenance
    assert not list(out.rglob("*.part"))


def test_a_reranking_set_keeps_its_ids_and_candidates(
    make: Load, reranking: Load, tmp_path: Path
) -> None:
    rows = [{"query": "a", "positive": ["p"], "negative": ["n", "m"]}]
    data = reranking(make({"rerank.jsonl": rows}, bare=True))
    export_folder(data, tmp_path / "out", name="Set")
    assert detect(tmp_path / "out") is TaskType.RERANKING
    again = reranking(tmp_path / "out")
    assert again.provenance.content_hash == data.provenance.content_hash
    assert again.candidates.docs.tolist() == data.candidates.docs.tolist()


def test_pairs(make: Load, sts: Load, tmp_path: Path) -> None:
    rows = [{"sentence1": TEXT, "sentence2": f" {row}", "score": row / 3} for row in range(5000)]
    data = sts(make({"pairs.jsonl": rows}, bare=True))
    export_folder(data, tmp_path / "out", name="Set")
    again = sts(tmp_path / "out")
    assert again.provenance.content_hash == data.provenance.content_hash
    assert len(again.pairs) == 5000


def test_the_revision_survives_while_the_content_does(
    make: Load, ranking: Load, tmp_path: Path
) -> None:
    data = ranking(make())
    pinned = replace(data, provenance=replace(data.provenance, revision="c" * 40))
    out = tmp_path / "out"
    export_folder(pinned, out, name="Set", origin="hf:org/set")
    assert ranking(out).provenance.revision == "c" * 40
    with (out / "qrels" / "test.tsv").open("a", encoding="utf-8") as stream:
        stream.write("q1\td2\t1\n")
    assert ranking(out).provenance.revision == "local"
    (out / "provenance.json").write_text("{", encoding="utf-8")
    assert ranking(out).provenance.revision == "local"
