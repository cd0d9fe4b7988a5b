"""Where the tables of a data set lie, layout by layout (run: `pytest tests/data/test_formats.py`).

Degenerate inputs: no front matter, front matter that points outside the repository, a folder with
two data sets, an empty folder, a split that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmedteb.data import Layout, detect, splits
from cmedteb.errors import DataError
from cmedteb.types import TaskType

Load = Callable[..., Any]
CORPUS = [{"id": "d1", "text": "one"}, {"id": "d2", "text": "two"}]
QUERIES = [{"id": "q1", "text": "first"}]
PAIRS = [
    {"sentence1": "a", "sentence2": "b", "score": 1.0},
    {"sentence1": "c", "sentence2": "d", "score": 0.0},
]


def qrels(query: str, doc: str) -> list[dict[str, Any]]:
    return [{query: "q1", doc: "d2", "score": 1}]


def card(*configs: tuple[str, dict[str, str]]) -> str:
    lines = ["---", "license: mit", "configs:"]
    for name, files in configs:
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in files.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", "# A data set", ""])


MTEB_CARD = card(
    ("corpus", {"dev": "corpus/dev-*"}),
    ("default", {"dev": "data/dev-*"}),
    ("queries", {"dev": "queries/dev-*"}),
)
HUB: dict[str, tuple[Layout, dict[str, Any]]] = {
    "mteb v2": (
        Layout.MTEB_V2,
        {
            "README.md": MTEB_CARD,
            "corpus/dev-00000-of-00001.parquet": CORPUS,
            "queries/dev-00000-of-00001.parquet": QUERIES,
            "data/dev-00000-of-00001.parquet": qrels("query-id", "corpus-id"),
        },
    ),
    "mteb v2, corpus split": (
        Layout.MTEB_V2,
        {
            "README.md": card(
                ("corpus", {"corpus": "corpus.jsonl"}),
                ("queries", {"queries": "queries.jsonl"}),
                ("qrels", {"dev": "qrels/dev.jsonl", "train": "qrels/train.jsonl"}),
            ),
            "corpus.jsonl": CORPUS,
            "queries.jsonl": QUERIES,
            "qrels/dev.jsonl": qrels("query-id", "corpus-id"),
            "qrels/train.jsonl": "must not be read",
        },
    ),
    "mteb v2, no front matter": (
        Layout.MTEB_V2,
        {
            "README.md": "# Nothing\n",
            "corpus/corpus-00000-of-00002.parquet": CORPUS[:1],
            "corpus/corpus-00001-of-00002.parquet": CORPUS[1:],
            "queries/queries-00000-of-00001.parquet": QUERIES,
            "default/dev-00000-of-00001.parquet": qrels("query-id", "corpus-id"),
        },
    ),
    "cmirb": (
        Layout.CMIRB,
        {
            "corpus.jsonl": CORPUS,
            "queries.jsonl": [{**QUERIES[0], "doc": "two"}],
            "qrels/dev.jsonl": qrels("q_id", "p_id"),
        },
    ),
    "cmirb, as in its code repository": (
        Layout.CMIRB,
        {
            "corpus.jsonl": CORPUS,
            "query.jsonl": QUERIES,
            "qrels.jsonl": qrels("q_id", "p_id"),
            "qwen/query-rewrite.jsonl": "must not be read",
        },
    ),
}


@pytest.mark.parametrize("case", HUB)
def test_hub_layouts_of_one_set_are_the_same_set(make: Load, ranking: Load, case: str) -> None:
    local = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels.tsv": "q1\td2\t1\n"}
    plain = ranking(make(local, bare=True, name="plain"))
    layout, files = HUB[case]
    data = ranking(make(files, bare=True), layout=layout, split="dev")
    assert data.provenance.content_hash == plain.provenance.content_hash


@pytest.mark.parametrize("front", [True, False])
def test_c_mteb_v1_keeps_judgements_in_a_twin(make: Load, ranking: Load, front: bool) -> None:
    head = card(("default", {"corpus": "data/corpus-*", "queries": "data/queries-*"}))
    twin_head = card(("default", {"dev": "data/dev-*"}))
    main = make(
        {
            "README.md": head if front else None,
            "data/corpus-00000-of-00001-af01.parquet": CORPUS,
            "data/queries-00000-of-00001-bc02.parquet": QUERIES,
        },
        bare=True,
    )
    twin = make(
        {
            "README.md": twin_head if front else None,
            "data/dev-00000-of-00001-cd03.parquet": qrels("qid", "pid"),
        },
        bare=True,
        name="Set-qrels",
    )
    data = ranking(main, layout=Layout.C_MTEB_V1, qrels=twin, split="dev")
    assert data.qrels.docs.tolist() == [1]


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("path", ["data/test-00000-of-00001.parquet", "test.jsonl", "test.json"])
def test_reranking_rows_and_sts_of_the_hub(
    make: Load, reranking: Load, sts: Load, path: str, front: bool
) -> None:
    head = {"README.md": card(("default", {"test": path})) if front else None}
    rows = [{"query": "a", "positive": ["p"], "negative": ["n"]}]
    folder = make(head | {path: rows}, bare=True, name="rows")
    assert len(reranking(folder, layout=Layout.C_MTEB_V1).corpus) == 2
    folder = make(head | {path: PAIRS}, bare=True, name="pairs")
    assert len(sts(folder, layout=Layout.MTEB_V2).pairs) == 2


def test_mteb_v2_reranking_with_candidate_lists(make: Load, reranking: Load) -> None:
    heads = ["corpus", "queries", "default", "top_ranked"]
    files: dict[str, Any] = {
        "README.md": card(*((name, {"test": f"{name}/test-*"}) for name in heads)),
        "corpus/test-00000-of-00001.parquet": CORPUS,
        "queries/test-00000-of-00001.parquet": QUERIES,
        "default/test-00000-of-00001.parquet": qrels("query-id", "corpus-id"),
        "top_ranked/test-00000-of-00001.parquet": [
            {"query-id": "q1", "corpus-ids": ["d2", "d1"]},
        ],
    }
    data = reranking(make(files, bare=True), layout=Layout.MTEB_V2)
    assert data.candidates.docs.tolist() == [0, 1]


def test_front_matter_that_leaves_the_repository_finds_nothing(make: Load, ranking: Load) -> None:
    make({"corpus.jsonl": CORPUS}, bare=True, name="outside")
    head = card(("corpus", {"dev": "../outside/corpus.jsonl"}))
    folder = make({"README.md": head, "queries.jsonl": QUERIES}, bare=True)
    with pytest.raises(DataError, match="no corpus"):
        ranking(folder, layout=Layout.MTEB_V2, split="dev")


def test_front_matter_that_is_no_yaml_is_left_aside(make: Load, ranking: Load) -> None:
    folder = make({"README.md": "---\nconfigs: [\n---\n"})
    assert len(ranking(folder, layout=Layout.MTEB_V2).queries) == 2


def test_a_split_that_is_not_there_is_named_with_those_that_are(make: Load, ranking: Load) -> None:
    folder = make({"qrels/dev.tsv": "q1\td1\t1\n"})
    (folder / "qrels.tsv").unlink()
    assert splits(folder) == ("dev",)
    with pytest.raises(DataError, match=r"no qrels for split 'test' \(splits found: dev\)"):
        ranking(folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["corpus.jsonl", "queries.jsonl", "qrels.tsv"], TaskType.RETRIEVAL),
        (["corpus.jsonl.gz", "query.jsonl"], TaskType.RETRIEVAL),
        (["corpus.parquet", "queries.tsv", "top_ranked.jsonl"], TaskType.RERANKING),
        (["rerank.jsonl.gz", "README.md"], TaskType.RERANKING),
        (["pairs.parquet"], TaskType.STS),
    ],
)
def test_the_type_follows_from_the_files(
    tmp_path: Path, files: list[str], expected: TaskType
) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert detect(tmp_path) is expected


def test_a_folder_without_or_with_two_data_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no data set.*There is: nothing"):
        detect(tmp_path)
    for name in ("pairs.jsonl", "rerank.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="more than one data set"):
        detect(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        detect(tmp_path / "none")
