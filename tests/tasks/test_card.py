"""Task cards, shipped and broken. Run: pytest tests/tasks/test_card.py -q."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cmedteb.errors import DataError
from cmedteb.metrics import CUTOFFS
from cmedteb.resources import data_folder
from cmedteb.tasks.card import TaskCard, read_card
from cmedteb.types import QueryForm, TaskType

ROOT = data_folder("tasks")
SHIPPED = sorted(ROOT.glob("*/*.toml"))
KEYS = list(TaskCard.model_fields)
RANKING = [
    f"{measure}_at_{k}"
    for measure in ("ndcg", "map", "mrr", "recall", "precision", "hit_rate")
    for k in CUTOFFS
]
CORRELATIONS = [
    f"{prefix}{kind}"
    for prefix in ("", "cosine_", "manhattan_", "euclidean_")
    for kind in ("pearson", "spearman")
]
MINIMAL = """
name = "Mine"
type = "retrieval"
version = 1
main_score = "ndcg_at_10"
splits = ["test"]
title = { zh = "M", en = "Mine" }
[source]
kind = "local"
[licence]
name = "unknown"
"""
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def write(folder: Path, text: str) -> Path:
    path = folder / "Mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_there_are_cards() -> None:
    assert len(SHIPPED) == 18


@shipped
def test_a_shipped_card_is_valid_and_named_as_its_file(path: Path) -> None:
    assert read_card(path).name == path.stem


@shipped
def test_keys_stand_in_the_order_of_the_schema_and_before_tables(path: Path) -> None:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert list(table) == sorted(table, key=KEYS.index)
    in_tables = path.read_text(encoding="utf-8").partition("\n[")[2]
    assert not [key for key in ("name", "version", "main_score", "splits") if key not in table]
    assert "\nmain_score" not in in_tables


@shipped
def test_the_main_score_is_one_that_the_type_gives(path: Path) -> None:
    card = read_card(path)
    assert card.main_score in (CORRELATIONS if card.type is TaskType.STS else RANKING)


@shipped
def test_titles_are_in_both_languages(path: Path) -> None:
    title = read_card(path).title
    assert title.en.isascii()
    assert any(ord(character) > 0x4E00 for character in title.zh)


@shipped
def test_revisions_are_commits_and_checksums_are_sha256(path: Path) -> None:
    source = read_card(path).source
    for revision in (source.revision, source.qrels_revision):
        assert revision is None or (len(revision) == 40 and int(revision, 16) >= 0)
    for digest in source.files.values():
        assert len(digest) == 64
        int(digest, 16)


@shipped
def test_a_prompt_says_where_it_was_published(path: Path) -> None:
    prompt = read_card(path).prompt
    assert prompt is None or (prompt.source and prompt.query["en"])


@shipped
def test_published_sets_are_official_and_our_own_are_not(path: Path) -> None:
    card = read_card(path)
    assert card.official == (card.source.kind == "hub")


@shipped
def test_what_queries_are_is_said_where_it_was_published(path: Path) -> None:
    """AutoMIR's mapping for CMIRB; nobody says it for CMedTEB, and pairs have no queries."""
    form = read_card(path).query_form
    others = {
        "IIYIPostRetrieval": QueryForm.TITLE,
        "CSLCiteRetrieval": QueryForm.TITLE,
        "CSLRelatedRetrieval": QueryForm.TEXT,
        "SmokeSts": None,
    }
    published = path.parent.name in {"cmirb", "smoke"}
    assert form is (others.get(path.stem, QueryForm.QUESTION) if published else None)
    if form is not None:
        before = path.read_text(encoding="utf-8").partition("\nquery_form")[0]
        assert before.rpartition("\n")[2].startswith("# ")


@shipped
def test_packaged_data_is_there(path: Path) -> None:
    source = read_card(path).source
    if source.kind == "packaged":
        assert (ROOT / str(source.path)).is_dir()
        assert str(source.path) == f"{path.parent.name}/{path.stem}"


def test_the_least_card(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, MINIMAL))
    assert card.split == "test"
    assert card.sizes.queries is None
    assert card.licence.redistribute is None
    assert not card.official
    assert card.query_form is None


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('name = "Mine"\n', 'name = "a/b"\n', "name: "),
        ('name = "Mine"\n', "", "name: Field required"),
        ('"retrieval"', '"classification"', "type: "),
        ("version = 1", "version = 0", "version: "),
        ('splits = ["test"]', 'splits = ["a", "b"]', "splits: "),
        ('splits = ["test"]', "splits = []", "splits: "),
        ("version = 1", "version = 1\nmetric = 2", "metric: "),
        ('kind = "local"', 'kind = "local"\nmain_score = "x"', r"source\.main_score: "),
        ('kind = "local"', 'kind = "hub"', "source: .*needs hf or modelscope"),
        ('kind = "local"', 'kind = "packaged"', "source: .*needs path"),
        ('{ zh = "M", en = "Mine" }', '{ en = "Mine" }', r"title\.zh: Field required"),
        (
            '"retrieval"',
            '"sts"\nignore_identical_ids = true',
            ".*ignore_identical_ids belongs to retrieval",
        ),
        ("version = 1", 'version = 1\nquery_form = "poem"', "query_form: "),
        ('"retrieval"', '"sts"\nquery_form = "text"', ".*query_form belongs to tasks with queries"),
    ],
)
def test_a_wrong_card_is_refused_with_file_and_key(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    assert old in MINIMAL
    with pytest.raises(DataError, match=rf"Mine\.toml: not a valid task card: {fault}"):
        read_card(write(tmp_path, MINIMAL.replace(old, new, 1)))


def test_bad_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Mine\.toml: not valid TOML .*line 2"):
        read_card(write(tmp_path, 'name = "x"\nversion =\n'))


def test_toml_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Mine.toml"
    path.write_bytes('name = "\u68c0\u7d22"\n'.encode("gb18030"))
    with pytest.raises(DataError, match=r"Mine\.toml: not valid TOML in UTF-8"):
        read_card(path)
