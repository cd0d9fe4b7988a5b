"""What a release says of itself. Run: pytest tests/leaderboard/test_release.py -q.

Held against a header as the annotator publishes it. Degenerate inputs: an empty header, a bound
without its value, estimates that have none.
"""

from __future__ import annotations

import json
from typing import Any

from annotations.annotation_support import pair
from annotations.snapshot_support import settings, snapshot

from cmedteb.annotations.config import Judgements
from cmedteb.annotations.consensus import label_pairs
from cmedteb.annotations.release.overlay_file import overlay_files
from cmedteb.annotations.report.assemble import make_report
from cmedteb.leaderboard.site.release import NAMED, Said, said
from cmedteb.leaderboard.site.text import Texts
from cmedteb.resources import data_folder


def published() -> dict[str, Any]:
    pairs = [pair("q1", "d1", original=2), pair("q1", "d2"), pair("q2", "d3"), pair("q2", "d4")]
    grades = [(5, 4, 5), (5, 4, 5), (1, 2, 1), (5, 5, 1)]
    pool = snapshot(pairs, grades, of=settings(judgements=Judgements(sha256="0" * 64)))
    made = label_pairs(pool)
    document: dict[str, Any] = json.loads(
        overlay_files(made, make_report(pool, made), "v1")["v1.json"]
    )
    return document


def test_every_name_is_in_the_texts() -> None:
    texts = Texts(data_folder("leaderboard") / "site" / "i18n")
    assert all(texts.plain(f"release.{name}", "en") for name in NAMED.values())


def test_a_published_header_is_shown_by_name_alone() -> None:
    header = published()
    shown = {one.key.removeprefix("release."): one for one in said(header)}
    assert all(one.named for one in shown.values())
    kappa = header["statistics"]["agreement"]["binary"]["coefficients"]["fleiss_kappa"]
    assert shown["binary.kappa"].value == f"{kappa['value']:.3f}"
    assert shown["binary.kappa"].interval == f"{kappa['low']:.3f}\N{EN DASH}{kappa['high']:.3f}"
    assert shown["judges"].value == "a-model, b-model, c-model"
    assert (shown["added"].value, shown["queries"].value) == ("1", "2")
    # No expert has looked at these.
    missing = set(NAMED.values()) - shown.keys()
    assert missing == {"kappa", "experts", "experts.kappa", "experts.confirmed"}


def test_of_a_header_by_hand_everything_is_shown() -> None:
    header = {
        "task": "T",
        "version": "v1",
        "by": ["one", "two"],
        "nothing": None,
        "odd_low": 0.1,
        "odd": {"value": "<b>", "low": "a", "high": []},
        "statistics": {"fleiss_kappa": 0.731, "fleiss_kappa_low": 0.7, "fleiss_kappa_high": 0.75},
    }
    assert said(header) == [
        Said("release.kappa", True, "0.731", "0.700\N{EN DASH}0.750"),
        Said("by", False, "one, two", ""),
        Said("odd_low", False, "0.1", ""),
        Said("odd", False, "<b>", ""),
    ]


def test_an_estimate_without_a_value_is_left_out() -> None:
    unknown = {"value": None, "low": None, "high": None, "why": "no-cases"}
    assert said({"one": unknown, "two": {**unknown, "value": 0.5}}) == [
        Said("two", False, "0.5", "")
    ]
    assert said({}) == []
