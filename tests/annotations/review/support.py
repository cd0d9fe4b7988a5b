"""An annotation that is ready for review: a real journal with texts, some of them hostile."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from annotations.annotation_support import add, config, graded, judge, pair, panel
from annotations.annotation_support import body as completion
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Pair
from cmedteb.annotations.rubric import find_rubric
from cmedteb.annotations.texts import text_hash, write_texts

ROOT = Path(__file__).resolve().parents[3]
SMOKE = ROOT / "tasks" / "smoke" / "SmokeRetrieval"
CUT = 400
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=https://example.invalid/x onerror=\"document.title='owned'\">",
    '=HYPERLINK("https://example.invalid","click")',
    '-5 \u5ea6\uff0c"\u5f15\u53f7"\uff0c\r\n\u7b2c\u4e8c\u884c, ; \t\u5236\u8868',
    "'=1+1",
    "@SUM(A1)\rline\u2028separator",
    "<!--<script>{{ 7*7 }} ${7*7} &amp; &lt;b&gt;",
    "\uff1dSUM(1) " + "\u957f" * CUT,
)
GRADES = ((5, 5, 4), (5, 4, 2), (4, 2, 1), (1, 1, 2), (2, 1, 1), (5, 5, None))


def smoke_texts(name: str) -> list[str]:
    """Texts of the packaged smoke set."""
    lines = (SMOKE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def ready(home: Path, *, pairs: int = 60, waiting: int = 0) -> Path:
    """The folder of an annotation whose panel has judged all but `waiting` pairs.

    The grades go round `GRADES`; every fifth pair was labelled positive before.
    """
    queries = smoke_texts("queries.jsonl")
    documents = [*HOSTILE, *smoke_texts("corpus.jsonl")]
    pool, texts = [], []
    for number in range(pairs):
        query, document = queries[number % 7], documents[number]
        texts += [query, document]
        pool.append(_pair(number, query, document))
    folder = home / "annotation"
    rubric = find_rubric("relevance.v1").used
    write_texts(folder, texts)
    judges = panel(judge("judge-a"), judge("judge-b"), judge("judge-c"))
    with Journal.create(
        folder, config(rubric=rubric, cut_chars=CUT, panel=judges), pool
    ) as journal:
        for one, grades in zip(pool[: pairs - waiting], itertools.cycle(GRADES), strict=False):
            for name, grade in zip(judges.labels, grades, strict=True):
                raw = completion("", finish="content_filter") if grade is None else graded(grade)
                add(journal, one.pair_id, name, raw)
    return folder


def _pair(number: int, query: str, document: str) -> Pair:
    return pair(
        f"q{number % 7}",
        f"d{number}",
        query_hash=text_hash(query),
        document_hash=text_hash(document),
        cut=CUT if len(document) > CUT else None,
        original=1 if number % 5 == 0 else None,
    )
