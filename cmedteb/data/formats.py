"""Finds the files of a data set in a folder: local layout, C-MTEB, MTEB v2 or CMIRB.

A repository's README front matter (`configs:`) says where its tables lie; where there is none, the
usual names are tried. It reads no table: which columns a file has is the readers' matter.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cmedteb.data.rows import suffix_of
from cmedteb.errors import DataError
from cmedteb.types import TaskType

log = logging.getLogger(__name__)


class Layout(StrEnum):
    """How a repository arranges its tables."""

    BEIR = "beir"
    C_MTEB_V1 = "c-mteb-v1"
    MTEB_V2 = "mteb-v2"
    CMIRB = "cmirb"


class Role(StrEnum):
    """What a table is for."""

    CORPUS = "corpus"
    QUERIES = "queries"
    QRELS = "qrels"
    TOP_RANKED = "top_ranked"
    RERANK = "rerank"
    PAIRS = "pairs"


class _Names(NamedTuple):
    """Where a role's table may lie: stems in order of preference, `{split}` filled in.

    Attributes:
        stems: paths without suffix; each stands for `stem.*` and for `stem-*` (shards).
        configs: names of README configs, in order of preference.
        splits: names of splits inside such a config; `{split}` is the one evaluated.
        own: how many of `splits` count in a config that is not the first of `configs`.
    """

    stems: tuple[str, ...]
    configs: tuple[str, ...]
    splits: tuple[str, ...]
    own: int = 1


_SPLIT_STEMS = ("default/{split}", "data/{split}", "{split}")
_NAMES = {
    Role.CORPUS: _Names(
        ("corpus", "corpus/corpus", "corpus/{split}", "data/corpus", "default/corpus"),
        ("corpus", "default"),
        ("corpus", "{split}"),
    ),
    Role.QUERIES: _Names(
        (
            *("queries", "query", "queries/queries", "queries/{split}"),
            *("query/{split}", "data/queries", "default/queries"),
        ),
        ("queries", "query", "default"),
        ("queries", "query", "{split}"),
        own=2,
    ),
    Role.QRELS: _Names(
        ("qrels/{split}", "qrels", *_SPLIT_STEMS), ("qrels", "default"), ("{split}", "qrels")
    ),
    Role.TOP_RANKED: _Names(
        ("top_ranked", "top_ranked/{split}", "data/top_ranked"),
        ("top_ranked",),
        ("{split}", "top_ranked"),
    ),
    Role.RERANK: _Names(("rerank", "rerank/{split}", *_SPLIT_STEMS), ("default",), ("{split}",)),
    Role.PAIRS: _Names(("pairs", "pairs/{split}", *_SPLIT_STEMS), ("default",), ("{split}",)),
}
_EVERY_SPLIT = ("train", "dev", "validation", "test", "corpus", "queries")


def find(folder: Path, role: Role, *, split: str, layout: Layout) -> tuple[Path, ...]:
    """The files of one table, in order; empty if there is none.

    Args:
        folder: the data set, or its twin repository with the judgements.
        role: which table.
        split: the split evaluated.
        layout: with `C_MTEB_V1` and `MTEB_V2` the README's front matter is asked first.

    Raises:
        DataError: the table is there in two formats.
    """
    names = _NAMES[role]
    if layout in (Layout.C_MTEB_V1, Layout.MTEB_V2):
        found = _by_front_matter(folder, names, split)
        if found:
            return found
    for stem in names.stems:
        if found := _by_stem(folder, stem.format(split=split)):
            return found
    return ()


def require(folder: Path, role: Role, *, split: str, layout: Layout, name: str) -> tuple[Path, ...]:
    """As `find`, but the table must be there.

    Raises:
        DataError: it is not; the message says what was looked for and what is there.
    """
    if found := find(folder, role, split=split, layout=layout):
        return found
    wanted = ", ".join(f"{stem.format(split=split)}.*" for stem in _NAMES[role].stems[:3])
    known = f" (splits found: {', '.join(there)})" if (there := splits(folder)) else ""
    raise DataError(
        f"{name}: {folder} has no {role} for split {split!r}{known}; looked for {wanted} as jsonl, "
        f"jsonl.gz, parquet, tsv or json. There is: {listing(folder)}."
    )


def detect(folder: Path) -> TaskType:
    """The type of a local data set, which follows from its files.

    `pairs.*` makes STS; `rerank.*` or `top_ranked.*` reranking; `corpus.*` and `queries.*`
    retrieval.

    Raises:
        DataError: no such folder, no data set in it, or more than one.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    kinds = _kinds(folder)
    if len(kinds) == 1:
        return kinds.pop()
    if kinds:
        raise DataError(
            f"{folder} holds more than one data set ({', '.join(sorted(kinds))}): "
            f"{listing(folder)}. Give each a folder of its own."
        )
    raise DataError(
        f"{folder} holds no data set. Needed: corpus.jsonl, queries.jsonl and qrels.tsv "
        "(retrieval), with top_ranked.jsonl, or rerank.jsonl alone (reranking), or pairs.jsonl "
        f"(STS). There is: {listing(folder)}."
    )


