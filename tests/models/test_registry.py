"""From what -m says to a system. Run: pytest tests/models/test_registry.py -q."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmedteb.errors import DataError, UsageError
from cmedteb.models import ModelOptions, find_card, load_model
from cmedteb.models.bm25 import Bm25
from cmedteb.models.hashing import Hashing
from cmedteb.models.sentence_transformer import SentenceTransformer
from cmedteb.models.weights import HUB_ID


def card(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(f'name = "mine"\ntitle = "Mine"\n{text}', encoding="utf-8")
    return str(path)


def test_a_cards_name() -> None:
    assert load_model("bm25") == Bm25("bigrams", 0.9, 0.4)
    assert load_model("hashing") == Hashing(1024)


def test_a_path_to_a_card(tmp_path: Path) -> None:
    path = card(tmp_path, 'family = "bm25"\n[settings]\ntokenizer = "words"\nk1 = 1.2\n')
    assert load_model(path) == Bm25("words", 1.2, 0.4, name="mine")
    found = find_card(path)
    assert found is not None
    assert found.name == "mine"


def test_a_path_to_a_card_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model card .*none\.toml"):
        load_model(str(tmp_path / "none.toml"))


def test_an_unknown_name_hints_at_a_near_one() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'bm52'.*Did you mean 'bm25'\?"):
        load_model("bm52")


def test_an_unknown_name_like_no_other_gets_no_hint() -> None:
    with pytest.raises(UsageError, match="unknown model 'zzz'") as caught:
        load_model("zzz")
    assert "Did you mean" not in str(caught.value)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither modules\.json nor config\.json"):
        load_model(str(tmp_path))


def test_a_repository_that_a_card_describes(tmp_path: Path) -> None:
    found = find_card("BAAI/bge-m3")
    assert found is not None
    assert found.name == "bge-m3"
    pinned = find_card("BAAI/bge-m3@0123abc")
    assert pinned is not None
    assert pinned.revision == "0123abc"
    assert find_card("BAAI/another") is None


def test_a_model_folder(cls_folder: Path) -> None:
    system = load_model(str(cls_folder))
    assert isinstance(system, SentenceTransformer)
    assert system.facts.name == "local/cls-bert"


@pytest.mark.parametrize("name", ["bm25", "hashing"])
@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (ModelOptions(max_length=8), "--max-length"),
        (ModelOptions(query_prompt=""), "--query-prompt"),
        (ModelOptions(document_prompt="x"), "--document-prompt"),
    ],
)
def test_flags_that_would_be_ignored_are_refused(
    name: str, options: ModelOptions, flag: str
) -> None:
    with pytest.raises(UsageError, match=f"{name} takes no {flag}"):
        load_model(name, options)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('family = "bm25"\n[settings]\nk2 = 1\n', r"bm25 has no setting k2; it takes b, k1, tok"),
        ('family = "bm25"\n[settings]\ntokenizer = "jieba"\n', r"tokenizer 'jieba'; .*bigrams"),
        ('family = "hashing"\n[settings]\nseed = 1\n', r"no setting seed; it takes dimension"),
        (
            'family = "sentence-transformer"\nhf = "a/b"\n[settings]\npooling = "cls"\n',
            "no setting pooling; (it takes|none)",
        ),
    ],
)
def test_settings_that_nothing_reads_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        load_model(card(tmp_path, text))


def test_a_card_without_a_repository(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no repository"):
        load_model(card(tmp_path, 'family = "sentence-transformer"\n'))


@pytest.mark.parametrize("name", ["BAAI/bge-m3", "a/b", "org_1/model.v1-x", "0org/0"])
def test_hub_ids(name: str) -> None:
    assert HUB_ID.match(name)


@pytest.mark.parametrize(
    "name", ["bge-m33", "a/b/c", "/a", "./a", "../a", "a/", "org name/x", "http://a/b", ""]
)
def test_what_is_no_hub_id(name: str) -> None:
    assert not HUB_ID.match(name)
    with pytest.raises(UsageError, match=r"unknown model|there is no folder"):
        load_model(name or "''")
