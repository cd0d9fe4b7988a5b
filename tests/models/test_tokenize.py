"""Tokens of Chinese mixed with Latin. Run: pytest tests/models/test_tokenize.py -q.

Chinese is written as escapes: U+9AD8 U+8840 U+538B is "high blood pressure".
"""

from __future__ import annotations

import pytest

from cmedteb.models.tokenize import TOKENIZERS, bigrams, words, words_and_bigrams

HIGH, BLOOD, PRESSURE = "\u9ad8", "\u8840", "\u538b"
HYPERTENSION = HIGH + BLOOD + PRESSURE
DIABETES = "\u7cd6\u5c3f\u75c5"
COMMA, FULL_STOP = "\uff0c", "\u3002"
everywhere = pytest.mark.parametrize("name", sorted(TOKENIZERS))


def test_pairs_overlap() -> None:
    assert bigrams(HYPERTENSION) == [HIGH + BLOOD, BLOOD + PRESSURE]


def test_pairs_do_not_cross_punctuation() -> None:
    assert bigrams(HIGH + BLOOD + COMMA + DIABETES[:2]) == [HIGH + BLOOD, DIABETES[:2]]


def test_a_single_ideograph_stays() -> None:
    assert bigrams(f"B{BLOOD}C") == ["b", BLOOD, "c"]
    assert bigrams(f"{BLOOD}{FULL_STOP}{DIABETES}") == [BLOOD, DIABETES[:2], DIABETES[1:]]


def test_latin_words_and_numbers_stay_whole() -> None:
    text = f"HbA1c 6.5% {DIABETES}2\u578b COVID-19"
    assert bigrams(text) == [
        "hba1c", "6", "5", DIABETES[:2], DIABETES[1:], "2", "\u578b", "covid", "19",
    ]  # fmt: skip


@everywhere
def test_full_width_letters_and_digits_meet_their_ascii_twins(name: str) -> None:
    wide = "\uff23\uff34\uff11\uff12"
    assert TOKENIZERS[name](wide) == TOKENIZERS[name]("ct12") != []


@everywhere
def test_compatibility_forms_are_normalised(name: str) -> None:
    """U+2164 is the Roman numeral V; U+338E is the unit mg; U+F9D4 a compatibility ideograph."""
    assert TOKENIZERS[name]("\u2164") == ["v"]
    assert TOKENIZERS[name]("\u338e") == ["mg"]
    assert set(TOKENIZERS[name]("\uf9d4")) == {"\u502b"}


@everywhere
def test_case_is_folded(name: str) -> None:
    assert TOKENIZERS[name]("CT Scan") == ["ct", "scan"]


@everywhere
@pytest.mark.parametrize("text", ["", "   ", f"{COMMA}{FULL_STOP}\u2026!?", "\n\t"])
def test_texts_without_words_have_no_tokens(name: str, text: str) -> None:
    assert TOKENIZERS[name](text) == []


@everywhere
def test_ideographs_beyond_the_basic_plane(name: str) -> None:
    assert set(TOKENIZERS[name]("\U00020000")) == {"\U00020000"}


def test_pairs_beyond_the_basic_plane() -> None:
    assert bigrams(f"\U00020000{BLOOD}") == [f"\U00020000{BLOOD}"]


def test_words_are_those_of_a_dictionary_with_their_parts() -> None:
    assert words(f"{HYPERTENSION}{COMMA}{DIABETES}") == [
        BLOOD + PRESSURE,
        HYPERTENSION,
        DIABETES[:2],
        DIABETES,
    ]


def test_words_and_pairs_hold_each_pair_once() -> None:
    tokens = words_and_bigrams(f"{HYPERTENSION} ct")
    assert sorted(tokens) == sorted([HIGH + BLOOD, BLOOD + PRESSURE, HYPERTENSION, "ct"])
