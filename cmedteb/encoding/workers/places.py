"""What `--devices` says: on which devices of this machine a copy of the model is to run."""

from __future__ import annotations

import re

from cmedteb.errors import NotAvailableError, UsageError

AUTO, ALL = "auto", "all"


def visible_gpus() -> int:
    """How many CUDA devices torch may use here, none without torch; starts none of them."""
    try:
        import torch
    except ImportError:
        return 0

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def devices_of(wanted: str, device: str = "auto") -> tuple[str, ...]:
    """The devices of the workers; none where one process is to do it all.

    Args:
        wanted: `auto` (every visible GPU where there are several, else this process alone), `all`
            (every visible GPU), a number of GPUs, or a list of them: `0,2` or `cuda:0,cpu,cpu`.
        device: what `--device` says; a number of workers on a CPU is what `cpu` and a number mean.

    Raises:
        UsageError: no such device, or one that contradicts `device`.
        NotAvailableError: more GPUs than there are.
    """
    if wanted == AUTO:
        gpus = visible_gpus() if device in {AUTO, "cuda"} else 0
        return tuple(f"cuda:{number}" for number in range(gpus)) if gpus > 1 else ()
    if re.fullmatch(r"\d+(,\d+)+,?|\d+,", wanted):
        return _gpus([int(number) for number in wanted.rstrip(",").split(",")], wanted, device)
    if "," in wanted or not (wanted == ALL or wanted.isdigit()):
        return tuple(_named(part.strip(), wanted) for part in wanted.split(",") if part.strip())
    if device == "cpu" or (device == AUTO and wanted != ALL and not visible_gpus()):
        if wanted == ALL:
            raise UsageError("--devices all means GPUs, and --device cpu none of them: give one")
        return ("cpu",) * _positive(int(wanted))
    there = visible_gpus()
    count = there if wanted == ALL else _positive(int(wanted))
    return _gpus(list(range(max(count, 1))), wanted, device)


def _positive(number: int) -> int:
    if number < 1:
        raise UsageError(f"--devices takes at least one device, not {number}")
    return number


def _gpus(numbers: list[int], wanted: str, device: str) -> tuple[str, ...]:
    if device not in {AUTO, "cuda"}:
        raise UsageError(f"--devices {wanted} are GPUs, and --device says {device}: give one")
    there = visible_gpus()
    if missing := sorted(number for number in numbers if number >= there):
        raise NotAvailableError(
            f"--devices {wanted}: GPU {missing[0]} is asked for, and torch sees {there} here (0 is "
            "the first). Look at CUDA_VISIBLE_DEVICES, or ask for fewer."
        )
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--devices {wanted} names a GPU twice: name each once")
    return tuple(f"cuda:{number}" for number in numbers)


def _named(name: str, wanted: str) -> str:
    from cmedteb.encoding.devices import resolve_device

    if name == AUTO:
        raise UsageError(f"--devices {wanted}: `auto` stands alone")
    return resolve_device(name)
