"""The devices that torch has put something on: waiting for them, and how full they were.

Nothing here loads torch: a model that needs it has done so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cmedteb.results.latency import Memory

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"  # proc(5): resets the peak resident set size
KIB = 1024


def loaded_torch() -> Any:  # noqa: ANN401  the module, or None
    """Torch, if something has loaded it."""
    return sys.modules.get("torch")


def gpus() -> list[int]:
    """Numbers of the CUDA devices that hold anything of this process."""
    torch = loaded_torch()
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return []
    count = torch.cuda.device_count()
    return [device for device in range(count) if torch.cuda.memory_allocated(device)]


class Synchroniser:
    """Waits for the devices that were in use when it was made."""

    def __init__(self) -> None:
        self._gpus = gpus()
        torch = loaded_torch()
        self._mps = torch is not None and torch.backends.mps.is_available()

    def __call__(self) -> None:
        """Come back when all work given to them is done."""
        if not self._gpus and not self._mps:
            return
        torch = loaded_torch()
        for device in self._gpus:
            torch.cuda.synchronize(device)
        if self._mps:
            torch.mps.synchronize()


class MemoryMeter:
    """The highest mark of memory from when it was made: of the GPUs in use, else of the process."""

    def __init__(self) -> None:
        self._gpus = gpus()
        torch = loaded_torch()
        for device in self._gpus:
            torch.cuda.reset_peak_memory_stats(device)
        self._reset = not self._gpus and _reset_peak()
        self._before = self._allocated() if self._gpus else _status("VmRSS") or _peak()

    def read(self) -> Memory:
        """The mark until now."""
        if self._gpus:
            torch = loaded_torch()
            peak = sum(torch.cuda.max_memory_allocated(device) for device in self._gpus)
            return Memory(kind="cuda allocated", peak_bytes=peak, before_bytes=self._before)
        return Memory(
            kind="resident set" if self._reset else "resident set since start",
            peak_bytes=(_status("VmHWM") if self._reset else None) or _peak(),
            before_bytes=self._before,
        )

    def _allocated(self) -> int:
        torch = loaded_torch()
        return sum(torch.cuda.memory_allocated(device) for device in self._gpus)


def _reset_peak() -> bool:
    """Let Linux count the peak anew; False where it cannot."""
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return _status("VmHWM") is not None


def _status(name: str) -> int | None:
    """A number of bytes that Linux states of this process."""
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * KIB
    return None


def _peak() -> int:
    """The peak since the process began."""
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB
