"""Reads what a writer wrote, strictly: three variants of a sentence, each what it claims to be.

Nothing is repaired. A variant that says it swapped the term must hold a synonym, one that says it
did not must hold none, and no two sentences may be the same.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from cmedteb.annotations.sts.vocabulary import Seed
from cmedteb.annotations.verdict import FENCED, THOUGHT
from cmedteb.endpoints.answers import read_object, reply
from cmedteb.endpoints.transport import Failure
from cmedteb.errors import ModelError

SENTENCE = "sentence"


class Kind(StrEnum):
    """The three variants (CMedTEB): what became of the term, and of the meaning."""

    KEPT = "kept"
    SWAPPED_CHANGED = "swapped_changed"
    CHANGED = "changed"


class Draft(NamedTuple):
    """A sentence and its variants."""

    sentence: str
    variants: Mapping[Kind, str]


class Flaw(NamedTuple):
    """Why there is no draft, and whether that was for want of tokens."""

    told: str
    cut: bool = False
    refused: bool = False


def read_draft(raw: bytes, seed: Seed) -> Draft | Flaw:
    """What a whole chat completion holds for a seed."""
    try:
        said = reply(read_object(raw), raw)
    except (Failure, ModelError) as error:
        return Flaw(str(error))
    if said.refusal or said.finish_reason == "content_filter":
        return Flaw(said.refusal or "content_filter", refused=True)
    if said.finish_reason == "length":
        return Flaw("the answer ended at its token limit", cut=True)
    text = THOUGHT.sub("", said.text.strip(), count=1).strip()
    fenced = FENCED.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        return Flaw(f"no JSON ({error})")
    return _drafted(value, seed)


def sampled(seed: Seed, number: int) -> Kind:
    """Which of the three becomes a pair: the same for one seed and number, each as likely."""
    digest = hashlib.sha256(f"variant\0{number}\0{seed.seed_id}".encode()).digest()
    return tuple(Kind)[int.from_bytes(digest[:8], "big") % len(Kind)]


def synonym_in(text: str, seed: Seed) -> str | None:
    """The synonym that a text holds, the longest where several do; the term itself is none."""
    folded = _folded(text).replace(_folded(seed.term), "\0")
    whole = _folded(text)
    for name in sorted(seed.synonyms, key=lambda name: (-len(name), name)):
        longer = _folded(seed.term) in _folded(name)
        if _folded(name) in (whole if longer else folded):
            return name
    return None


def _drafted(value: object, seed: Seed) -> Draft | Flaw:
    wanted = {*map(str, Kind), *([] if seed.sentence else [SENTENCE])}
    if not isinstance(value, dict) or set(value) != wanted:
        return Flaw(f"not an object of {', '.join(sorted(wanted))}")
    if not all(isinstance(text, str) and text.strip() for text in value.values()):
        return Flaw("a sentence is blank, or no text")
    sentence = seed.sentence or value[SENTENCE].strip()
    draft = Draft(sentence, {kind: value[kind].strip() for kind in Kind})
    return _flaw(draft, seed) or draft


def _flaw(draft: Draft, seed: Seed) -> Flaw | None:
    texts = [draft.sentence, *draft.variants.values()]
    if len({_folded(text) for text in texts}) < len(texts):
        return Flaw("two sentences are the same")
    if _folded(seed.term) not in _folded(draft.sentence):
        return Flaw(f"the sentence does not hold the term {seed.term}")
    for kind, text in draft.variants.items():
        held = synonym_in(text, seed)
        if (held is None) is not (kind is Kind.CHANGED):
            return Flaw(f"{kind} holds {'no synonym' if held is None else held}")
    return None


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
