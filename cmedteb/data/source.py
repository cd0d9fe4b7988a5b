"""Says where a data set comes from, and brings its folder here: data dir, cache, hub.

A task card's `[source]` table is a `Source`; what the user asked for is an `Access`. `locate`
returns a folder that the readers take as it is; a hub repository is downloaded as a folder, never
through the `datasets` library. Offline means offline: no socket is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from cmedteb.data.formats import Layout, holds_data_set
from cmedteb.data.hub import Hub, HubFolder, Request, bring, check_files
from cmedteb.data.record import read_record
from cmedteb.data.rows import SUFFIXES
from cmedteb.errors import NotAvailableError, UsageError

LOCAL = "local"


DATA_FILES = (
    "README.md",
    *(f"*{suffix}" for suffix in SUFFIXES),
)


class Source(BaseModel):
    """The `[source]` table of a task card.

    Attributes:
        kind: "hub", "packaged" (in this package) or "local" (published nowhere we know of).
        hf: repository on the Hugging Face Hub.
        revision: its commit; None means unknown: the current one is looked up and recorded.
        layout: how the repository arranges its tables.
        qrels_hf: twin repository with the judgements (C-MTEB v1 retrieval).
        qrels_revision: its commit.
        modelscope: repository on ModelScope.
        modelscope_revision: its revision; None means its current one.
        modelscope_layout: its layout, if another.
        modelscope_qrels: its twin repository.
        files: path in the repository -> SHA-256 in hex, where known.
        path: for "packaged": its folder, below the one that `locate` is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hub", "local", "packaged"]
    hf: str | None = None
    revision: str | None = None
    layout: Layout = Layout.BEIR
    qrels_hf: str | None = None
    qrels_revision: str | None = None
    modelscope: str | None = None
    modelscope_revision: str | None = None
    modelscope_layout: Layout | None = None
    modelscope_qrels: str | None = None
    files: dict[str, str] = {}
    path: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Source:
        if self.kind == "hub" and self.hf is None and self.modelscope is None:
            raise ValueError("a source of kind 'hub' needs hf or modelscope")
        if self.kind == "packaged" and not self.path:
            raise ValueError("a source of kind 'packaged' needs path")
        return self


@dataclass(frozen=True)
class Access:
    """How data may be reached.

    Attributes:
        data_dir: a folder of data sets, or one data set, that comes before anything else.
        hub: where to download from.
        offline: open no connection.
    """

    data_dir: Path | None = None
    hub: Hub = Hub.HF
    offline: bool = False


@dataclass(frozen=True)
class Located:
    """A data set on this machine.

    Attributes:
        folder: its files.
        qrels_folder: its twin repository's files, where judgements lie apart.
        layout: how the files are arranged.
        revision: the commit, or "local".
        origin: where it came from, for people: a path, or hub and repository.
    """

    folder: Path
    qrels_folder: Path | None
    layout: Layout
    revision: str
    origin: str


def locate(name: str, source: Source, access: Access, *, packaged: Path | None = None) -> Located:
    """Find a data set: in the data dir, else in the cache, else on the hub.

    Args:
        name: the task's name; also its folder's below the data dir.
        source: where the task card says it is.
        access: what the user asked for.
        packaged: the folder that a packaged source's `path` starts from.

    Raises:
        NotAvailableError: it cannot be had now; the message says what to do.
        DataError: a downloaded file is not what the task card promises.
        UsageError: the data dir does not exist.
    """
    if access.data_dir is not None:
        found = _in_data_dir(name, source, access.data_dir)
        if found is not None:
            return found
    if source.kind == "packaged":
        if packaged is None:
            raise NotAvailableError(f"{name} is packaged, and nobody said where packages lie.")
        folder = packaged / str(source.path)
        return Located(folder, None, source.layout, LOCAL, "packaged")
    if source.kind == "local":
        raise NotAvailableError(_unpublished(name, access.data_dir))
    return _from_hub(name, source, access)


def _from_hub(name: str, source: Source, access: Access) -> Located:
    """The repository, and its twin with the judgements, on the hub that was asked for."""
    scope = access.hub is Hub.MODELSCOPE
    repository = source.modelscope if scope else source.hf
    twin = source.modelscope_qrels if scope else source.qrels_hf
    if repository is None:
        other = Hub.HF if scope else Hub.MODELSCOPE
        raise NotAvailableError(
            f"{name} is not known to be on {access.hub}. Use --hub {other}, or --data-dir DIR with "
            f"the folder DIR/{name}/."
        )
    fetch = f"cmedteb fetch -t {name}"

    def get(wanted: str, revision: str | None) -> HubFolder:
        request = Request(wanted, revision, offline=access.offline, allow=DATA_FILES, fetch=fetch)
        found = bring(request, access.hub)
        check_files(found.folder, source.files, request.title)
        return found

    main = get(repository, source.modelscope_revision if scope else source.revision)
    qrels = get(twin, None if scope else source.qrels_revision) if twin else None
    layout = source.modelscope_layout if scope and source.modelscope_layout else source.layout
    return Located(
        main.folder,
        qrels.folder if qrels else None,
        layout,
        main.revision,
        f"{access.hub}:{repository}",
    )


def _in_data_dir(name: str, source: Source, data_dir: Path) -> Located | None:
    if not data_dir.is_dir():
        raise UsageError(f"the data dir {data_dir} is not a folder.")
    folder = data_dir / name
    if not folder.is_dir():
        if not holds_data_set(data_dir) or _is_another(name, source, data_dir):
            return None
        folder = data_dir
    twins = [f"{folder.name}-qrels"]
    if source.qrels_hf:
        twins.append(source.qrels_hf.rpartition("/")[2])
    twin = next((path for t in twins if (path := folder.parent / t).is_dir()), None)
    layout = Layout.BEIR if holds_data_set(folder) else source.layout
    return Located(folder, twin, layout, LOCAL, str(folder))


def _is_another(name: str, source: Source, folder: Path) -> bool:
    """Whether the folder says that it is an export of another published set."""
    return source.kind == "hub" and read_record(folder).get("name", name) != name


def _unpublished(name: str, data_dir: Path | None) -> str:
    tried = "" if data_dir is None else f" ({data_dir / name} does not exist)"
    return (
        f"{name}: the location of this data set has not been published, so it cannot be downloaded"
        f"{tried}. If you have it, pass --data-dir DIR with the folder DIR/{name}/ in the local "
        "layout: corpus.jsonl, queries.jsonl and qrels.tsv; or rerank.jsonl; or pairs.jsonl."
    )
