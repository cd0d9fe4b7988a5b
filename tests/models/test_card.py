"""Model cards. Run: pytest tests/models/test_card.py -q."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cmedteb.errors import DataError
from cmedteb.models import ModelCard, all_cards, load_model
from cmedteb.models.card import Family, known, read_card
from cmedteb.resources import data_folder

SHIPPED = sorted((data_folder("leaderboard") / "models").glob("*.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "card.toml"
    path.write_text(text, encoding="utf-8")
    return path


every_card = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
WITHOUT_WEIGHTS = {Family.BM25, Family.HASHING, Family.API, Family.PAIR, Family.HYDE}
# The rows of the papers' tables.
SYSTEMS = """
bge-small-zh-v1.5 bge-base-zh-v1.5 bge-large-zh-v1.5 bge-m3 conan-embedding-v1
stella-base-zh-v3-1792d gte-multilingual-base gte-base-zh gte-large-zh gte-qwen2-1.5b-instruct
qwen3-embedding-0.6b qwen3-embedding-8b care-0.3b-4b care-0.3b-8b text2vec-large-zh
mcontriever-msmarco bm25 text-embedding-ada-002 m3e-large multilingual-e5-large piccolo-large-zh
peg hyde sl-hyde bmretriever-410m bmretriever-1b bmretriever-2b bmretriever-7b
"""


def test_every_system_of_the_papers_tables_has_a_card() -> None:
    assert set(SYSTEMS.split()) <= {path.stem for path in SHIPPED}


@every_card
def test_every_shipped_card_is_valid_and_named_as_its_file(path: Path) -> None:
    card = read_card(path)
    assert card.name == path.stem
    assert card.title
    assert card.sources["default"]
    assert all_cards()[card.name] == card


@every_card
def test_a_pinned_revision_is_a_commit(path: Path) -> None:
    card = read_card(path)
    assert (card.hf is None) == (card.family in WITHOUT_WEIGHTS)
    for tower in filter(None, (card, card.query, card.document)):
        if known(tower.revision) is not None:
            assert len(tower.revision) == 40
            int(tower.revision, 16)


@every_card
def test_what_a_shipped_card_leaves_open_it_says(path: Path) -> None:
    """A fact that is not known is `unknown` in the file, not left out."""
    stated = tomllib.loads(path.read_text(encoding="utf-8"))
    needed = {"licence", "training_sets"}
    if stated["family"] not in {"bm25", "hashing", "hyde"}:
        needed |= {"similarity", "dimension", "parameters"}
    if stated["family"] not in WITHOUT_WEIGHTS:
        needed |= {"hf", "revision", "pooling", "max_length", "prompts"}
    assert needed <= stated.keys()


def test_a_fact_whose_source_is_named_must_be_a_field(tmp_path: Path) -> None:
    text = 'name = "x"\nfamily = "bm25"\ntitle = "X"\n[sources]\nlicense = "a page"\n'
    with pytest.raises(DataError, match="no field of a card: license"):
        read_card(write(tmp_path, text))


@pytest.mark.parametrize("towers", ["", '[query]\nfamily = "instruct"\n'])
def test_a_pair_needs_both_towers(tmp_path: Path, towers: str) -> None:
    with pytest.raises(DataError, match="belong to a pair, which has both"):
        read_card(write(tmp_path, f'name = "x"\nfamily = "pair"\ntitle = "X"\n{towers}'))


def test_towers_belong_to_pairs(tmp_path: Path) -> None:
    tower = '[query]\nfamily = "instruct"\n[document]\nfamily = "instruct"\n'
    with pytest.raises(DataError, match="belong to a pair"):
        read_card(write(tmp_path, f'name = "x"\nfamily = "bm25"\ntitle = "X"\n{tower}'))


@pytest.mark.parametrize("name", ["bm25", "hashing"])
def test_built_in_systems_have_cards_that_load(name: str) -> None:
    system = load_model(name)
    assert getattr(system, "facts").name == f"cmedteb/{name}"  # noqa: B009  not every System has it


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "x"\nfamily = "bm25"\ntitle = "X"\npool = "cls"\n')
    with pytest.raises(DataError, match=r"card\.toml: not a valid model card: pool: .*[Ee]xtra"):
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
    assert card.training_sets == "unknown"
    assert known(card.max_length) is None
