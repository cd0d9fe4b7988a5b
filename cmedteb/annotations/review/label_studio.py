"""Tasks for Label Studio, and what it exports again.

Blind tasks carry no prediction. In the adjudication each judge is a prediction of its own, told
apart by `model_version`. Label Studio's own statistics of agreement are not needed: ours are made
from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from cmedteb.annotations.records import Phase
from cmedteb.annotations.review.items import Item, Opinion, shown_hash
from cmedteb.annotations.review.said import Problems, Said, grade_of, text_of
from cmedteb.annotations.rubric import Rubric
from cmedteb.errors import DataError

CONFIG = """<View>
  <Header value="$task" size="4"/>
  <Text name="query" value="$query"/>
  <Text name="document" value="$document"/>
  <Rating name="score" toName="document" maxRating="5" icon="star" hotkey="s"/>
  <Choices name="unsure" toName="document" choice="multiple" showInline="true">
    <Choice value="unsure" hotkey="u"/>
  </Choices>
  <TextArea name="comment" toName="document" rows="2" maxSubmissions="1"/>
{anchors}
</View>
"""


def write_config(rubric: Rubric) -> bytes:
    """The labelling interface, with the anchors of the grades below it."""
    anchors = "\n".join(
        f'  <Header value={quoteattr(rubric.sections[f"grade {grade}"])} size="6"/>'
        for grade in (5, 4, 3, 2, 1)
    )
    return CONFIG.format(anchors=anchors).encode()


def write_tasks(items: Sequence[Item], *, task: str, reviewer: str, phase: Phase) -> bytes:
    """The tasks of one reviewer."""
    tasks = []
    for item in items:
        data = {"item": item.item_id, "reviewer": reviewer, "phase": str(phase), "task": task}
        texts = {"query": item.query, "document": item.document}
        entry: dict[str, Any] = {"data": data | texts}
        if phase is Phase.ADJUDICATION:
            entry["predictions"] = [_prediction(opinion) for opinion in item.opinions]
        tasks.append(entry)
    return (json.dumps(tasks, ensure_ascii=False, indent=1) + "\n").encode()


def _prediction(opinion: Opinion) -> dict[str, Any]:
    places = {"to_name": "document", "from_name": "score"}
    result: list[dict[str, Any]] = []
    if opinion.grade is not None:
        result.append(places | {"type": "rating", "value": {"rating": opinion.grade}})
    comment = places | {"from_name": "comment", "type": "textarea"}
    result.append(comment | {"value": {"text": [opinion.reason]}})
    return {"model_version": opinion.judge, "result": result}


def read_tasks(content: bytes, name: str, problems: Problems) -> Iterator[Said]:
    """What one annotator said, from an export as `JSON`; skipped and open tasks are left out.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    try:
        tasks = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{name}: no JSON ({error})") from error
    for number, task in enumerate(tasks, start=1):
        where = f"{name} task {number}"
        with problems.noted():
            annotations = _annotations(task, where)
            if annotations:
                yield _said(task["data"], annotations[0], where)


def _annotations(task: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise DataError(f"{where}: no task of Label Studio. Export as `JSON`, not `JSON-MIN`.")
    found = task.get("annotations") or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{where}: its annotations are no list of objects")
    kept = [one for one in found if not one.get("was_cancelled")]
    if len(kept) > 1:
        raise DataError(
            f"{where}: {len(kept)} annotations. A file is one reviewer's: give each a project of "
            "their own, and delete the annotations that do not count."
        )
    return kept


def _said(data: dict[str, Any], annotation: dict[str, Any], where: str) -> Said:
    values = {}
    for result in annotation.get("result") or []:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            raise DataError(f"{where}: a result without a value")
        values[result.get("from_name")] = result["value"]
    comment = values.get("comment", {}).get("text") or []
    lines = comment if isinstance(comment, list) else [comment]
    texts = [text_of(data.get(side), f"{where} ({side})") for side in ("query", "document")]
    return Said(
        where=where,
        item_id=text_of(data.get("item"), f"{where} (item)"),
        reviewer=text_of(data.get("reviewer"), f"{where} (reviewer)"),
        grade=grade_of(values.get("score", {}).get("rating"), where),
        unsure=bool(values.get("unsure", {}).get("choices")),
        comment="\n".join(text_of(line, f"{where} (comment)") for line in lines).strip(),
        shown=shown_hash(*texts),
    )
