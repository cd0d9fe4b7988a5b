"""The tables of a journal, and how their rows become values.

`pair`, `twin` and `source` are written when an annotation is planned. `intent` gets a row before a
request is sent, `call` one when it has ended, whatever came; neither is ever changed. Grades stand
in no table: they are read from the raw answers. Times are seconds since the epoch, money is in the
currency of the panel.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterator

from cmedteb.annotations.config import canonical
from cmedteb.annotations.panel import Panel
from cmedteb.annotations.records import (
    Answer,
    Pair,
    Phase,
    Purpose,
    Review,
    State,
    Verdict,
)
from cmedteb.annotations.verdict import Read, read_answer
from cmedteb.endpoints import Price

VERSION = 1
APPLICATION = 0x434D5442  # "CMTB", in the header of the file
DECLINED = "declined"
PERHAPS_PAID = "lost"

SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pair (
    pair_id TEXT PRIMARY KEY, query_id TEXT NOT NULL, doc_id TEXT NOT NULL, original INTEGER,
    query_hash TEXT NOT NULL, document_hash TEXT NOT NULL, cut INTEGER, canary TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE twin (
    pair_id TEXT NOT NULL REFERENCES pair, doc_id TEXT NOT NULL, PRIMARY KEY (pair_id, doc_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE source (
    pair_id TEXT NOT NULL REFERENCES pair, system TEXT NOT NULL, rank INTEGER NOT NULL,
    PRIMARY KEY (pair_id, system)
) STRICT, WITHOUT ROWID;
CREATE TABLE intent (
    id INTEGER PRIMARY KEY, pair_id TEXT NOT NULL, judge TEXT NOT NULL, purpose TEXT NOT NULL,
    attempt INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, reserved REAL NOT NULL,
    sent_at REAL NOT NULL
) STRICT;
CREATE TABLE call (
    id INTEGER PRIMARY KEY, intent INTEGER NOT NULL UNIQUE REFERENCES intent,
    received_at REAL NOT NULL, http INTEGER, error TEXT, code TEXT, told TEXT, raw BLOB
) STRICT;
CREATE TABLE sample (
    pair_id TEXT PRIMARY KEY REFERENCES pair, stratum TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE review (
    id INTEGER PRIMARY KEY, pair_id TEXT NOT NULL REFERENCES pair, reviewer TEXT NOT NULL,
    phase TEXT NOT NULL, repeat INTEGER NOT NULL, stratum TEXT NOT NULL, grade INTEGER,
    unsure INTEGER NOT NULL, comment TEXT NOT NULL, file_hash TEXT NOT NULL,
    UNIQUE (pair_id, reviewer, phase, repeat)
) STRICT;
"""
ORDERS = {
    "meta": "key",
    "pair": "pair_id",
    "twin": "pair_id, doc_id",
    "source": "pair_id, system",
    "intent": "id",
    "call": "id",
    "sample": "pair_id",
    "review": "id",
}
PAIRS = (
    "SELECT pair_id, query_id, doc_id, original, query_hash, document_hash, cut, canary "
    "FROM pair ORDER BY query_id, doc_id, pair_id"
)
CALLS = (
    "SELECT intent.pair_id, intent.judge, intent.purpose, intent.attempt, intent.model, "
    "intent.reserved, intent.sent_at, call.received_at, call.error, call.told, call.raw "
    "FROM call JOIN intent ON intent.id = call.intent ORDER BY call.id"
)
REVIEWS = (
    "SELECT pair_id, reviewer, phase, repeat, stratum, grade, unsure, comment, file_hash "
    "FROM review ORDER BY id"
)


def write_pair(connection: sqlite3.Connection, pair: Pair) -> None:
    """Write a pair with its twins and sources."""
    row = (pair.pair_id, pair.query_id, pair.doc_id, pair.original, pair.query_hash)
    more = (pair.document_hash, pair.cut, pair.canary)
    connection.execute("INSERT INTO pair VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row + more)
    twins = [(pair.pair_id, doc) for doc in sorted(set(pair.twins))]
    connection.executemany("INSERT INTO twin VALUES (?, ?)", twins)
    sources = [(pair.pair_id, system, rank) for system, rank in sorted(pair.ranks.items())]
    connection.executemany("INSERT INTO source VALUES (?, ?, ?)", sources)


def read_pairs(connection: sqlite3.Connection) -> tuple[Pair, ...]:
    """All pairs, by query id and document id."""
    twins: defaultdict[str, list[str]] = defaultdict(list)
    for pair_id, doc in connection.execute("SELECT * FROM twin ORDER BY pair_id, doc_id"):
        twins[pair_id].append(doc)
    ranks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for pair_id, system, rank in connection.execute("SELECT * FROM source ORDER BY 1, 2"):
        ranks[pair_id][system] = rank
    return tuple(
        Pair(
            pair_id=pair_id,
            query_id=query,
            doc_id=doc,
            original=original,
            twins=tuple(twins.get(pair_id, ())),
            ranks=ranks.get(pair_id, {}),
            query_hash=query_hash,
            document_hash=document_hash,
            cut=cut,
            canary=canary,
        )
        for (
            pair_id,
            query,
            doc,
            original,
            query_hash,
            document_hash,
            cut,
            canary,
        ) in connection.execute(PAIRS)
    )


def read_answers(connection: sqlite3.Connection, panel: Panel) -> Iterator[Answer]:
    """What became of every call, in the order in which they ended.

    The cost of an answer follows from its tokens and the prices of the panel. A call whose answer
    was lost, or does not tell its tokens, counts with the most that it can have cost.
    """
    prices = {judge.label: judge.price for judge in panel.judges}
    for row in connection.execute(CALLS):
        pair_id, judge, purpose, attempt, model, reserved, sent, received, error, told, raw = row
        read = _read(error, told, raw)
        priced = prices.get(judge)
        cost = 0.0
        if error == PERHAPS_PAID or (error is None and read.tokens_in is None and read.charged):
            cost = reserved
        elif priced is not None and read.tokens_in is not None:
            price = Price(priced.input, priced.output, priced.cached)
            cost = price.of(read.tokens_in, read.tokens_out or 0, read.tokens_cached or 0)
        yield Answer(
            pair_id=pair_id,
            judge=judge,
            purpose=Purpose(purpose),
            attempt=attempt,
            verdict=read.verdict,
            requested_model=model,
            returned_model=read.returned_model,
            fingerprint=read.fingerprint,
            finish_reason=read.finish_reason,
            tokens_in=read.tokens_in,
            tokens_cached=read.tokens_cached,
            tokens_out=read.tokens_out,
            cost=cost,
            sent_at=sent,
            received_at=received,
        )


def _read(error: str | None, told: str | None, raw: bytes | None) -> Read:
    if error is None and raw is not None:
        return read_answer(zlib.decompress(raw))
    state = State.REFUSED if error == DECLINED else State.FAILED
    return Read(Verdict(state, None, told or str(error)))


def read_reviews(connection: sqlite3.Connection) -> tuple[Review, ...]:
    """All reviews, in the order of import."""
    return tuple(
        Review(pair, reviewer, Phase(phase), repeat, stratum, grade, bool(unsure), comment, digest)
        for (
            pair,
            reviewer,
            phase,
            repeat,
            stratum,
            grade,
            unsure,
            comment,
            digest,
        ) in connection.execute(REVIEWS)
    )


def content_sha256(connection: sqlite3.Connection) -> str:
    """Hash of every row in canonical form: the same however SQLite lays out its pages."""
    digest = hashlib.sha256(f"{VERSION}\n".encode())
    for table, order in ORDERS.items():
        digest.update(f"{table}\n".encode())
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}"):
            values = [_plain(value) for value in row]
            digest.update(canonical(values).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, bytes):  # raw answers; zlib may pack them differently one day
        return hashlib.sha256(zlib.decompress(value)).hexdigest()
    return value
