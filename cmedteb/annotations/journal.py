"""The journal of an annotation: one SQLite file, `DIR/journal.sqlite`, that only ever grows.

What it promises: an answer that reached us is on the disk before anything reads it; a process that
is killed loses nothing and can repeat at most the calls that were in flight; every number that is
said of an annotation can be said again from this file alone. Texts of the data set are not in it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import ValidationError

from cmedteb.annotations import tables
from cmedteb.annotations.config import AnnotationConfig
from cmedteb.annotations.records import Pair, Purpose, Review, Snapshot
from cmedteb.annotations.writer import Writer, connect
from cmedteb.errors import DataError, UsageError

FILE = "journal.sqlite"
CONFIG = "config"
NAMED = 3  # ids shown in a message
INTENT = (
    "INSERT INTO intent (pair_id, judge, purpose, attempt, key, model, reserved, sent_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
CALL = (
    "INSERT INTO call (intent, received_at, http, error, code, told, raw) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
REMEMBER = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
RAW = (
    "SELECT intent.pair_id, intent.attempt, call.error, call.raw FROM call "
    "JOIN intent ON intent.id = call.intent WHERE intent.purpose = ? ORDER BY call.id"
)
ORPHANS = (
    "SELECT judge, count(*), sum(reserved) FROM intent "
    "WHERE id NOT IN (SELECT intent FROM call) GROUP BY judge ORDER BY judge"
)


class Intent(NamedTuple):
    """A request about to be sent.

    Attributes:
        pair_id: the pair; empty for a probe.
        judge: label of the judge.
        purpose: why it is asked.
        attempt: from 1.
        key: sha256 of the request's body and the judge's label, without secrets.
        model: the name that is asked for.
        reserved: the most that it can cost.
        sent_at: seconds since the epoch.
    """

    pair_id: str
    judge: str
    purpose: Purpose
    attempt: int
    key: str
    model: str
    reserved: float
    sent_at: float


class Ended(NamedTuple):
    """What became of a request.

    Attributes:
        received_at: seconds since the epoch.
        http: the status, where there was one.
        error: None for an answer; else its class: `declined` for what a provider does not want
            to read, or a `cmedteb.endpoints.transport.Kind`.
        code: the provider's error code.
        told: the words of an error.
        raw: the body of an answer, as it came.
    """

    received_at: float
    http: int | None = None
    error: str | None = None
    code: str | None = None
    told: str | None = None
    raw: bytes | None = None


class RawAnswer(NamedTuple):
    """An answer as it came.

    Attributes:
        asked_id: `pair_id` of its intent.
        attempt: from 1.
        error: its class where there is no answer.
        raw: the body.
    """

    asked_id: str
    attempt: int
    error: str | None
    raw: bytes | None


class Exposure(NamedTuple):
    """Requests of a judge that were sent and never ended here: a crash; they may have been paid."""

    calls: int
    most: float


class Journal:
    """A journal that is open; a context manager. Its methods may be called from any thread.

    Args:
        path: of the SQLite file.
        connection: to it.
        writable: whether rows can be added.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool) -> None:
        self.path = path
        self.config = _config(path, connection)
        self._connection = connection
        self._lock = threading.RLock()
        self._writer: Writer | None = None
        self._writable = writable

    @classmethod
    def create(cls, path: Path, config: AnnotationConfig, pairs: Sequence[Pair]) -> Self:
        """Begin an annotation in a folder; one that was planned alike is opened.

        Raises:
            UsageError: another annotation lies there.
        """
        file = _file(path)
        if file.exists():
            there = cls.open(path)
            if there.config != config or there.pairs() != _sorted(pairs):
                there.close()
                raise UsageError(
                    f"{file} is the journal of another annotation (other choices, other data or "
                    "another panel). Plan this one in a folder of its own."
                )
            return there
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.unlink(missing_ok=True)
        connection = sqlite3.connect(part, isolation_level=None)
        try:
            connection.executescript(tables.SCHEMA)
            connection.execute("BEGIN")
            connection.execute("INSERT INTO meta VALUES (?, ?)", (CONFIG, config.to_json()))
            for pair in _sorted(pairs):
                tables.write_pair(connection, pair)
            connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            part.unlink()
            raise DataError(f"a pair stands twice in the pool ({error})") from error
        finally:
            connection.close()
        part.replace(file)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, writable: bool = True) -> Self:
        """Open the journal of a folder, or the file itself.

        Args:
            path: the folder, or the file.
            writable: False for a file that is only to be read, on a read-only disk too.

        Raises:
            UsageError: there is none.
            DataError: the file is no journal, is damaged, or is newer than this package.
        """
        file = _file(path)
        if not file.is_file():
            raise UsageError(f"{file} is not there. `cmedteb annotate plan DIR` begins one.")
        with _readable(file):
            connection = connect(file) if writable else _read_only(file)
            _check(file, connection)
            return cls(file, connection, writable=writable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is waiting, and close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._connection.close()

    def intend(self, intent: Intent) -> int:
        """Note that a request is about to be sent; returns its number when that is on the disk."""
        return self._writing().write(INTENT, intent)

    def add_call(self, number: int, ended: Ended) -> None:
        """Note what became of a request; returns when that is on the disk."""
        raw = None if ended.raw is None else zlib.compress(ended.raw)
        self._writing().write(CALL, (number, *ended[:-1], raw))

    def remember(self, key: str, value: str) -> None:
        """Keep something that was found out, such as how a judge's answers are kept in shape."""
        self._writing().write(REMEMBER, (f"found:{key}", value))

    def recall(self, key: str) -> str | None:
        """What was kept under this key."""
        with self._lock:
            row = self._connection.execute(
                "SELECT value FROM meta WHERE key = ?", (f"found:{key}",)
            ).fetchone()
        return None if row is None else str(row[0])

    def add_reviews(self, rows: Iterable[Review]) -> int:
        """Add what people said, all or nothing; returns how many.

        Raises:
            DataError: an unknown pair, or something that the reviewer has already said: nothing
                is ever overwritten.
        """
        reviews = list(rows)
        known = {pair.pair_id for pair in self.pairs()}
        strangers = [review.pair_id for review in reviews if review.pair_id not in known]
        if strangers:
            raise DataError(f"{self.path} has no pairs {', '.join(strangers[:NAMED])}")
        statement = (
            "INSERT INTO review (pair_id, reviewer, phase, repeat, stratum, grade, unsure, "
            "comment, file_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        with self._transaction() as connection:
            for one in reviews:
                values = (one.pair_id, one.reviewer, str(one.phase), one.repeat, one.stratum)
                more = (one.grade, int(one.unsure), one.comment, one.file_hash)
                try:
                    connection.execute(statement, values + more)
                except sqlite3.IntegrityError as error:
                    raise DataError(
                        f"{one.reviewer} has already said something of pair {one.pair_id} "
                        f"({one.phase}, sight {one.repeat + 1}): nothing is overwritten, and "
                        "nothing of this import was kept"
                    ) from error
        return len(reviews)

    def set_strata(self, strata: Mapping[str, str]) -> None:
        """Note the stratum of pairs that were drawn for review; a pair never changes its own.

        Raises:
            DataError: an unknown pair, or a pair that was drawn from another stratum.
        """
        before = self.strata()
        changed = [
            pair for pair in sorted(strata) if before.get(pair, strata[pair]) != strata[pair]
        ]
        if changed:
            raise DataError(f"pairs {', '.join(changed[:NAMED])} were drawn from other strata")
        new = sorted((pair, strata[pair]) for pair in strata if pair not in before)
        with self._transaction() as connection:
            try:
                connection.executemany("INSERT INTO sample VALUES (?, ?)", new)
            except sqlite3.IntegrityError as error:
                raise DataError(f"{self.path} does not have all pairs of the sample") from error

    def pairs(self) -> tuple[Pair, ...]:
        """The pool and the canaries, by query id and document id."""
        with self._lock:
            return tables.read_pairs(self._connection)

    def strata(self) -> dict[str, str]:
        """Pair id -> stratum, of the pairs that were drawn for review."""
        with self._lock:
            return dict(self._connection.execute("SELECT * FROM sample ORDER BY pair_id"))

    def raw_answers(self, purpose: Purpose) -> list[RawAnswer]:
        """Answers of one purpose as they came, in the order in which they ended."""
        with self._lock:
            rows = self._connection.execute(RAW, (str(purpose),)).fetchall()
        return [
            RawAnswer(asked, attempt, error, None if raw is None else zlib.decompress(raw))
            for asked, attempt, error, raw in rows
        ]

    def exposure(self) -> dict[str, Exposure]:
        """Judge -> requests that never ended here."""
        with self._lock:
            rows = self._connection.execute(ORPHANS).fetchall()
        return {judge: Exposure(calls, most) for judge, calls, most in rows}

    def snapshot(self) -> Snapshot:
        """All that is in the journal at this moment."""
        with self._lock, self._moment():
            return Snapshot(
                config=self.config,
                pairs=tables.read_pairs(self._connection),
                answers=tuple(tables.read_answers(self._connection, self.config.panel)),
                reviews=tables.read_reviews(self._connection),
                sha256=tables.content_sha256(self._connection),
                strata=self.strata(),
            )

    def content_sha256(self) -> str:
        """Hash of every row in canonical form, independent of how SQLite lays out its pages."""
        with self._lock, self._moment():
            return tables.content_sha256(self._connection)

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """Read everything as it is at one moment, though others go on writing."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self._must_be_writable()
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _writing(self) -> Writer:
        self._must_be_writable()
        with self._lock:
            if self._writer is None:
                self._writer = Writer(self.path)
            return self._writer

    def _must_be_writable(self) -> None:
        if not self._writable:
            raise UsageError(f"{self.path} was opened to be read only")


def _file(path: Path) -> Path:
    return path / FILE if path.is_dir() or path.suffix != ".sqlite" else path


def _sorted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """As they come back: by query id and document id, and so are twins."""
    plain = [replace(pair, twins=tuple(sorted(set(pair.twins)))) for pair in pairs]
    return tuple(sorted(plain, key=lambda pair: (pair.query_id, pair.doc_id, pair.pair_id)))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file}: no journal, or a damaged one ({error}). A copy must be made while nothing "
            f"writes, or with {file.name}-wal beside it."
        ) from error


def _read_only(file: Path) -> sqlite3.Connection:
    """Without a log beside it nothing is written, so that a read-only folder will do."""
    alone = not file.with_name(f"{file.name}-wal").exists()
    address = f"{file.resolve().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)


def _check(file: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != tables.APPLICATION:
        raise DataError(f"{file}: a database, but no journal of an annotation")
    if version > tables.VERSION:
        raise DataError(
            f"{file}: written by a newer cmedteb (journal version {version}, this one reads "
            f"{tables.VERSION}). Update cmedteb."
        )


def _config(file: Path, connection: sqlite3.Connection) -> AnnotationConfig:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (CONFIG,)).fetchone()
    try:
        return AnnotationConfig.model_validate(json.loads(row[0]))
    except (TypeError, ValueError, ValidationError) as error:
        raise DataError(f"{file}: its config cannot be read: {error}") from error
