"""Which texts share a request: in their order, as many as the endpoint takes, and not too many.

Tokens are estimated from bytes, on the safe side for Chinese: no tokenizer is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cmedteb.endpoints.provider import Limits
from cmedteb.types import Int64Array

# A lost answer is paid for twice, so it should be small; and several requests are under way.
MOST_ROWS = 128
MOST_TOKENS = 65_536
BYTES_A_TOKEN = 2


def packs(texts: Sequence[str], limits: Limits) -> Iterator[Int64Array]:
    """Row numbers of one request after another; every row once, in order.

    A text that is larger than a request may be goes alone: the endpoint decides.
    """
    most_rows = min(limits.rows or MOST_ROWS, MOST_ROWS)
    most_tokens = min(limits.request_tokens or MOST_TOKENS, MOST_TOKENS)
    start, tokens = 0, 0
    for row, text in enumerate(texts):
        size = -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)
        if row > start and (row - start >= most_rows or tokens + size > most_tokens):
            yield np.arange(start, row)
            start, tokens = row, 0
        tokens += size
    if start < len(texts):
        yield np.arange(start, len(texts))
