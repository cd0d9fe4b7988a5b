"""What `auto` means for device and dtype, and what is refused.

Run: pytest tests/encoding/test_devices.py -q.
"""

from __future__ import annotations

import pytest

from cmedteb.encoding.devices import device_name, resolve_device, resolve_dtype
from cmedteb.errors import NotAvailableError, UsageError

torch = pytest.importorskip("torch", reason="needs the extra models")


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("bf16", "bfloat16"),
        ("fp16", "float16"),
        ("fp32", "float32"),
        ("float16", "float16"),
        ("auto", "float32"),
    ],
)
def test_types_on_a_cpu(wanted: str, name: str) -> None:
    assert resolve_dtype(wanted, "cpu") == name


def test_auto_on_a_gpu_depends_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for supported, name in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda answer=supported: answer)
        assert resolve_dtype("auto", "cuda:0") == name


def test_an_unknown_type_lists_the_known() -> None:
    with pytest.raises(UsageError, match="unknown dtype 'int4': choose auto, float32"):
        resolve_dtype("int4", "cpu")


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda answer=there: answer)
        assert resolve_device("auto") == name


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotAvailableError, match="sees no CUDA device"):
        resolve_device("cuda:1")
    with pytest.raises(UsageError, match="knows no device 'gpu'"):
        resolve_device("gpu")


def test_a_cpu_is_called_cpu() -> None:
    assert device_name(torch.device("cpu")) == "cpu"
