"""Real data sets, where they lie beside the checkout (run: `pytest tests/data/test_shared.py`).

`../shared/data/INDEX.md` says how large each is; nothing of their texts is kept here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmedteb.data import Access, Source, detect, load_pairs, load_ranking, locate
from cmedteb.types import TaskType

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
KINDS = "retrieval|reranking|sts"
ROW = re.compile(rf"^\| (\w+) \| ({KINDS}) \| ([^|]+) \|", re.MULTILINE)


def index() -> list[tuple[str, str, str]]:
    path = SHARED / "INDEX.md"
    return ROW.findall(path.read_text(encoding="utf-8")) if path.is_file() else []


pytestmark = pytest.mark.skipif(not index(), reason="no data sets in ../shared/data")


def number(size: str, unit: str) -> int:
    found = re.search(rf"([\d,]+) {unit}", size)
    assert found is not None, (size, unit)
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize(("name", "kind", "size"), index())
def test_a_real_set_has_the_size_its_index_gives(name: str, kind: str, size: str) -> None:
    assert detect(SHARED / name) is TaskType(kind)
    located = locate(name, Source(kind="local"), Access(data_dir=SHARED))
    if kind == "sts":
        assert len(load_pairs(located, name=name, split="test").pairs) == number(size, "pairs")
        return
    data = load_ranking(located, name=name, split="test", task_type=TaskType(kind))
    dropped = data.provenance.warnings.get("queries_without_judgements", 0)
    assert len(data.queries) + dropped == number(size, "queries")
    if kind == "retrieval":
        assert len(data.corpus) == number(size, "passages")
        repeated = data.provenance.warnings.get("duplicate_judgements", 0)
        assert len(data.qrels.docs) + repeated == number(size, "judgements")
    else:
        assert data.candidates is not None
        assert len(data.candidates) == len(data.queries)
