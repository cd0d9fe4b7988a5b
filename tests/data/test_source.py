"""Where a data set is looked for (run: `pytest tests/data/test_source.py`).

Degenerate inputs: a data dir that does not exist, a set that is published nowhere, a hub that does
not have the set, a source that is incomplete.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cmedteb.data import Access, Hub, Layout, Source, export_folder, load_ranking, locate
from cmedteb.errors import NotAvailableError, UsageError
from cmedteb.types import TaskType

Load = Callable[..., Any]
LOCAL = Source(kind="local")


def test_the_folder_of_that_name_comes_first(make: Load) -> None:
    folder = make()
    found = locate("Set", LOCAL, Access(data_dir=folder.parent))
    assert (found.folder, found.layout, found.revision) == (folder, Layout.BEIR, "local")


def test_the_data_dir_itself_may_hold_the_set(make: Load) -> None:
    folder = make()
    assert locate("Other", LOCAL, Access(data_dir=folder)).folder == folder


def test_a_data_dir_that_is_another_published_set_is_not_taken(
    make: Load, ranking: Load, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_folder(ranking(make()), out, name="Set")
    published = Source(kind="hub", modelscope="org/set")
    assert locate("Set", published, Access(data_dir=out)).folder == out
    with pytest.raises(NotAvailableError, match="not known to be on hf"):
        locate("Other", published, Access(data_dir=out))
    assert locate("renamed", LOCAL, Access(data_dir=out)).folder == out


def test_a_twin_repository_in_the_data_dir_is_found(make: Load) -> None:
    rows = [{"id": "1", "text": "a"}]
    main = make({"data/corpus.parquet": rows, "data/queries.parquet": rows}, bare=True)
    twin = make({"data/dev.parquet": [{"qid": "1", "pid": "1", "score": 1}]}, bare=True, name="Q")
    source = Source(kind="hub", hf="o/Set", layout=Layout.C_MTEB_V1, qrels_hf="o/Q")
    found = locate("Set", source, Access(data_dir=main.parent))
    assert (found.qrels_folder, found.layout) == (twin, Layout.C_MTEB_V1)
    data = load_ranking(found, name="Set", split="dev", task_type=TaskType.RETRIEVAL)
    assert len(data.queries) == 1


def test_an_unpublished_set_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError) as caught:
        locate("NewSet", LOCAL, Access())
    for fragment in ("has not been published", "--data-dir DIR", "DIR/NewSet/"):
        assert fragment in str(caught.value)
    with pytest.raises(NotAvailableError, match=r"NewSet does not exist"):
        locate("NewSet", LOCAL, Access(data_dir=tmp_path))


def test_a_data_dir_that_does_not_exist_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none is not a folder"):
        locate("Set", LOCAL, Access(data_dir=tmp_path / "none"))


def test_a_packaged_set_lies_in_the_package(make: Load) -> None:
    folder = make()
    source = Source(kind="packaged", path="Set")
    found = locate("Set", source, Access(), packaged=folder.parent)
    assert (found.folder, found.origin) == (folder, "packaged")
    with pytest.raises(NotAvailableError, match="nobody said where"):
        locate("Set", source, Access())


def test_a_hub_that_does_not_have_the_set_names_the_other(make: Load) -> None:
    source = Source(kind="hub", hf="org/set")
    with pytest.raises(NotAvailableError, match=r"not known to be on modelscope. Use --hub hf"):
        locate("Set", source, Access(hub=Hub.MODELSCOPE))
    found = locate("Set", source, Access(data_dir=make(), hub=Hub.MODELSCOPE))
    assert found.origin.endswith("Set")


@pytest.mark.parametrize(
    "table",
    [{"kind": "hub"}, {"kind": "packaged"}, {"kind": "ftp"}, {"kind": "local", "url": "x"}],
)
def test_an_incomplete_source_is_refused(table: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(table)