def holds_data_set(folder: Path) -> bool:
    """Whether the folder itself has the files of a data set in the local layout."""
    return folder.is_dir() and bool(_kinds(folder))


def splits(folder: Path) -> tuple[str, ...]:
    """The splits that a folder has judgements or tables for by name, sorted."""
    shards = [*folder.glob("qrels/*"), *folder.glob("default/*"), *folder.glob("data/*")]
    shards += [path for stem in _EVERY_SPLIT for path in _by_stem(folder, stem)]
    names = {_stem(path) for path in shards if suffix_of(path)}
    return tuple(sorted(names - {"corpus", "queries"}))


def listing(folder: Path) -> str:
    """What a folder holds, for a message."""
    names = sorted(f"{path.name}{'/' if path.is_dir() else ''}" for path in folder.iterdir())
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return (", ".join(names[:12]) or "nothing") + more


def _kinds(folder: Path) -> set[TaskType]:
    there = {_stem(path) for path in folder.iterdir() if path.is_file() and suffix_of(path)}
    kinds = set()
    if "pairs" in there:
        kinds.add(TaskType.STS)
    if "rerank" in there:
        kinds.add(TaskType.RERANKING)
    if "corpus" in there and there & {"queries", "query"}:
        kinds.add(TaskType.RERANKING if "top_ranked" in there else TaskType.RETRIEVAL)
    return kinds


def _stem(path: Path) -> str:
    stem = path.name.removesuffix(suffix_of(path))
    head, dash, tail = stem.partition("-")
    return head if dash and tail[:1].isdigit() else stem


def _by_stem(folder: Path, stem: str) -> tuple[Path, ...]:
    parent, last = folder / PurePosixPath(stem).parent, PurePosixPath(stem).name
    if not parent.is_dir():
        return ()
    files = sorted(path for path in parent.iterdir() if path.is_file() and _stem(path) == last)
    return _one_format(tuple(path for path in files if suffix_of(path)))


def _one_format(files: tuple[Path, ...]) -> tuple[Path, ...]:
    if len({suffix_of(path) for path in files}) > 1:
        raise DataError(
            f"{files[0].parent} has the same table more than once: "
            f"{', '.join(path.name for path in files)}. Keep one of them."
        )
    return files


def _by_front_matter(folder: Path, names: _Names, split: str) -> tuple[Path, ...]:
    configs = _configs(folder)
    for config in names.configs:
        if config not in configs:
            continue
        table = configs[config]
        wanted = [name.format(split=split) for name in names.splits]
        if config != names.configs[0]:
            # A config shared with other tables has this one under its own name only.
            wanted = wanted[: names.own]
        elif config != "default" and len(table) == 1:
            wanted += list(table)
        for name in wanted:
            if found := _expand(folder, table.get(name, ())):
                return found
    return ()


def _expand(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return _one_format(tuple(sorted(path for path in found if suffix_of(path))))


def _configs(folder: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Path patterns by config and split, as the README's front matter has them."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    from huggingface_hub.repocard import metadata_load
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        metadata: Any = metadata_load(card)
    except YAMLError as error:
        log.warning("the front matter of %s is no YAML and is left aside: %s", card, error)
        return {}
    entries = metadata.get("configs") if isinstance(metadata, dict) else None
    tables: dict[str, dict[str, tuple[str, ...]]] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            name = str(entry.get("config_name", "default"))
            tables[name] = _data_files(entry.get("data_files"), str(entry.get("data_dir") or ""))
    return tables


def _data_files(files: object, data_dir: str) -> dict[str, tuple[str, ...]]:
    rows = files if isinstance(files, list) else [files]
    table: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if isinstance(row, dict):
            split, paths = str(row.get("split", "train")), row.get("path", [])
        else:
            split, paths = "train", row or []
        patterns = [paths] if isinstance(paths, str) else list(paths)
        inside = (_inside(data_dir, str(pattern)) for pattern in patterns)
        table[split] = table.get(split, ()) + tuple(pattern for pattern in inside if pattern)
    return table


def _inside(data_dir: str, pattern: str) -> str:
    """A pattern relative to the repository; empty if it would leave it."""
    path = PurePosixPath(data_dir) / pattern
    return "" if path.is_absolute() or ".." in path.parts else str(path)
