"""`review.html`: one page that works from the disk, behind any firewall, with nothing but itself.

All that it needs is in the file; its policy forbids every request, and scripts other than its own
one. Texts of a data set are data: they stand in a JSON block and reach the page as text only, so a
document that holds markup is shown, not run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.records import GRADES, Phase
from cmedteb.annotations.review.items import Item
from cmedteb.annotations.rubric import Rubric
from cmedteb.resources import data_folder

TEMPLATE = "review.html.j2"
# "5 fen, NAME: meaning" in full-width punctuation, as rubrics write it.
NAMED = re.compile("^[1-5] ?\u5206\uff0c([^\uff0c\uff1a\u3002]{1,8})\uff1a(.*)", re.DOTALL)
ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def write_page(
    items: Sequence[Item], config: AnnotationConfig, *, reviewer: str, phase: Phase
) -> bytes:
    """The page of one reviewer.

    Args:
        items: in the order in which they are shown.
        config: of the annotation.
        reviewer: whose page it is.
        phase: blind or adjudication.
    """
    import jinja2
    from markupsafe import Markup

    folder = data_folder("annotations") / "pages"
    css, script = (_read(folder / name) for name in ("review.css", "review.js"))
    loader = jinja2.FileSystemLoader(folder)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    rubric = Rubric.of(config.rubric)
    anchors = _anchors(rubric)
    data = {
        "export": export_id(items),
        "file": f"review-{phase}-{reviewer}.jsonl",
        "task": config.task,
        "phase": str(phase),
        "reviewer": reviewer,
        "anchors": anchors,
        "items": [_shown(item) for item in items],
        "words": json.loads(_read(folder / "review.i18n.json")),
    }
    page = environment.get_template(TEMPLATE).render(
        title=f"{config.task} {reviewer}",
        policy=_policy(css, script),
        css=Markup(css),
        script=Markup(script),
        data=Markup(json_block(data)),
        task=config.task,
        reviewer=reviewer,
        rubric=for_people(rubric),
        anchors=anchors,
    )
    return page.encode()


def export_id(items: Sequence[Item]) -> str:
    """Which file this is: another choice or order of items, or another text, is another file."""
    named = "\n".join(f"{item.item_id} {item.shown}" for item in items)
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def json_block(value: Any) -> str:  # noqa: ANN401  whatever JSON can say
    """JSON that can stand in a script element: nothing in it can end one or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(ESCAPES)


def for_people(rubric: Rubric) -> str:
    """The rubric without what it says of the form of a machine's answer."""
    grades = "\n\n".join(rubric.sections[f"grade {grade}"] for grade in sorted(GRADES)[::-1])
    text = rubric.sections["system"].replace("{{answer}}", "").replace("{{grades}}", grades)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _anchors(rubric: Rubric) -> list[dict[str, Any]]:
    anchors = []
    for grade in GRADES:
        text = rubric.sections[f"grade {grade}"]
        named = NAMED.match(text)
        name, meaning = named.groups() if named else ("", text)
        anchors.append({"grade": grade, "name": name, "text": meaning})
    return anchors


def _shown(item: Item) -> dict[str, Any]:
    return {
        "id": item.item_id,
        "hash": item.shown,
        "query": item.query,
        "document": item.document,
        "cut": item.was_cut,
        "opinions": [
            {"judge": one.judge, "grade": one.grade, "reason": one.reason} for one in item.opinions
        ],
    }


def _policy(css: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(css)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
