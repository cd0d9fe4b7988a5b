"""Keys: read from an environment variable at the moment of the first request, and kept nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cmedteb.errors import NotAvailableError


@dataclass(frozen=True, slots=True)
class Key:
    """The name of the variable that holds a key; None where none is needed."""

    variable: str | None

    def read(self) -> str | None:
        """The key.

        Raises:
            NotAvailableError: the variable is not set, or holds what is no key.
        """
        if self.variable is None:
            return None
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise NotAvailableError(
                f"the endpoint needs a key, and the environment variable {self.variable} is not "
                "set. Put the key there, or name another variable: --api-key-env (for chat "
                "--hyde-key-env, in a panel key_env)."
            )
        if not (value.isascii() and value.isprintable()):
            raise NotAvailableError(
                f"the environment variable {self.variable} holds characters that are in no key. "
                "Copy the key again."
            )
        return value
