"""Files out and back in: all or nothing, nothing overwritten, blind before adjudication."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from annotations.review.support import ready
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Phase, Snapshot
from cmedteb.annotations.review import Format, ReviewPlan, export_reviews, import_reviews
from cmedteb.errors import DataError, UsageError
from cmedteb.resources import data_folder


def export(folder: Path, **changes: Any) -> dict[str, Path]:
    """Export for li; the files by name."""
    facts: dict[str, Any] = {"pairs": 30, "reviewers": ("li",)}
    done = export_reviews(folder, ReviewPlan(**{**facts, **changes}))
    return {path.name: path for path in done.files}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def returned(path: Path, rows: list[dict[str, str]], name: str = "back.csv") -> Path:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    back = path.with_name(name)
    back.write_text(stream.getvalue(), encoding="utf-8-sig", newline="")
    return back


def graded(path: Path, grade: str = "4", *, first: int | None = None) -> Path:
    """A sheet with a grade in its (first) rows."""
    rows = rows_of(path)
    for row in rows[:first]:
        row["score_1_to_5"] = grade
    return returned(path, rows)


def snapshot(folder: Path) -> Snapshot:
    with Journal.open(folder) as journal:
        return journal.snapshot()


def test_a_sheet_goes_out_and_comes_back(annotation: Path) -> None:
    files = export(annotation)
    back = graded(files["review.csv"])
    done = import_reviews(annotation, [back])
    assert done.reviews == {("li", Phase.BLIND): 33}
    assert (done.passed_by, done.still_open) == (0, 0)
    after = snapshot(annotation)
    assert sum(review.repeat for review in after.reviews) == 3
    assert {review.grade for review in after.reviews} == {4}
    assert all(after.strata[review.pair_id] == review.stratum for review in after.reviews)


def test_strata_of_the_whole_pool_are_frozen(annotation: Path) -> None:
    export(annotation)
    after = snapshot(annotation)
    assert set(after.strata) == {pair.pair_id for pair in after.pairs}
    assert len(set(after.strata.values())) == 6


def test_the_same_export_again_asks_for_the_same(annotation: Path) -> None:
    files = export(annotation)
    before = {name: path.read_bytes() for name, path in files.items()}
    sha256 = snapshot(annotation).sha256
    again = export(annotation)
    assert {name: path.read_bytes() for name, path in again.items()} == before
    assert snapshot(annotation).sha256 == sha256


def test_a_file_that_may_hold_grades_is_not_written_over(annotation: Path) -> None:
    path = export(annotation)["review.csv"]
    path.write_bytes(path.read_bytes() + b"\r\n")
    with pytest.raises(UsageError, match="may hold somebody's grades"):
        export(annotation)
    export(annotation, overwrite=True)


def test_a_second_import_of_anything_is_refused(annotation: Path) -> None:
    path = export(annotation)["review.csv"]
    half = graded(path, first=10)
    assert import_reviews(annotation, [half]).still_open == 23
    with pytest.raises(DataError, match="this very file was imported before"):
        import_reviews(annotation, [half])
    whole = graded(path)
    with pytest.raises(DataError, match="row 2: li has answered this before; --new-only"):
        import_reviews(annotation, [whole])
    assert len(snapshot(annotation).reviews) == 10
    done = import_reviews(annotation, [whole], new_only=True)
    assert (done.reviews, done.known) == ({("li", Phase.BLIND): 23}, 10)
    other = graded(path, "2")
    with pytest.raises(DataError, match=r"answered this before \(as 4 then\)"):
        import_reviews(annotation, [other], new_only=True)


def test_one_bad_row_keeps_every_row_out(annotation: Path) -> None:
    rows = rows_of(path := export(annotation)["review.csv"])
    for row in rows:
        row["score_1_to_5"] = "3"
    rows[4]["pair_id"] = "r000000000000000"
    rows[5]["document"] += "."
    rows[6]["query"] = "2026/11/27"
    rows[7]["reviewer"] = "wang"
    rows[8]["score_1_to_5"] = "6"
    rows[9] = rows[10]
    with pytest.raises(DataError) as refused:
        import_reviews(annotation, [returned(path, rows)])
    told = str(refused.value).splitlines()
    assert told[0] == "nothing was imported:"
    assert ["row 6" in told[1], "in no file of this annotation" in told[1]] == [True, True]
    assert "row 7: the texts are not those that were exported" in told[2]
    assert "row 8: the texts are not those" in told[3]
    assert "row 9" in told[4]
    assert "stands in the file of li, not of 'wang'" in told[4]
    assert "row 10: '6' is no grade" in told[5]
    assert "row 12: the same as back.csv row 11" in told[6]
    assert snapshot(annotation).reviews == ()


def test_a_character_that_gbk_lacks_is_noticed(annotation: Path) -> None:
    path = export(annotation, pairs=60)["review.csv"]
    back = graded(path)
    lossy = back.read_text(encoding="utf-8-sig").replace("\u2028", "?")
    back.write_bytes(lossy.encode("gbk", "replace"))
    with pytest.raises(DataError, match="saved as GBK"):
        import_reviews(annotation, [back])


def test_a_sheet_without_answers_is_no_import(annotation: Path) -> None:
    path = export(annotation)["review.csv"]
    with pytest.raises(DataError, match="no row has a grade"):
        import_reviews(annotation, [path])


def test_unsure_alone_is_an_answer_without_a_grade(annotation: Path) -> None:
    rows = rows_of(path := export(annotation)["review.csv"])
    rows[0]["unsure"], rows[0]["comment"] = "x", "'- \u7b2c\n\u4e8c\u884c"
    import_reviews(annotation, [returned(path, rows)])
    (review,) = snapshot(annotation).reviews
    assert (review.grade, review.unsure) == (None, True)
    assert review.comment == "'- \u7b2c\n\u4e8c\u884c"


def label_studio(path: Path, grades: list[int]) -> list[dict[str, Any]]:
    """The tasks with one annotation each, as Label Studio exports them."""
    tasks = json.loads(path.read_text(encoding="utf-8"))
    for number, (task, grade) in enumerate(zip(tasks, grades, strict=False), start=1):
        places = {"to_name": "document", "from_name": "score", "type": "rating"}
        result = [{**places, "value": {"rating": grade}}]
        result.append({"from_name": "unsure", "type": "choices", "value": {"choices": ["unsure"]}})
        result.append({"from_name": "comment", "type": "textarea", "value": {"text": ["a", "b"]}})
        task |= {"id": number, "annotations": [{"id": number, "result": result}]}
    return list(tasks)


def test_label_studio_out_and_back(annotation: Path) -> None:
    files = export(annotation)
    tasks = label_studio(files["labelstudio_tasks_blind.json"], [1, 2, 3])
    tasks[2]["annotations"][0]["was_cancelled"] = True
    back = files["review.csv"].with_name("project-1.json")
    back.write_text(json.dumps(tasks), encoding="utf-8")
    assert import_reviews(annotation, [back]).reviews == {("li", Phase.BLIND): 2}
    kept = snapshot(annotation).reviews
    assert [(one.grade, one.unsure, one.comment) for one in kept] == [
        (1, True, "a\nb"),
        (2, True, "a\nb"),
    ]
    tasks[3]["annotations"] = [{"result": []}, {"result": []}]
    back.write_text(json.dumps(tasks), encoding="utf-8")
    with pytest.raises(DataError, match=r"task 4: 2 annotations\. A file is one reviewer's"):
        import_reviews(annotation, [back])


def test_label_studios_interface_is_xml_and_names_what_tasks_hold(annotation: Path) -> None:
    files = export(annotation)
    view = Xml.fromstring(files["labelstudio_config.xml"].read_text(encoding="utf-8"))
    tasks = json.loads(files["labelstudio_tasks_blind.json"].read_text(encoding="utf-8"))
    wanted = {tag.get("value", "")[1:] for tag in view if tag.get("value", "").startswith("$")}
    assert wanted <= set(tasks[0]["data"])
    assert all("predictions" not in task for task in tasks)
    rating = view.find("Rating")
    assert rating is not None
    assert (rating.get("name"), rating.get("toName"), rating.get("maxRating")) == (
        ("score", "document", "5")
    )


def test_judges_are_predictions_in_the_adjudication_alone(annotation: Path) -> None:
    import_reviews(annotation, [graded(export(annotation)["review.csv"])])
    files = export(annotation, phase=Phase.ADJUDICATION)
    tasks = json.loads(files["labelstudio_tasks_adjudication.json"].read_text(encoding="utf-8"))
    for task in tasks:
        judges = [one["model_version"] for one in task["predictions"]]
        assert judges == ["judge-a", "judge-b", "judge-c"]


def test_blind_comes_before_adjudication(annotation: Path) -> None:
    with pytest.raises(UsageError, match="no blind review is in"):
        export(annotation, phase=Phase.ADJUDICATION)
    both = ReviewPlan(pairs=30, reviewers=("li", "wang"), formats=(Format.CSV,))
    li, wang = export_reviews(annotation, both).files
    import_reviews(annotation, [graded(li)])
    with pytest.raises(UsageError, match="wang: the blind review is not in yet"):
        export(annotation, phase=Phase.ADJUDICATION, reviewers=("li", "wang"))
    export(annotation, phase=Phase.ADJUDICATION)
    with pytest.raises(UsageError, match="li: has been shown what the judges said"):
        export(annotation, pairs=40)
    import_reviews(annotation, [graded(wang)])


def test_the_queue_begins_with_what_is_most_in_doubt_and_goes_on(annotation: Path) -> None:
    import_reviews(annotation, [graded(export(annotation)["review.csv"])])
    plan = {"phase": Phase.ADJUDICATION, "pairs": 5}
    first = export(annotation, **plan)["review.csv"]
    import_reviews(annotation, [graded(first, "1")])
    done = [one for one in snapshot(annotation).reviews if one.phase is Phase.ADJUDICATION]
    assert {one.stratum for one in done} == {"rejected-original"}
    assert {one.repeat for one in done} == {0}
    second = export(annotation, **plan, overwrite=True)["review.csv"]
    assert not {row["pair_id"] for row in rows_of(first.with_name("back.csv"))} & {
        row["pair_id"] for row in rows_of(second)
    }


def test_reviewers_share_pairs_under_ids_of_their_own(annotation: Path) -> None:
    plan = ReviewPlan(pairs=30, reviewers=("li", "wang"), formats=(Format.CSV,), overlap=0.5)
    li, wang = export_reviews(annotation, plan).files
    assert not {r["pair_id"] for r in rows_of(li)} & {r["pair_id"] for r in rows_of(wang)}
    import_reviews(annotation, [graded(li), graded(wang, "2")])
    pairs = {
        name: {one.pair_id for one in snapshot(annotation).reviews if one.reviewer == name}
        for name in plan.reviewers
    }
    assert len(pairs["li"] & pairs["wang"]) >= 15


def test_a_pool_that_is_not_judged_gives_no_sample(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 pairs are not judged yet"):
        export(ready(tmp_path, pairs=12, waiting=3), pairs=12)


def test_no_text_enters_the_shipped_annotations(annotation: Path) -> None:
    with pytest.raises(UsageError, match="none may enter annotations/"):
        export(annotation, to=data_folder("annotations") / "overlays")


@pytest.mark.parametrize("names", [("../li",), ("",), (".li",), ("li", "li"), ("a/b",)])
def test_a_reviewer_names_a_folder(annotation: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="each needs a name of its own"):
        export(annotation, reviewers=names)


def test_a_page_of_another_annotation_is_a_stranger(annotation: Path, tmp_path: Path) -> None:
    export(annotation)
    line = {"item": "r1", "reviewer": "li", "score": 4, "unsure": False, "text_hash": "0"}
    path = tmp_path / "download.jsonl"
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: 'r1' is in no file of this annotation"):
        import_reviews(annotation, [path])
    path.write_text(json.dumps(line | {"score": True}) + '\n{"item": 1\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"True is no grade[\s\S]*line 2: no JSON"):
        import_reviews(annotation, [path])
