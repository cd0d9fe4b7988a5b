"""From texts to token ids, many at a time, by the Rust tokenizer that a transformers one wraps.

It works on a copy of its own, so that a thread may tokenise while others use the original, and it
pads nothing. Of an over-long text only the beginning is read, where that is proven to give the ids
of the whole. It makes no promise to equal the original: who uses it compares, see `same`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cmedteb.types import Int32Array, Int64Array

if TYPE_CHECKING:
    import pyarrow as pa

# Tokenised in one call: the tokenizer holds some 100 bytes a token until ids are taken over.
BLOCK = 500_000
# Characters that may be tokenised ahead of the device, beyond one class of lengths.
AHEAD = 16_000_000
# Characters a token that are read of an over-long text at first.
STRIDE = 4
# Words at the end of a cut text that the cut may have changed: a token of the added vocabulary,
# white space before a line break, a character that joins the one before it.
MARGIN = 16


class Ragged(NamedTuple):
    """Token ids of several texts: all ids, shape (tokens,), and where each text begins."""

    ids: Int32Array
    offsets: Int64Array

    @property
    def lengths(self) -> Int64Array:
        """Tokens of each text."""
        return np.diff(self.offsets)

    def of(self, row: int) -> list[int]:
        """Ids of one text."""
        ids: list[int] = self.ids[self.offsets[row] : self.offsets[row + 1]].tolist()
        return ids

    def end_with(self, token: int) -> NDArray[np.bool_]:
        """Which texts end with a token."""
        ends = np.zeros(len(self.offsets) - 1, dtype=bool)
        whole = np.flatnonzero(self.lengths)
        ends[whole] = self.ids[self.offsets[whole + 1] - 1] == token
        return ends

    def inserted(self, rows: Int64Array, token: int) -> Ragged:
        """With one more token behind some texts."""
        more = np.zeros(len(self.offsets), dtype=np.int64)
        more[rows + 1] = 1
        ids = np.insert(self.ids, self.offsets[rows + 1], token)
        return Ragged(ids, self.offsets + np.cumsum(more))


Job = TypeVar("Job")
Result = TypeVar("Result")
Tokenise = Callable[[Sequence[str]], Ragged]


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """Lists of ids as arrays."""
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return Ragged(ids, offsets)


@dataclass(frozen=True)
class RustTokens:
    """A copy of a Rust tokenizer that cuts and does not pad.

    Attributes:
        tokenizer: of the package `tokenizers`.
        max_length: in tokens, special ones counted; None cuts nothing.
    """

    tokenizer: Any
    max_length: int | None

    @classmethod
    def of(cls, tokenizer: Any, max_length: int | None) -> RustTokens | None:  # noqa: ANN401
        """What a tokenizer of transformers wraps; None where it wraps none."""
        from tokenizers import Tokenizer

        if not getattr(tokenizer, "is_fast", False):
            return None
        copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        copy.no_padding()
        copy.no_truncation()
        if max_length is not None:
            copy.enable_truncation(max_length, direction=tokenizer.truncation_side)
        return cls(copy, max_length)

    def __call__(self, texts: Sequence[str]) -> Ragged:
        """Ids of each text, cut, with the special tokens."""
        texts = list(texts)
        far = self._far(texts)
        short = [text for row, text in enumerate(texts) if row not in far] if far else texts
        rows = iter(self.tokenizer.encode_batch_fast(short))
        return ragged([far[row] if row in far else next(rows).ids for row in range(len(texts))])

    def _far(self, texts: Sequence[str]) -> dict[int, list[int]]:
        """Ids of the over-long texts whose beginning is enough, by row."""
        cut = self.tokenizer.truncation
        if cut is None or cut["direction"] != "right":
            return {}
        reach = STRIDE * int(cut["max_length"])
        rows = [row for row, text in enumerate(texts) if len(text) > reach]
        if not rows:
            return {}
        found = self.tokenizer.encode_batch([texts[row][:reach] for row in rows])
        return {row: one.ids for row, one in zip(rows, found, strict=True) if _settled(one)}


def _settled(encoding: Any) -> bool:  # noqa: ANN401  of `tokenizers`
    """Whether no text that begins so can have other ids.

    It has where the cap was reached, and words lie between the last token that is kept and the
    end of what was read: words are tokenised one by one. A tokenizer that takes a sentence for one
    word (as XLM-R's does where there are no spaces) settles nothing.
    """
    if not encoding.overflowing:
        return False
    kept = [word for word in encoding.word_ids if word is not None]
    rest = [word for more in encoding.overflowing for word in more.word_ids if word is not None]
    return bool(kept and rest) and max(rest) - max(kept) >= MARGIN


def same(one: Ragged, other: Ragged) -> bool:
    """Whether two ways of tokenising gave the same ids."""
    return np.array_equal(one.offsets, other.offsets) and np.array_equal(one.ids, other.ids)


def probes(max_length: int | None) -> list[str]:
    """Texts that tell two ways of tokenising apart: empty, spaced, mixed, and over-long."""
    chinese = "\u9ad8\u8840\u538b\uff0c\u7cd6\u5c3f\u75c5\u3002"
    texts = ["", "  a  b\n \n", f"CT {chinese} 5mg/d <s></s> e\u0301", chinese * 3]
    if max_length is not None:
        texts.append(f"{chinese}ab 12 " * (max_length // 2 + 8))
    return texts


def in_blocks(
    texts: pa.ChunkedArray, rows: Int64Array, characters: Int64Array, tokenise: Tokenise
) -> Ragged:
    """Token ids of some rows of a column, tokenised in blocks of about `BLOCK` characters."""
    place = np.cumsum(characters[rows]) // BLOCK
    blocks = np.split(rows, np.flatnonzero(np.diff(place)) + 1)
    return joined([tokenise(texts.take(block).to_pylist()) for block in blocks])


def read_ahead(
    jobs: Iterable[Job], work: Callable[[Job], Result], size: Callable[[Job], int]
) -> Iterator[tuple[Job, Result]]:
    """Jobs with their results, in order; the next ones are done in a thread meanwhile.

    Args:
        jobs: drawn as they are needed.
        work: done in one thread; a tokenizer runs outside the interpreter's lock.
        size: of a job in characters; one job and `AHEAD` characters are done ahead.
    """
    waiting: deque[tuple[Job, Future[Result]]] = deque()
    left = iter(jobs)
    held = 0
    with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as pool:
        try:
            while True:
                while len(waiting) < 2 or held < AHEAD:
                    if (job := next(left, None)) is None:
                        break
                    waiting.append((job, pool.submit(work, job)))
                    held += size(job)
                if not waiting:
                    return
                job, future = waiting.popleft()
                held -= size(job)
                yield job, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def joined(parts: Sequence[Ragged]) -> Ragged:
    """Several ragged arrays as one."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts])
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return Ragged(np.concatenate([part.ids for part in parts]), offsets)
