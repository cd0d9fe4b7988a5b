"""Cards: facts in TOML, checked by a pydantic model that refuses what it does not know.

What a card says is the business of the room that it belongs to; here is only how one is read, and
how a fault is told.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from cmedteb.errors import DataError

Card = TypeVar("Card")


def read_toml(path: Path, kind: type[Card], *, what: str) -> Card:
    """Read one TOML file into a model.

    Args:
        path: the file.
        kind: a pydantic model, or any type that pydantic can validate.
        what: what the file should be, for messages: "a task card".

    Raises:
        DataError: no TOML in UTF-8, or not such a card; names the file and each wrong key.
    """
    try:
        with path.open("rb") as stream:
            return TypeAdapter(kind).validate_python(tomllib.load(stream))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid TOML in UTF-8: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise DataError(f"{path}: not {what}: {faults}") from error
