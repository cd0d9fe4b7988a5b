"""An overlay as it is published: `vN.tsv.gz` with its lines, and `vN.json` that says how they came.

Ids, grades and judges only, never a text. The same labels give the same bytes. A version that is
there is never replaced: labels that scores were computed under must not change behind them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.consensus import Consensus, LabelState
from cmedteb.annotations.release.rows import COLUMNS, Row, overlay_rows, positive_grade
from cmedteb.annotations.report.schema import Report
from cmedteb.errors import UsageError
from cmedteb.results.files import write_atomic

FORMAT = "cmedteb-overlay/1"
VERSION = re.compile(r"v[1-9][0-9]*")
PLAIN = re.compile(r"\w[\w.+-]*")
STATISTICS = ("pool", "agreement", "labels", "found", "calls", "drift", "experts")


def overlay_files(consensus: Consensus, report: Report, version: str) -> dict[str, bytes]:
    """`vN.tsv.gz` and `vN.json`, by name.

    Raises:
        UsageError: the version is not called `vN`, or the task has no judgements of documents.
    """
    check_version(version)
    rows = overlay_rows(consensus)
    text = "".join(f"{line}\n" for line in ["\t".join(COLUMNS), *(row.line() for row in rows)])
    header = _header(consensus, report, version, rows=rows, sha256=_sha256(text))
    return {f"{version}.tsv.gz": packed(text), f"{version}.json": header}


def check_version(version: str) -> None:
    """Refuse a name that other commands would not find.

    Raises:
        UsageError: it is not `v1`, `v2`, ...
    """
    if not VERSION.fullmatch(version):
        raise UsageError(f"versions of judgements are called v1, v2, ..., not {version!r}")


def packed(text: str) -> bytes:
    """Compressed, without a name or a date: the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as stream:
        stream.write(text.encode())
    return buffer.getvalue()


def write_new(folder: Path, files: dict[str, bytes]) -> list[Path]:
    """Write files that are not there yet; those that are, with this very content, stay.

    Raises:
        UsageError: one is there with other content.
    """
    for name, content in files.items():
        path = folder / name
        if path.exists() and path.read_bytes() != content:
            raise UsageError(
                f"{path} is there and holds something else. A published version never changes: "
                "give the next one a new number."
            )
    for name, content in files.items():
        if not (folder / name).exists():
            write_atomic(folder / name, content)
    return [folder / name for name in files]


def _header(
    consensus: Consensus, report: Report, version: str, *, rows: Sequence[Row], sha256: str
) -> bytes:
    said = report.model_dump(mode="json")
    document = {
        "format": FORMAT,
        "task": report.task,
        "version": version,
        "parent": None if report.judgements is None else report.judgements["sha256"],
        "made_for": {
            "judgements": report.judgements,
            "split": report.split,
            "dataset_revision": report.dataset_revision,
            "content_hash": report.content_hash,
        },
        "sha256": sha256,
        "rows": len(rows),
        "changes": _changes(consensus),
        "positive_grade": positive_grade(consensus),
        "rule": report.choices.rule,
        "threshold": report.choices.threshold,
        "adjudication": report.choices.adjudication,
        "panel": said["choices"],
        "rubric_sha256": report.choices.rubric_sha256,
        "journal_sha256": report.journal_sha256,
        "first_call": report.calls.first,
        "last_call": report.calls.last,
        "cmedteb_version": report.cmedteb_version,
        "statistics": {name: said[name] for name in STATISTICS},
    }
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    return f"{text}\n".encode()


def _changes(consensus: Consensus) -> dict[str, int]:
    """Pairs by what became of them."""
    seen: Counter[str] = Counter()
    for label in consensus.labels:
        if label.state is LabelState.UNDECIDED:
            seen["undecided"] += 1
        elif label.state is LabelState.POSITIVE:
            seen["confirmed" if label.was_positive else "added"] += 1
        else:
            seen["rejected" if label.was_positive else "negative"] += 1
    names = ("added", "confirmed", "rejected", "negative", "undecided")
    return {name: seen[name] for name in names}


def has_judgements(config: AnnotationConfig) -> None:
    """Refuse to make judgements for a task that has none, or that no folder can be called after.

    Raises:
        UsageError: it has none, or its name is no plain name.
    """
    if not PLAIN.fullmatch(config.task):
        raise UsageError(
            f"judgements lie in a folder named after the task, and {config.task!r} is no name"
        )
    if config.judgements is None:
        raise UsageError(
            f"{config.task} has no judgements of documents that an overlay could change. "
            "`cmedteb annotate sts` and `triplets` write data sets of their own."
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
