"""A planned annotation against a real judge server, for the tests of judging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotations.annotation_support import config, pair
from cmedteb.annotations.canaries import canary_file, make_canaries
from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.demo import Gold
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.panel import Judge, Panel, TokenPrice
from cmedteb.annotations.records import Pair
from cmedteb.annotations.rubric import find_rubric
from cmedteb.annotations.texts import text_hash, write_texts

LABELS = ("judge-a", "judge-b", "judge-c")


def word(kind: str, number: int) -> str:
    """A text that no other has in it: the number in letters."""
    digits = "".join("abcdefghij"[int(digit)] for digit in f"{number:05d}")
    return f"{kind} {digits} {digits[::-1]} {kind}"


def pool(queries: int, documents: int, *, cut: int | None = None) -> tuple[list[Pair], Gold]:
    """Each query with so many documents of its own; the first of them is relevant."""
    texts: tuple[dict[str, str], dict[str, str]] = ({}, {})
    grades: dict[str, Mapping[str, float]] = {}
    pairs = []
    for query in range(queries):
        name = f"q{query:05d}"
        texts[0][name] = word("question", query)
        for place in range(documents):
            doc = f"d{query * documents + place:06d}"
            texts[1][doc] = word("document", query * documents + place)
            hashes = {"query_hash": text_hash(texts[0][name])}
            hashes["document_hash"] = text_hash(texts[1][doc])
            original = 1 if place == 0 else None
            pairs.append(
                pair(name, doc, original=original, ranks={"s": place + 1}, cut=cut, **hashes)
            )
        grades[name] = {f"d{query * documents:06d}": 5.0}
    return pairs, Gold(texts[0], texts[1], grades)


def planned(
    folder: Path, base_url: str, pairs: list[Pair], gold: Gold, **choices: Any
) -> AnnotationConfig:
    """Plan an annotation of a pool with a panel at a server, as `annotate plan` does."""
    judge_facts = {"concurrency": 8, **choices.pop("judge", {})}
    labels = choices.pop("labels", LABELS)
    price = TokenPrice(input=1.0, output=2.0, cached=0.5)
    judges = tuple(
        Judge(label=label, model=label, base_url=base_url, **{"price": price, **judge_facts})
        for label in labels
    )
    facts = {"retest": 0, "reversed_share": 0.0, "canaries": 0, **choices}
    made = config(
        panel=Panel(name="test", judges=judges), rubric=find_rubric("relevance.v1").used, **facts
    )
    texts = {text_hash(text): text for text in [*gold.queries.values(), *gold.documents.values()]}
    tricks, written = make_canaries(made, pairs, texts)
    write_texts(folder, [*texts.values(), *written])
    Journal.create(folder, made, [*pairs, *tricks]).close()
    return made


def with_probe(gold: Gold) -> Gold:
    """The same, and the server knows what a judge is tried with."""
    probe = canary_file().probe
    queries = {**gold.queries, "probe": probe.query}
    documents = {**gold.documents, "probe": probe.document}
    return replace(gold, queries=queries, documents=documents)
