"""Overlays on disk: `annotations/overlays/<Task>/vN.tsv.gz`, with a header `vN.json` beside it.

A line is `op<TAB>query-id<TAB>document-id<TAB>grade`, further columns (the judges' grades, the
source) are allowed and ignored here. `+` sets the grade, `-` says that the document is not
relevant (its grade is 0).
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cmedteb.data.judgements import Overlay
from cmedteb.errors import DataError, UsageError
from cmedteb.resources import data_folder


class Header(BaseModel):
    """What `vN.json` must say; all else in it (panel, statistics) is for people.

    Attributes:
        task: the task the overlay belongs to.
        version: `vN`, as the file is called.
        parent: sha256 of the judgements it was made for; checked where it is given.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    task: str
    version: str
    parent: str | None = None


def read_overlay(task: str, version: str, folder: Path | None = None) -> Overlay:
    """Read one version of a task's judgements.

    Args:
        task: the task's name.
        version: `vN`.
        folder: where overlays lie; by default the shipped `annotations/overlays`.

    Raises:
        UsageError: there is no such version; lists those there are.
        DataError: header or lines are malformed.
    """
    folder = (folder or data_folder("annotations") / "overlays") / task
    path = folder / f"{version}.tsv.gz"
    if not path.is_file():
        there = sorted(file.name.removesuffix(".tsv.gz") for file in folder.glob("*.tsv.gz"))
        raise UsageError(
            f"there are no judgements {version!r} of {task} in {folder}. "
            f"There are: {', '.join(['original', *there])}"
        )
    header = _read_header(folder / f"{version}.json", task=task, version=version)
    return Overlay(task=task, version=version, grades=_read_grades(path), parent=header.parent)


def _read_header(path: Path, *, task: str, version: str) -> Header:
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        header = Header.model_validate(document)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: an overlay needs its header beside it") from error
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(f"{path}: not a valid overlay header: {error}") from error
    if (header.task, header.version) != (task, version):
        raise DataError(
            f"{path} says it is {header.version} of {header.task}, but lies where {version} of "
            f"{task} belongs"
        )
    return header


def _read_grades(path: Path) -> dict[str, dict[str, int]]:
    try:
        lines = gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file of UTF-8 lines ({error})") from error
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if number == 1 and fields[0] == "op":
            continue
        operation, query, doc, grade = _fields(fields, where=f"{path}: line {number}")
        if doc in grades.setdefault(query, {}):
            raise DataError(f"{path}: line {number}: {query} {doc} stands twice")
        grades[query][doc] = grade if operation == "+" else 0
    return grades


def _fields(fields: list[str], *, where: str) -> tuple[str, str, str, int]:
    if len(fields) < 4 or fields[0] not in {"+", "-"}:
        raise DataError(f"{where}: expected `+` or `-`, query id, document id and grade, with tabs")
    try:
        return fields[0], fields[1], fields[2], int(fields[3])
    except ValueError as error:
        raise DataError(f"{where}: the grade {fields[3]!r} is no whole number") from error
