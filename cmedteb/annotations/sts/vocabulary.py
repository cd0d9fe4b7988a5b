"""Names of one thing, and sentences that hold them: what synonym pairs are written from.

A vocabulary is a user's own. TSV: a term, then its synonyms, parted by tabs or `|`; JSON lines:
`{"term", "synonyms": [...]}`. Sentences are JSON lines with a `text`, as queries are. Without any
the writer makes the first sentence too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cmedteb.data.rows import Field, read_batches, read_lines, suffix_of
from cmedteb.errors import DataError, UsageError

HEADER = "term"
FIELDS = {"term": Field(("term",)), "synonyms": Field(("synonyms",))}


class Group(NamedTuple):
    """A term and what else it is called."""

    term: str
    synonyms: tuple[str, ...]

    def named(self, name: str) -> Group:
        """The same group as seen from one of its names."""
        names = (self.term, *self.synonyms)
        return Group(name, tuple(other for other in names if other != name))


class Seed(NamedTuple):
    """What one pair is written from.

    Attributes:
        seed_id: a hash of the rest.
        term: the name that is to be replaced.
        synonyms: what may replace it.
        sentence: holds the term; None leaves it to the writer.
    """

    seed_id: str
    term: str
    synonyms: tuple[str, ...]
    sentence: str | None


def read_vocabulary(path: Path) -> tuple[Group, ...]:
    """The groups of a file, in its order; those of one term are one.

    Raises:
        DataError: a term without a synonym, or a file that cannot be read.
    """
    merged: dict[str, dict[str, None]] = {}
    for where, term, synonyms in _entries(path):
        names = [name.strip() for name in synonyms]
        others = [name for name in names if name and name != term.strip()]
        if not term.strip() or not others:
            raise DataError(f"{where}: a term and at least one other name of it are needed")
        merged.setdefault(term.strip(), {}).update(dict.fromkeys(others))
    if not merged:
        raise DataError(f"{path}: there is no term in it")
    return tuple(Group(term, tuple(names)) for term, names in merged.items())


def read_sentences(path: Path) -> tuple[str, ...]:
    """The texts of a file, in its order, each once.

    Raises:
        DataError: there is none, or the file cannot be read.
    """
    fields = {"text": Field(("text", "sentence", "query"))}
    texts = [
        str(text).strip() for batch in read_batches(path, fields) for text in batch.columns["text"]
    ]
    found = tuple(dict.fromkeys(text for text in texts if text))
    if not found:
        raise DataError(f"{path}: there is no sentence in it")
    return found


def seeds(groups: Sequence[Group], sentences: Sequence[str] | None) -> tuple[Seed, ...]:
    """What pairs can be written from: a sentence with a name in it, or a term alone.

    A sentence is used once, with the first name in it, the longest where several begin there.

    Raises:
        UsageError: no sentence holds a name of the vocabulary.
    """
    if sentences is None:
        return tuple(_seed(group, None) for group in groups)
    names = _by_first(groups)
    found = []
    for sentence in sentences:
        group = _first_name(sentence, names)
        if group is not None:
            found.append(_seed(group, sentence))
    if not found:
        raise UsageError("no sentence holds a name of the vocabulary: nothing can be written.")
    return tuple(found)


def _entries(path: Path) -> Iterator[tuple[str, str, Sequence[str]]]:
    if suffix_of(path).startswith(".tsv"):
        for number, line in read_lines(path):
            term, *rest = line.split("\t")
            if number > 1 or term.strip().lower() != HEADER:
                yield f"{path} line {number}", term, "|".join(rest).split("|")
        return
    for batch in read_batches(path, FIELDS):
        both = zip(batch.columns["term"], batch.columns["synonyms"], strict=True)
        for row, (term, synonyms) in enumerate(both):
            if not isinstance(term, str) or not _are_texts(synonyms):
                raise DataError(f"{batch.at(row)}: `term` is a text, `synonyms` a list of texts")
            yield batch.at(row), term, synonyms


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _seed(group: Group, sentence: str | None) -> Seed:
    told = "\0".join((group.term, *group.synonyms, sentence or ""))
    digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Seed(digest, group.term, group.synonyms, sentence)


def _by_first(groups: Iterable[Group]) -> Mapping[str, list[tuple[str, Group]]]:
    """Names by their first character, longer ones first; the first group of a name has it."""
    names: dict[str, Group] = {}
    for group in groups:
        for name in (group.term, *group.synonyms):
            names.setdefault(name, group)
    found: defaultdict[str, list[tuple[str, Group]]] = defaultdict(list)
    for name in sorted(names, key=lambda name: (-len(name), name)):
        found[name[0]].append((name, names[name]))
    return found


def _first_name(sentence: str, names: Mapping[str, list[tuple[str, Group]]]) -> Group | None:
    for place, character in enumerate(sentence):
        for name, group in names.get(character, ()):
            if sentence.startswith(name, place):
                return group.named(name)
    return None
