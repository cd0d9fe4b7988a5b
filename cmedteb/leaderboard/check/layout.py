"""Which files a submission holds: only those of a result, where results lie, and no links.

<org>__<model>/<revision>/{model.json, card.toml, <Task>.json}
<org>__<model>/<revision>/receipts/<Task>.tsv.gz
<org>__<model>/<revision>/vN/<Task>.json
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from cmedteb.leaderboard.check.faults import Faults

MAX_FILES = 400
JUDGEMENTS = "judgements"
# Left behind by runs; never read, and not part of a submission.
IGNORED = {".locks"}
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$")
_TASK = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
ALLOWED = re.compile(
    rf"^(?:model\.json|card\.toml|{_TASK}\.json|v[1-9][0-9]{{0,3}}/{_TASK}\.json"
    rf"|receipts/{_TASK}\.tsv\.gz)$"
)
JUDGEMENT_FILE = re.compile(rf"^({_TASK})\.([0-9a-f]{{16}})\.tsv\.gz$")


def revisions(root: Path, faults: Faults) -> list[Path]:
    """The folders of revisions below a results folder, sorted; what else lies there is a fault."""
    found: list[Path] = []
    for model in _folders(root, faults, skip={*IGNORED, JUDGEMENTS}):
        if "__" not in model.name:
            faults.add(model, "a folder of a model is called <org>__<model>")
        found += _folders(model, faults)
    return found


def files(folder: Path, faults: Faults) -> list[Path]:
    """The files of one revision, sorted; those that have no business there are faults."""
    found: list[Path] = []
    for number, path in enumerate(_walk(folder)):
        if number >= MAX_FILES:
            faults.add(folder, f"more than {MAX_FILES} files")
            return found
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            faults.add(path, "a link; a submission holds plain files only")
        elif not path.is_file():
            faults.add(path, "neither a file nor a folder")
        elif not ALLOWED.match(relative):
            faults.add(path, "no file of a submission is called this")
        else:
            found.append(path)
    return found


def _folders(
    parent: Path, faults: Faults, *, skip: set[str] | frozenset[str] = frozenset()
) -> list[Path]:
    found = []
    for path in sorted(parent.iterdir()):
        if path.name in skip:
            continue
        if path.is_symlink() or not path.is_dir():
            faults.add(path, "only folders belong here")
        elif not NAME.match(path.name):
            faults.add(path, "a name of letters, digits and . _ @ + - only")
        else:
            found.append(path)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """All files below, links unfollowed, in a fixed order."""
    for home, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted([*names, *(one for one in folders if (Path(home) / one).is_symlink())]):
            yield Path(home) / name
