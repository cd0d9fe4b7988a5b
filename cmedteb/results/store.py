"""The results folder: where a result lies, whether an earlier one still stands, safe writing.

    RESULTS/<org>__<model>/<revision>/<Task>.json           original judgements
    RESULTS/<org>__<model>/<revision>/<vN>/<Task>.json      other judgements, from the same receipts
    RESULTS/<org>__<model>/<revision>/model.json            the model, and what its queries cost
    RESULTS/<org>__<model>/<revision>/receipts/<Task>.tsv.gz
    RESULTS/judgements/<Task>.<hash>.tsv.gz                 what results were scored against
    RESULTS/.locks/                                         one file a task that is being run

The result is written last, so one that can be read is whole. Any number of processes may share a
folder: a task that another process is running is waited for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from cmedteb.errors import DataError, UsageError
from cmedteb.results.files import make_folder, read_gzip, read_json, sha256_of, write_json
from cmedteb.results.latency import LatencyRecord, ModelFile
from cmedteb.results.receipts import Table, content_hash, read_table
from cmedteb.results.schema import ModelRecord, TaskResult

ORIGINAL = "original"


class Overwrite(StrEnum):
    """What becomes of a result that is already there.

    NEVER keeps it and refuses to compute another in its place; MISSING computes what is not there
    with these very settings; ALWAYS computes everything anew.
    """

    NEVER = "never"
    MISSING = "missing"
    ALWAYS = "always"


@dataclass(frozen=True)
class ResultStore:
    """One results folder."""

    root: Path

    def folder(self, model: str, revision: str) -> Path:
        """Where all results of one revision of a model lie."""
        return self.root / _safe(model.replace("/", "__")) / _safe(revision)

    def path(self, model: str, revision: str, task: str, judgements: str = ORIGINAL) -> Path:
        """Where one result lies."""
        folder = self.folder(model, revision)
        return (folder if judgements == ORIGINAL else folder / judgements) / f"{task}.json"

    def receipt(self, model: str, revision: str, task: str) -> Path:
        """Where the receipt of a task lies; it does not depend on the judgements."""
        return self.folder(model, revision) / "receipts" / f"{task}.tsv.gz"

    def judgement_file(self, task: str, sha256: str) -> Path:
        """Where the judgements lie that results with this hash were scored against."""
        return self.root / "judgements" / f"{task}.{sha256[:16]}.tsv.gz"

    def standing(self, path: Path, fingerprint: str) -> TaskResult | None:
        """The result that already answers this fingerprint, if it and its receipt are whole.

        Whole is: as it was written. A file that was edited since answers nothing.
        """
        result = self.read_if_whole(path)
        if result is None or result.fingerprint != fingerprint:
            return None
        if result.checksum != result.content_checksum:
            return None
        return result if self.receipt_is_whole(path, result) else None

    def receipt_is_whole(self, path: Path, result: TaskResult) -> bool:
        """Whether the receipt that a result names is the one it was written with."""
        return sha256_of(path.parent / result.receipts.path) == result.receipts.sha256

    def read_if_whole(self, path: Path) -> TaskResult | None:
        """The result at this path; None where there is none or it cannot be read."""
        try:
            return self.read(path) if path.is_file() else None
        except DataError:
            return None

    def read(self, path: Path) -> TaskResult:
        """Read one result.

        Raises:
            DataError: not strict JSON, or not a result.
        """
        try:
            return TaskResult.model_validate(read_json(path))
        except ValidationError as error:
            raise DataError(f"{path}: not a cmedteb result: {error}") from error

    def may_write(self, path: Path, *, partial: bool, overwrite: Overwrite) -> None:
        """Refuse to replace what should be kept.

        Raises:
            UsageError: NEVER and there is a result, or a partial one would replace a whole one
                or its receipt, which all versions of the judgements share.
        """
        if overwrite is Overwrite.ALWAYS:
            return
        if overwrite is Overwrite.NEVER and self.read_if_whole(path) is not None:
            raise UsageError(
                f"{path} holds a result that this run would replace, and --overwrite never keeps "
                "it. Use --overwrite missing, or another --output."
            )
        home = self.root.joinpath(*path.relative_to(self.root).parts[:2])
        for other in (home / path.name, *sorted(home.glob(f"v*/{path.name}"))):
            there = self.read_if_whole(other)
            if partial and there is not None and not there.partial:
                raise UsageError(
                    f"{other} holds a result over all queries; a --limit run does not replace it "
                    "or its receipt. Use another --output, or --overwrite always."
                )

    def write(self, path: Path, result: TaskResult) -> TaskResult:
        """Write the model's record and the result; receipts must be there already.

        Returns:
            The result as it lies there, with its checksum.
        """
        self._write_model(result.model)
        written = result.model_copy(update={"checksum": result.content_checksum})
        write_json(path, written.model_dump())
        return written

    def add_latency(self, model: ModelRecord, record: LatencyRecord) -> Path:
        """Write what queries cost beside the model; a record of the same key is replaced.

        Returns:
            The path of `model.json`.
        """
        return self._write_model(model, record)

    def latency(self, model: str, revision: str) -> list[LatencyRecord]:
        """What is known of a model's queries, sorted by key; what cannot be read is left out."""
        found = _latency_in(self._model_path(model, revision))
        return sorted(found, key=lambda record: record.key)

    def _model_path(self, model: str, revision: str) -> Path:
        return self.folder(model, revision) / "model.json"

    def _write_model(self, model: ModelRecord, *records: LatencyRecord) -> Path:
        """Write `model.json`; the latency records that are there stay, but for those replaced."""
        path = self._model_path(model.name, model.revision)
        with self.locked(model.name, model.revision, "model.json"):
            kept = {one.key: one for one in (*_latency_in(path), *records)}
            latency = tuple(kept[key] for key in sorted(kept))
            document = ModelFile(**model.model_dump(), latency=latency)
            write_json(path, document.model_dump(mode="json"))
        return path

    def results(self) -> Iterator[tuple[Path, TaskResult]]:
        """Every result of the folder, sorted by path.

        Raises:
            DataError: a file that lies where results lie is none.
        """
        patterns = ("*/*/*.json", "*/*/v*/*.json")
        for path in sorted({path for pattern in patterns for path in self.root.glob(pattern)}):
            if path.name not in {"model.json", "model_meta.json"}:
                yield path, self.read(path)

    def receipt_table(self, path: Path, result: TaskResult) -> Table:
        """What the model returned.

        Raises:
            DataError: the receipt is missing, or is not the one the result was scored from.
        """
        if not self.receipt_is_whole(path, result):
            raise DataError(
                f"the receipt of {path} is missing or was changed since. Run {result.task_name} "
                f"for {result.model.name} again."
            )
        return read_table(path.parent / result.receipts.path)

    def judgement_table(self, result: TaskResult) -> Table:
        """What a result was scored against.

        Raises:
            DataError: the file is missing, or does not hold the judgements it was written with.
        """
        path = self.judgement_file(result.task_name, result.judgements.sha256)
        if content_hash(read_gzip(path)) != result.judgements.sha256:
            raise DataError(
                f"{path} was changed since it was written. Run {result.task_name} for "
                f"{result.model.name} again."
            )
        return read_table(path)

    @contextmanager
    def locked(self, model: str, revision: str, task: str) -> Iterator[bool]:
        """Hold this task for this process; yields whether another process had to be waited for.

        The operating system frees the lock of a process that dies.
        """
        name = _safe(f"{model.replace('/', '__')}@{revision}@{task}")
        lock = FileLock(self.root / ".locks" / f"{name}.lock")
        make_folder(self.root / ".locks")
        waited = False
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waited = True
            lock.acquire()
        try:
            yield waited
        finally:
            lock.release()


def _latency_in(path: Path) -> list[LatencyRecord]:
    """The records of a file that can be read; a result is worth more than to fail for the rest."""
    try:
        document = read_json(path) if path.is_file() else None
    except DataError:
        return []
    entries = document.get("latency", []) if isinstance(document, dict) else []
    found = []
    for entry in entries if isinstance(entries, list) else []:
        with suppress(ValidationError):
            found.append(LatencyRecord.model_validate(entry))
    return found


def _safe(name: str) -> str:
    """A name as one path component; what could climb or hide is replaced."""
    return re.sub(r"[^\w.@+-]", "-", name).lstrip(".") or "unnamed"
