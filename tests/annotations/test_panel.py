"""Panels, rubrics and canaries as shipped, and what is refused of those of users.

Run: pytest tests/annotations/test_panel.py -q.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cmedteb.annotations.canaries import CONTROL, canary_file
from cmedteb.annotations.config import Form, System
from cmedteb.annotations.doctor import own_family
from cmedteb.annotations.panel import Judge, find_panel
from cmedteb.annotations.records import GRADES
from cmedteb.annotations.rubric import find_rubric
from cmedteb.errors import DataError, UsageError
from cmedteb.resources import data_folder

# A released rubric never changes: a correction is a new version.
RELEASED = {
    "relevance.v1": "d541b78495568615ee87ea4bc9bc98aa325e37ec16370b116331082974d641af",
    "sts-synonym.v1": "fedf8781576e97ed3d077acc45f28b608f65461bded300087404ccffc891cc1d",
}
JUDGE = """
name = "mine"
[[judges]]
label = "a"
model = "m"
base_url = "http://127.0.0.1:1/v1"
"""


@pytest.mark.parametrize(
    ("name", "judges"), [("paper", 3), ("open-weights", 3), ("local", 3), ("gpt-4o", 1)]
)
def test_shipped_panels(name: str, judges: int) -> None:
    panel = find_panel(name)
    assert panel.name == name
    assert len(panel.judges) == judges


def test_no_panel_states_a_price_that_somebody_else_sets() -> None:
    for name in ("paper", "gpt-4o"):
        assert all(judge.price is None for judge in find_panel(name).judges)
    for name in ("open-weights", "local"):
        assert all(judge.price is not None for judge in find_panel(name).judges)


def test_the_panel_of_the_paper_says_what_has_become_of_it() -> None:
    notes = {judge.label: judge.note or "" for judge in find_panel("paper").judges}
    assert "withdrawn on 24 July 2026" in notes["deepseek-v3"]
    assert "14 January 2027" in notes["gpt-4o"]
    assert {judge.key_env for judge in find_panel("paper").judges} == {
        "DEEPSEEK_API_KEY",
        "ARK_API_KEY",
        "OPENAI_API_KEY",
    }


def test_judges_of_one_machine_share_one_gate() -> None:
    assert len({judge.account for judge in find_panel("local").judges}) == 1
    assert all("127.0.0.1" in judge.base_url for judge in find_panel("local").judges)


def test_a_panel_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(JUDGE)
    assert find_panel(str(path)).labels == ("a",)
    with pytest.raises(UsageError, match="local, open-weights, paper"):
        find_panel("nobody")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('key = "sk-secret"', "Extra inputs"),
        ('key_env = "sk-secret"', "String should match"),
        ("price = { input = -1.0, output = 0.0 }", "greater than or equal to 0"),
        ("price = { input = inf, output = 0.0 }", "finite"),
        ('extra_body = { model = "x" }', "model cannot be set here"),
        ('[[judges]]\nlabel = "a"\nmodel = "n"\nbase_url = "http://h/v1"', "one label"),
        ('[[judges]]\nlabel = "b"\nmodel = "n"\nbase_url = "http://u:p@h/v1"', "password"),
        ('[[judges]]\nlabel = "b c"\nmodel = "n"\nbase_url = "http://h/v1"', "pattern"),
    ],
)
def test_what_a_panel_may_not_say(tmp_path: Path, more: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(JUDGE + more)
    with pytest.raises(DataError, match=told):
        find_panel(str(path))


@pytest.mark.parametrize(("name", "digest"), sorted(RELEASED.items()))
def test_released_rubrics_never_change(name: str, digest: str) -> None:
    assert find_rubric(name).used.sha256 == digest


def test_every_rubric_is_released() -> None:
    there = {path.name for path in (data_folder("annotations") / "rubrics").iterdir()}
    assert there == {f"{name}.zh.md" for name in RELEASED}


@pytest.mark.parametrize("name", sorted(RELEASED))
@pytest.mark.parametrize("form", list(Form))
def test_a_rubric_prints_its_scale_in_both_directions(name: str, form: Form) -> None:
    rubric = find_rubric(name)
    anchors = [rubric.sections[f"grade {grade}"] for grade in GRADES]
    for turned in (False, True):
        told = rubric.system(form, reversed_scale=turned)
        places = [told.index(anchor) for anchor in anchors]
        assert places == sorted(places, reverse=turned)
        assert "{{" not in told
        assert "json" in told.lower()  # JSON mode of some providers wants the word
    first, second = ("score", "reason") if form is Form.SCORE_FIRST else ("reason", "score")
    assert told.rindex(f'"{first}"') < told.rindex(f'"{second}"')


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("<!-- cut -->", "<!-- other -->", "its sections"),
        ("<!-- cut -->", "<!-- ask -->", "its sections"),
        ("{{grades}}", "", "needs the blanks"),
        ("{{text}}", "{{nonce}}", "needs the blanks"),
    ],
)
def test_what_is_no_rubric(tmp_path: Path, before: str, after: str, told: str) -> None:
    shipped = find_rubric("relevance.v1").used.text
    path = tmp_path / "mine.md"
    path.write_text(shipped.replace(before, after), encoding="utf-8")
    with pytest.raises(DataError, match=told):
        find_rubric(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="UTF-8"):
        find_rubric(str(path))


def test_there_is_no_such_rubric() -> None:
    with pytest.raises(UsageError, match=r"relevance\.v1, sts-synonym\.v1"):
        find_rubric("relevance.v9")


def test_canaries_need_a_control(tmp_path: Path) -> None:
    shipped = data_folder("annotations") / "canaries" / "relevance.v1.zh.toml"
    names = [trick.name for trick in canary_file().trick]
    assert names == [CONTROL, "stuffed", "plea", "fake-json", "fake-fence"]
    path = tmp_path / "mine.toml"
    text = shipped.read_text(encoding="utf-8").replace('"control"', '"other"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="no trick 'control'"):
        canary_file(path)


def test_a_judge_of_a_pooled_systems_family() -> None:
    judge = Judge(label="a", model="m", base_url="http://h/v1", family="qwen")
    base = System(name="mine", kind="model", sha256="0", base="Qwen/Qwen3-Embedding-0.6B")
    other = System(name="bm25", kind="model", sha256="0")
    assert own_family(judge, [base, other]) == (
        "mine is in the pool and is of the same family (qwen)",
    )
    assert own_family(judge.model_copy(update={"family": None}), [base]) == ()
