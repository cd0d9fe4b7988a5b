"""Tokens for lexical models: words, character pairs, or both, of Chinese mixed with Latin.

Every text is normalised first (Unicode NFKC, lower case), so full-width letters and digits meet
their ASCII twins. Latin letters and digits stay whole words in every tokeniser.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

_RUNS = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+|[^\W_]+", re.UNICODE)
_IDEOGRAPHS = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+")


def words(text: str) -> list[str]:
    """Words by rjieba's dictionary, in search mode (long words also give their parts)."""
    import rjieba

    return [word for word in rjieba.cut_for_search(_normal(text)) if _RUNS.match(word)]


def bigrams(text: str) -> list[str]:
    """Overlapping pairs of ideographs; a single ideograph between others stays by itself."""
    tokens: list[str] = []
    for run in _pieces(text):
        if _IDEOGRAPHS.match(run) and len(run) > 1:
            tokens.extend(run[start : start + 2] for start in range(len(run) - 1))
        else:
            tokens.append(run)
    return tokens


def words_and_bigrams(text: str) -> list[str]:
    """Pairs of ideographs, and the words that are longer."""
    return bigrams(text) + [
        word for word in words(text) if len(word) > 2 and _IDEOGRAPHS.match(word)
    ]


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {
    "words": words,
    "bigrams": bigrams,
    "words+bigrams": words_and_bigrams,
}


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _pieces(text: str) -> list[str]:
    """Runs of ideographs, and runs of other letters and digits."""
    pieces: list[str] = []
    for run in _RUNS.findall(_normal(text)):
        pieces.extend(part for part in re.split(f"({_IDEOGRAPHS.pattern})", run) if part)
    return pieces
