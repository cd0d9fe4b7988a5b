"""What a measurement ran on, as far as it can be read; nothing here is guessed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from cmedteb.models import ModelFacts
from cmedteb.results.latency import Machine
from cmedteb.runner.latency.devices import gpus, loaded_torch

CPUINFO = Path("/proc/cpuinfo")
SMI_SECONDS = 10.0


class GpuState(NamedTuple):
    """Clock in MHz and power in watts of a GPU; None where they cannot be read."""

    mhz: float | None
    watts: float | None


def device_of(facts: ModelFacts) -> str:
    """The device that times are comparable on: a GPU's name, or the processor and its threads."""
    if facts.device != "cpu":
        return facts.device
    threads = _threads() or _cores()
    return f"{cpu_name(_cpuinfo())}, {threads} thread{'s' if threads > 1 else ''}"


def machine_of(facts: ModelFacts) -> Machine:
    """What can be read of this machine now."""
    entries = _cpuinfo()
    stated = [_number(one.get("cpu MHz", "")) for one in entries]
    clocks = [mhz for mhz in stated if mhz is not None]
    gpu = gpu_state()
    return Machine(
        device=facts.device,
        cpu=cpu_name(entries),
        cores=_cores(),
        threads=_threads(),
        cpu_mhz=fmean(clocks) if clocks else None,
        gpu_mhz=gpu.mhz,
        gpu_watts=gpu.watts,
        system=platform.platform(),
    )


def cpu_name(entries: list[dict[str, str]]) -> str:
    """The processor's name; with family and model, since hosts often hide the product's name.

    Args:
        entries: of /proc/cpuinfo, one a core; none where there is no such file.
    """
    first = entries[0] if entries else {}
    name = first.get("model name") or platform.processor() or platform.machine() or "unknown"
    if {"cpu family", "model"} <= first.keys():
        return f"{name} (family {first['cpu family']}, model {first['model']})"
    return name


def gpu_state() -> GpuState:
    """Clock and power of the first GPU in use, by nvidia-smi."""
    used, smi = gpus(), shutil.which("nvidia-smi")
    if not used or smi is None:
        return GpuState(None, None)
    identifier = str(loaded_torch().cuda.get_device_properties(used[0]).uuid)
    return ask_smi(smi, f"GPU-{identifier.removeprefix('GPU-')}")


def ask_smi(smi: str, gpu: str) -> GpuState:
    """Clock and power of a GPU.

    Args:
        smi: the program.
        gpu: the device as the program names it.
    """
    query = ["--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits", "-i", gpu]
    try:
        done = subprocess.run(
            [smi, *query], capture_output=True, text=True, check=False, timeout=SMI_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return GpuState(None, None)
    values = [*map(_number, done.stdout.split(",")), None, None]
    return GpuState(values[0], values[1])


def _number(text: str) -> float | None:
    """A number; None for what the program says instead, such as [N/A]."""
    try:
        return float(text)
    except ValueError:
        return None


def _cpuinfo() -> list[dict[str, str]]:
    """What Linux says of each core."""
    try:
        blocks = CPUINFO.read_text(encoding="utf-8", errors="replace").strip().split("\n\n")
    except OSError:
        return []
    return [
        {
            key.strip(): value.strip()
            for key, _, value in (line.partition(":") for line in block.splitlines())
        }
        for block in blocks
    ]


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int | None:
    """Threads of one operation in torch, if it is loaded."""
    torch = loaded_torch()
    return None if torch is None else int(torch.get_num_threads())
