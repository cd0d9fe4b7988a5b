"""Takes returned files into the journal, all or nothing: what a reviewer said is never replaced."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cmedteb.annotations.journal import Journal
from cmedteb.annotations.records import Pair, Phase, Review, Snapshot
from cmedteb.annotations.review.drawn import Drawn, by_item
from cmedteb.annotations.review.items import shown_hash
from cmedteb.annotations.review.label_studio import read_tasks
from cmedteb.annotations.review.lines import read_jsonl
from cmedteb.annotations.review.said import Problems, Said
from cmedteb.annotations.review.sheet import read_sheet
from cmedteb.annotations.texts import read_texts, shown
from cmedteb.errors import DataError, UsageError

BOM = b"\xef\xbb\xbf"
Key = tuple[str, str, Phase, int]


class Imported(NamedTuple):
    """What an import added.

    Attributes:
        reviews: by reviewer and phase.
        passed_by: rows without a grade, a mark or a comment.
        known: rows that were in the journal already; only with `new_only`.
        still_open: sights of these reviewers that have no answer yet.
    """

    reviews: dict[tuple[str, Phase], int]
    passed_by: int
    known: int
    still_open: int


def import_reviews(folder: Path, files: Sequence[Path], *, new_only: bool = False) -> Imported:
    """Read returned files of any format and add what they say.

    Args:
        folder: of the annotation.
        files: sheets, downloads of the page, or exports of Label Studio, in any mixture.
        new_only: leave out rows that say what the journal already holds, instead of refusing them.

    Raises:
        DataError: an unknown item, a changed text, a sight twice, or what is no grade; names the
            rows, and nothing is added.
    """
    texts = read_texts(folder)
    with Journal.open(folder) as journal:
        snapshot = journal.snapshot()
        desk = _Desk(snapshot, texts, by_item(journal), new_only=new_only)
        for path in files:
            desk.take(path)
        desk.problems.settle()
        if not desk.rows and not desk.known:
            raise DataError("nothing was imported: no row has a grade, a mark or a comment.")
        journal.add_reviews(desk.rows)
    return Imported(
        dict(Counter((row.reviewer, row.phase) for row in desk.rows)),
        desk.passed_by,
        desk.known,
        desk.still_open(),
    )


@dataclass
class _Desk:
    """Where rows are checked one by one before any is kept."""

    snapshot: Snapshot
    texts: Mapping[str, str]
    drawn: Mapping[str, Drawn]
    new_only: bool
    problems: Problems = field(default_factory=Problems)
    rows: list[Review] = field(default_factory=list)
    passed_by: int = 0
    known: int = 0

    def __post_init__(self) -> None:
        self._pairs: dict[str, Pair] = {pair.pair_id: pair for pair in self.snapshot.pairs}
        self._earlier = {_key(review): review for review in self.snapshot.reviews}
        self._seen: dict[Key, str] = {}

    def take(self, path: Path) -> None:
        """Check every row of a file."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()
        if not self.new_only and any(r.file_hash == digest for r in self.snapshot.reviews):
            self.problems.add(f"{path.name}: this very file was imported before")
            return
        for said in _rows(content, path.name, self.problems):
            with self.problems.noted():
                self._check(said, digest)

    def still_open(self) -> int:
        """Sights of the reviewers of this import that nobody has answered."""
        reviewers = {(row.reviewer, row.phase) for row in self.rows}
        answered = {*self._earlier, *(_key(row) for row in self.rows)}
        return sum(
            (one.reviewer, one.phase) in reviewers
            and (one.sight.pair_id, one.reviewer, one.phase, one.sight.repeat) not in answered
            for one in self.drawn.values()
        )

    def _check(self, said: Said, digest: str) -> None:
        drawn = self.drawn.get(said.item_id)
        if drawn is None:
            raise DataError(f"{said.where}: {said.item_id!r} is in no file of this annotation")
        if said.reviewer not in {"", drawn.reviewer}:
            raise DataError(
                f"{said.where}: {said.item_id} stands in the file of {drawn.reviewer}, not of "
                f"{said.reviewer!r}"
            )
        text = shown(self._pairs[drawn.sight.pair_id], self.texts)
        if said.shown != shown_hash(text.query, text.document):
            raise DataError(
                f"{said.where}: the texts are not those that were exported. A sheet may have "
                "turned a cell into a date or a formula, or was saved as GBK, which lacks some "
                "characters: copy the grades into a fresh export and save it as `CSV UTF-8`"
            )
        review = self._review(said, drawn, digest)
        if _key(review) in self._seen:
            raise DataError(f"{said.where}: the same as {self._seen[_key(review)]}")
        self._seen[_key(review)] = said.where
        if said.is_empty:
            self.passed_by += 1
        elif _key(review) in self._earlier:
            self._compare(review, said)
        else:
            self.rows.append(review)

    def _compare(self, review: Review, said: Said) -> None:
        earlier = self._earlier[_key(review)]
        same = (earlier.grade, earlier.unsure, earlier.comment) == (
            (review.grade, review.unsure, review.comment)
        )
        if not (same and self.new_only):
            hint = "; --new-only leaves it out" if same else f" (as {earlier.grade} then)"
            raise DataError(f"{said.where}: {review.reviewer} has answered this before{hint}")
        self.known += 1

    def _review(self, said: Said, drawn: Drawn, digest: str) -> Review:
        return Review(
            pair_id=drawn.sight.pair_id,
            reviewer=drawn.reviewer,
            phase=drawn.phase,
            repeat=drawn.sight.repeat,
            stratum=self.snapshot.strata[drawn.sight.pair_id],
            grade=said.grade,
            unsure=said.unsure,
            comment=said.comment,
            file_hash=digest,
        )


def _key(review: Review) -> Key:
    return review.pair_id, review.reviewer, review.phase, review.repeat


def _rows(content: bytes, name: str, problems: Problems) -> Iterator[Said]:
    """By what the file holds, whatever it is called."""
    start = content.removeprefix(BOM).lstrip()[:1]
    if start == b"[":
        return read_tasks(content.removeprefix(BOM), name, problems)
    if start == b"{":
        return read_jsonl(content, name, problems)
    return read_sheet(content, name, problems)
