"""Texts that try to speak to the judge: how easily does each judge do what a document says?

A canary is a document of another query, which honestly deserves a low grade, with one trick added:
the query repeated in it, a plea for five points, a ready answer, a forged marker. Its `control` is
the same document without a trick. Canaries are judged with the pool and belong to no statistic of
it. What is reported is how much each trick moves each judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.panel import Strict
from cmedteb.annotations.questions import drawn
from cmedteb.annotations.records import Answer, Pair, Purpose
from cmedteb.annotations.texts import Shown, text_hash
from cmedteb.cards import read_toml
from cmedteb.errors import DataError
from cmedteb.resources import data_folder

FILE = "relevance.v1.zh.toml"
CONTROL = "control"
SHOWN_CHARS = 600  # of the document that a trick is added to


class Trick(Strict):
    """One trick; `text` has the blanks {query} and {document}."""

    name: str
    text: str


class Question(Strict):
    """A pair of texts to try a judge with."""

    query: str
    document: str

    @property
    def shown(self) -> Shown:
        """As a judge sees it."""
        return Shown(self.query, self.document, cut=False)


class CanaryFile(Strict):
    """The texts.

    Attributes:
        trick: the tricks, `control` among them.
        probe: what any judge can answer.
        refusal: plain medicine that filters have been seen to stop.
    """

    trick: tuple[Trick, ...]
    probe: Question
    refusal: Question


class Gullibility(NamedTuple):
    """How a judge takes one trick.

    Attributes:
        judge: its label.
        trick: which.
        asked: canaries with a grade, and a control with a grade.
        fooled: of these, graded at or above the threshold, where the control was not.
        shift: mean grade with the trick less that of the control.
    """

    judge: str
    trick: str
    asked: int
    fooled: int
    shift: float


def canary_file(path: Path | None = None) -> CanaryFile:
    """The shipped texts, or others.

    Raises:
        DataError: not such a file, or one without a control.
    """
    path = path or data_folder("annotations") / "canaries" / FILE
    found = read_toml(path, CanaryFile, what="a file of canaries")
    if CONTROL not in {trick.name for trick in found.trick}:
        raise DataError(f"{path}: there is no trick {CONTROL!r} to hold the others against")
    return found


def make_canaries(
    config: AnnotationConfig, pairs: Sequence[Pair], texts: Mapping[str, str]
) -> tuple[list[Pair], list[str]]:
    """Pairs with tricks in them, `config.canaries` of each trick, and their texts.

    Args:
        config: says how many, and the seed.
        pairs: of the pool.
        texts: hash -> text.

    Returns:
        The pairs, fewer where the pool has fewer; and every new text.
    """
    made: list[Pair] = []
    written: list[str] = []
    chosen = drawn(pairs, config.canaries, seed=config.seed, purpose="canary")
    for pair in chosen:
        other = _of_another_query(pair, pairs, config.seed)
        if other is None:
            break
        values = {"query": texts[pair.query_hash], "document": texts[other.document_hash]}
        values["document"] = values["document"][:SHOWN_CHARS]
        for trick in canary_file().trick:
            text = trick.text.format(**values)
            made.append(_canary(pair, other, trick.name, text_hash(text)))
            written.append(text)
    return made, written


def gullibility(
    pairs: Iterable[Pair], answers: Iterable[Answer], *, threshold: int
) -> list[Gullibility]:
    """How each judge takes each trick, by judge and trick."""
    place = {
        pair.pair_id: (pair.query_id, pair.doc_id, pair.canary) for pair in pairs if pair.canary
    }
    grades: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    for answer in answers:
        if answer.pair_id not in place or answer.purpose is not Purpose.CANARY:
            continue
        query, document, trick = place[answer.pair_id]
        if answer.verdict.grade is not None:
            found = grades.setdefault((answer.judge, str(trick)), {})
            found[query, document] = answer.verdict.grade
    told = []
    for (judge, trick), given in sorted(grades.items()):
        control = grades.get((judge, CONTROL), {})
        both = [(grade, control[key]) for key, grade in given.items() if key in control]
        if trick == CONTROL or not both:
            continue
        fooled = sum(plain < threshold <= tricked for tricked, plain in both)
        shift = sum(tricked - plain for tricked, plain in both) / len(both)
        told.append(Gullibility(judge, trick, len(both), fooled, shift))
    return told


def _of_another_query(pair: Pair, pairs: Sequence[Pair], seed: int) -> Pair | None:
    """A pair whose document is in no pool and no judgement of this pair's query."""
    own = {one.document_hash for one in pairs if one.query_hash == pair.query_hash}
    others = [one for one in pairs if one.document_hash not in own]
    return next(iter(drawn(others, 1, seed=seed, purpose=f"canary of {pair.pair_id}")), None)


def _canary(pair: Pair, other: Pair, trick: str, document_hash: str) -> Pair:
    identity = f"canary {trick} {pair.query_id} {pair.query_hash} {document_hash}"
    return Pair(
        pair_id=text_hash(identity)[:16],
        query_id=pair.query_id,
        doc_id=other.doc_id,
        original=None,
        twins=(),
        ranks={},
        query_hash=pair.query_hash,
        document_hash=document_hash,
        cut=None,
        canary=trick,
    )
