"""Encoders of one's own for `module:factory`: one that streams, one of another width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cmedteb.encoding import Encoded
from cmedteb.models import Encoder, Role, load_model


class Streaming:
    """The vectors of `hashing`, two texts at a time, the last first."""

    name = "streaming"
    revision = "1"

    def __init__(self) -> None:
        inner = load_model("hashing")
        assert isinstance(inner, Encoder)
        self.inner = inner

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(self.inner.encode_queries(texts))

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(self.inner.encode_documents(texts))

    def stream(self, texts: Sequence[str], role: Role) -> Iterator[Encoded]:
        encode = self.encode_queries if role is Role.QUERY else self.encode_documents
        for start in reversed(range(0, len(texts), 2)):
            rows = np.arange(start, min(start + 2, len(texts)))
            yield Encoded(rows, encode([texts[row] for row in rows]))


class Narrow:
    """Vectors of three numbers, without saying so beforehand."""

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 3), dtype=np.float32)

    encode_documents = encode_queries
