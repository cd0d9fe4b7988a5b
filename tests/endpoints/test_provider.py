"""Providers: found by host, with limits by model; and how texts are packed by them.

Run: pytest tests/endpoints/test_provider.py -q.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cmedteb.endpoints import Limits, find_provider, host_of, packs
from cmedteb.errors import DataError, UsageError
from cmedteb.models.card import family_file

SHIPPED = family_file("api/providers.toml")


@pytest.mark.parametrize(
    ("base", "name", "model", "rows", "characters"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "dashscope", "v4", 10, 8192),
        ("https://dashscope-intl.aliyuncs.com/x", "dashscope", "text-embedding-v2", 25, 2048),
        ("https://api.openai.com/v1", "openai", "text-embedding-ada-002", 2048, 5461),
        ("https://ark.cn-beijing.volces.com/api/v3", "ark", "doubao", 16, 4096),
        ("https://api.siliconflow.cn/v1", "siliconflow", "Pro/BAAI/bge-m3", 32, 8190),
        ("https://api.siliconflow.cn/v1", "siliconflow", "something", 32, None),
        ("https://open.bigmodel.cn/api/paas/v4", "zhipu", "embedding-3", 16, None),
        ("http://127.0.0.1:8000/v1", "endpoint", "any", 16, None),
        ("https://api.openai.com.evil.example/v1", "endpoint", "any", 16, None),
    ],
)
def test_the_shipped_limits(
    base: str, name: str, model: str, rows: int, characters: int | None
) -> None:
    provider = find_provider(base, SHIPPED)
    limits = provider.limits(model)
    assert (provider.name, limits.rows, limits.row_characters) == (name, rows, characters)


def test_an_endpoint_id_of_ark_hides_the_model() -> None:
    provider = find_provider("https://ark.cn-beijing.volces.com/api/v3", SHIPPED)
    assert provider.hides("ep-20260101-abc")
    assert not provider.hides("doubao-embedding-text-240715")


@pytest.mark.parametrize(
    "base", ["", "api.openai.com/v1", "ftp://host/v1", "http://", "http://[broken", "http://h:x/"]
)
def test_what_is_no_base_url(base: str) -> None:
    with pytest.raises(UsageError, match="no base URL"):
        host_of(base)


@pytest.mark.parametrize(
    "base", ["https://me:hush@host/v1", "https://hush@host/v1", "https://host/v1?api-key=hush"]
)
def test_a_base_url_with_a_secret_is_refused_without_repeating_it(base: str) -> None:
    with pytest.raises(UsageError, match="environment variable") as refused:
        host_of(base)
    assert "hush" not in str(refused.value)


def test_a_list_of_providers_with_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text('[default]\nname = "x"\nsource = "y"\nrow = 3\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"default\.row"):
        find_provider("http://host/v1", path)


def sizes(texts: list[str], limits: Limits) -> list[int]:
    found = [rows.tolist() for rows in packs(texts, limits)]
    assert [row for rows in found for row in rows] == list(range(len(texts)))
    return [len(rows) for rows in found]


def test_rows_of_a_request() -> None:
    assert sizes(["x"] * 23, Limits(rows=10)) == [10, 10, 3]
    assert sizes([], Limits(rows=10)) == []
    assert sizes(["x"] * 10, Limits(rows=10)) == [10]


def test_tokens_of_a_request() -> None:
    texts = ["x" * 200, "x" * 200, "x" * 200, "x" * 900, "x"]
    assert sizes(texts, Limits(rows=10, request_tokens=250)) == [2, 1, 1, 1]


def test_a_request_is_small_where_nobody_limits_it() -> None:
    assert sizes(["x"] * 300, Limits()) == [128, 128, 44]
