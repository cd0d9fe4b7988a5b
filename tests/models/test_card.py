"""Model cards. Run: pytest tests/models/test_card.py -q."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cmedteb.errors import DataError
from cmedteb.models import ModelCard, all_cards, load_model
from cmedteb.models.card import Family, read_card
from cmedteb.resources import data_folder

SHIPPED = sorted((data_folder("leaderboard") / "models").glob("*.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "card.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_card_is_valid_and_named_as_its_file(path: Path) -> None:
    card = read_card(path)
    assert card.name == path.stem
    assert card.title
    assert card.source
    assert all_cards()[card.name] == card


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_pinned_revision_is_a_commit(path: Path) -> None:
    card = read_card(path)
    assert (card.hf is not None) == (card.family is Family.SENTENCE_TRANSFORMER)
    if card.revision is not None:
        assert len(card.revision) == 40
        int(card.revision, 16)


@pytest.mark.parametrize("name", ["bm25", "hashing"])
def test_built_in_systems_have_cards_that_load(name: str) -> None:
    system = load_model(name)
    assert getattr(system, "facts").name == f"cmedteb/{name}"  # noqa: B009  not every System has it


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "x"\nfamily = "bm25"\ntitle = "X"\npooling = "cls"\n')
    with pytest.raises(DataError, match=r"card\.toml: not a valid model card: pooling: .*[Ee]xtra"):
        read_card(path)


def test_a_key_below_a_table_is_refused(tmp_path: Path) -> None:
    text = 'name = "x"\nfamily = "hashing"\ntitle = "X"\n[prompts]\nquery = "q"\nhf = "a/b"\n'
    with pytest.raises(DataError, match=r"prompts\.hf"):
        read_card(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('family = "bm25"\ntitle = "X"\n', "name: Field required"),
        ('name = "x"\nfamily = "bert"\ntitle = "X"\n', "family"),
        ('name = "a/b"\nfamily = "bm25"\ntitle = "X"\n', "name"),
        ('name = "x"\nfamily = "bm25"\ntitle = "X"\nsimilarity = "manhattan"\n', "similarity"),
    ],
)
def test_a_wrong_value_is_refused_by_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_card(write(tmp_path, text))


def test_bad_toml_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "x\n')
    with pytest.raises(DataError, match=r"card\.toml: not valid TOML .*line 1"):
        read_card(path)


def test_toml_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes('title = "\u9ad8\u8840\u538b"\n'.encode("gb18030"))
    with pytest.raises(DataError, match=r"card\.toml: not valid TOML in UTF-8"):
        read_card(path)


def test_what_a_card_leaves_out_stays_unknown() -> None:
    card = ModelCard.model_validate(
        tomllib.loads('name = "x"\nfamily = "sentence-transformer"\ntitle = "X"\n')
    )
    assert card.prompts.query is None
    assert card.training_sets is None
    assert card.max_length is None
