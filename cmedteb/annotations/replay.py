"""Every number and label again, from a journal alone: no network, no data set, no model.

What a journal once gave it gives again, byte for byte; a number that was changed by hand, or a
journal that was changed since, shows. Compressed files are compared by what they hold, because
libraries compress differently.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedteb.annotations.config import AnnotationConfig, Rule
from cmedteb.annotations.consensus import Adjudication, label_pairs
from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Snapshot
from cmedteb.annotations.release.publish import Release
from cmedteb.annotations.report.assemble import make_report
from cmedteb.annotations.report.files import NAMES, report_files
from cmedteb.errors import DataError, UsageError
from cmedteb.results.files import read_json

HEADER = re.compile(r"v[1-9][0-9]*\.json")
REPORT = NAMES[0]
Header = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What was said of an annotation, in some folder.

    Attributes:
        reports: where a report lies, below the folder.
        versions: where a version of the judgements lies, and its header, which says by which
            choices it was made.
    """

    reports: tuple[str, ...]
    versions: tuple[tuple[str, Header], ...]


def read_snapshot(path: Path) -> Snapshot:
    """All that a journal holds; nothing is written, so a read-only disk will do.

    Args:
        path: of the file, or of the folder that it lies in.
    """
    with Journal.open(path, writable=False) as journal:
        return journal.snapshot()


def said_by_default(config: AnnotationConfig, version: str) -> Said:
    """A report, and a version by the annotation's own rule, as `report` and `build` write them."""
    if config.judgements is None:
        return Said(("report",), ())
    header = {
        "version": version,
        "rule": config.rule,
        "threshold": config.threshold,
        "adjudication": Adjudication.OVERRIDE,
    }
    return Said(("report",), ((f"overlays/{config.task}", header),))


def said_in(folder: Path, task: str) -> Said:
    """Reports and versions of a task that lie anywhere in a folder.

    Raises:
        UsageError: there are none.
        DataError: a header is no JSON.
    """
    reports = [path.parent for path in sorted(folder.rglob(REPORT))]
    headers = [
        path
        for path in sorted(folder.rglob("v*.json"))
        if HEADER.fullmatch(path.name) and path.parent.name == task
    ]
    if not reports and not headers:
        raise UsageError(
            f"{folder} holds no {REPORT} and no judgements of {task}: there is nothing to compare."
        )
    return Said(
        tuple(place.relative_to(folder).as_posix() for place in reports),
        tuple((path.parent.relative_to(folder).as_posix(), read_json(path)) for path in headers),
    )


def replayed(snapshot: Snapshot, said: Said, *, results: Path | None = None) -> dict[str, bytes]:
    """All of it again.

    Args:
        snapshot: the journal.
        said: what is wanted, and where.
        results: the results folder that the report was made with, if it was.

    Returns:
        Path -> content.
    """
    files: dict[str, bytes] = {}
    if said.reports:
        made = report_files(make_report(snapshot, results=results))
        files |= {_below(place, name): it for place in said.reports for name, it in made.items()}
    for place, header in said.versions:
        release = release_of(snapshot, header)
        files |= {_below(place, name): it for name, it in release.from_journal().items()}
    return files


def release_of(snapshot: Snapshot, header: Header) -> Release:
    """The version that a header tells of, made again by the choices that it names.

    Raises:
        DataError: it names none.
    """
    try:
        version, threshold = str(header["version"]), int(header["threshold"])
        rule, adjudication = Rule(header["rule"]), Adjudication(header["adjudication"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"a header does not say by which choices its version was made ({error}): it was not "
            "written by `cmedteb annotate build`, or was changed since."
        ) from error
    consensus = label_pairs(snapshot, rule=rule, threshold=threshold, adjudication=adjudication)
    return Release(snapshot, consensus, make_report(snapshot, consensus), version)


def differences(files: Mapping[str, bytes], folder: Path) -> list[str]:
    """Which of these files are not in a folder as the journal gives them."""
    told = []
    for name, content in sorted(files.items()):
        path = folder / name
        if not path.is_file():
            told.append(f"{name} is not there")
        elif _held(path.read_bytes(), name) != _held(content, name):
            told.append(f"{name} differs")
    return told


def has_scores(folder: Path, said: Said) -> bool:
    """Whether a report was made with results, which a journal does not hold."""
    documents = [read_json(folder / place / REPORT) for place in said.reports]
    return any(isinstance(one, dict) and one.get("scores") is not None for one in documents)


def _below(place: str, name: str) -> str:
    return name if place in {"", "."} else f"{place}/{name}"


def _held(content: bytes, name: str) -> bytes:
    if not name.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content
