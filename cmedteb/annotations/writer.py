"""Writes rows of many threads into one SQLite file, many of them in one durable commit.

A thread that writes waits until its row is on the disk. Rows that come while a commit is under way
go into the next one together, so that the cost of a commit is shared by whoever waits for it.
"""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

MOST = 512
BUSY_S = 30.0


class _Row(NamedTuple):
    statement: str
    values: tuple[Any, ...]
    done: Future[int]


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive a crash of the machine."""
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=BUSY_S, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


class Writer:
    """The one thread that writes.

    Args:
        path: of the SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: SimpleQueue[_Row | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cmedteb-journal", daemon=True)
        self._thread.start()

    def write(self, statement: str, values: tuple[Any, ...]) -> int:
        """Write one row; returns its number when it is on the disk.

        Raises:
            sqlite3.Error: it could not be written.
        """
        done: Future[int] = Future()
        self._rows.put(_Row(statement, values, done))
        return done.result()

    def close(self) -> None:
        """Write what is waiting, and end."""
        self._rows.put(None)
        self._thread.join()

    def _work(self) -> None:
        connection = connect(self._path)
        try:
            last = False
            while not last:
                rows, last = self._next()
                if rows:
                    _commit(connection, rows)
        finally:
            connection.close()

    def _next(self) -> tuple[list[_Row], bool]:
        """All rows that wait, at least one; and whether they are the last."""
        rows: list[_Row] = []
        waiting = self._rows.get()
        while waiting is not None:
            rows.append(waiting)
            if len(rows) >= MOST:
                return rows, False
            try:
                waiting = self._rows.get_nowait()
            except Empty:
                return rows, False
        return rows, True


def _commit(connection: sqlite3.Connection, rows: list[_Row]) -> None:
    numbers: list[int] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        numbers += [connection.execute(row.statement, row.values).lastrowid or 0 for row in rows]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for row in rows:
            row.done.set_exception(error)
        return
    for row, number in zip(rows, numbers, strict=True):
        row.done.set_result(number)
