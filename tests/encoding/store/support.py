"""A process at work on the vector store that dies before a given step of writing. Not a test.

    python support.py STEP VERB ROOT

A step is a flush to the disk, a rename, or a file that is removed, counted from 1.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cmedteb.encoding.store.merge import merge, repair
from cmedteb.encoding.store.upkeep import remove


def die_at(step: int) -> None:
    """Die before the given step."""
    steps = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            if not str(arguments[0]).endswith(".live"):
                steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in ("fsync", "replace", "rename", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    die_at(int(sys.argv[1]))
    root = Path(sys.argv[3])
    side = next(path.name for path in sorted(root.iterdir()) if path.name[0] != ".")
    {"merge": merge, "repair": repair, "remove": remove}[sys.argv[2]](root, side)
