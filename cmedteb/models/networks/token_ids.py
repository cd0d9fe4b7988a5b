"""From texts to token ids for one network: what is cut, and what closes a text.

Where the last token is pooled, that token is the vector, and libraries lose it in silence: some
tokenizers' files never add it, transformers 5 no longer adds it for files that transformers 4
mended while loading (mteb pull requests 3218 and 5237), and a cut may take it off. So what closes
a text is stated, checked when the model is loaded, and checked again in every batch. Only the text
is ever cut: not the prompt before it, nor the token behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NoReturn

import numpy as np

from cmedteb.encoding.tokens import Ragged, RustTokens, probes, ragged, same
from cmedteb.errors import DataError, ModelError, UsageError

PaddingSide = Literal["left", "right"]
PROBE = "probe 1 "


@dataclass(frozen=True)
class TokenIds:
    """A tokenizer with the rules of one model; see `token_ids`, which makes one.

    Attributes:
        tokenizer: of transformers, fast or not.
        max_length: in tokens, with prompt and special tokens.
        closing: the token that ends every text; None where no certain one does.
        closing_id: its id.
        append: add it by hand, because the tokenizer does not.
        padding_side: where short texts of a batch are filled up.
        whose: the model's name, for messages.
    """

    tokenizer: Any
    max_length: int
    closing: str | None
    closing_id: int | None
    append: bool
    padding_side: PaddingSide
    whose: str

    def together(self, texts: Sequence[str]) -> Ragged:
        """Ids of each text, cut to the maximum length and closed.

        A text of no token (the empty text, where nothing closes texts) is read as one padding
        token, so that its vector depends on nothing else in the batch.

        Raises:
            ModelError: a text does not end with the closing token.
        """
        rust = self._rust
        return self._closed(self._cut(texts) if rust is None else rust(texts), texts)

    @cached_property
    def _rust(self) -> RustTokens | None:
        """The Rust tokenizer by itself, where it gives what the library's call does."""
        cap = self.max_length - self.append
        rust, texts = RustTokens.of(self.tokenizer, cap), probes(cap)
        return rust if rust is not None and same(rust(texts), self._cut(texts)) else None

    def _cut(self, texts: Sequence[str]) -> Ragged:
        cap = self.max_length - self.append
        return ragged(self.tokenizer(list(texts), truncation=True, max_length=cap)["input_ids"])

    def _closed(self, found: Ragged, texts: Sequence[str]) -> Ragged:
        if self.closing_id is None:
            return found.inserted(np.flatnonzero(found.lengths == 0), self.filler)
        if self.append:
            return found.inserted(np.arange(len(texts)), self.closing_id)
        for row in np.flatnonzero(~found.end_with(self.closing_id))[:1].tolist():
            self._refuse_open(texts[row], found.of(row))
        return found

    @property
    def filler(self) -> int:
        """The id of padding, which the mask hides; any will do where there is none."""
        filler: int | None = self.tokenizer.pad_token_id
        return 0 if filler is None else filler

    @property
    def left(self) -> bool:
        """Whether short texts are filled up before their first token."""
        return self.padding_side == "left"

    def check(self) -> None:
        """Refuse a model whose texts, short or cut, do not end as its card says.

        Raises:
            ModelError: a text does not end with the closing token.
        """
        texts = [PROBE, PROBE * self.max_length]
        self._closed(self._cut(texts), texts)

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that leaves no room for a text.

        Raises:
            UsageError: prompt and special tokens fill the maximum length.
        """
        bare = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        special = len(self.tokenizer("")["input_ids"]) + self.append
        if len(bare) + special >= self.max_length:
            raise UsageError(
                f"{self.whose}: a maximum length of {self.max_length} tokens leaves no room for a "
                f"text: its prompt has {len(bare)} and there are {special} special tokens. "
                "Raise --max-length or shorten the prompt."
            )

    def _refuse_open(self, text: str, ids: list[int]) -> NoReturn:
        import transformers

        last = self.tokenizer.convert_ids_to_tokens(ids[-1]) if ids else "no token"
        raise ModelError(
            f"{self.whose} makes its vector of the token {self.closing!r} that closes a text, but "
            f"its tokenizer, as transformers {transformers.__version__} loads it, ends "
            f"{text[:20]!r}... with {last!r}. Write append_eos = true into [settings] of its card "
            "if the token is to be added, or say with last_token which token its texts end with "
            '("" if none closes them).'
        )


def token_ids(  # noqa: PLR0913  one argument a rule of the model
    tokenizer: Any,  # noqa: ANN401  transformers has no one type of tokenizers
    *,
    max_length: int,
    last_token: str | None,
    closed: bool,
    append: bool,
    padding_side: PaddingSide | None,
    whose: str,
) -> TokenIds:
    """A tokenizer with the rules of a model, checked.

    Args:
        tokenizer: of the model; its truncation side is set.
        max_length: in tokens, with prompt and special tokens.
        last_token: what closes a text; "" is nothing, None the tokenizer's end of sequence.
        closed: whether the model needs to know (it pools the last token).
        append: see to it that this token closes every text; a tokenizer that does so itself is
            left to it.
        padding_side: None is the tokenizer's own.
        whose: the model's name, for messages.

    Raises:
        DataError: the card's closing token cannot be had.
        ModelError: texts do not end with it.
        UsageError: the maximum length leaves no room for a text.
    """
    tokenizer.truncation_side = "right"
    closing: str | None = None
    if closed or append or last_token:
        closing = tokenizer.eos_token if last_token is None else last_token
    closing_id = _id_of(tokenizer, closing, whose=whose) if closing else None
    if closing_id is None and (append or (closed and last_token is None)):
        raise DataError(
            f"the card of {whose}: its tokenizer names no end of sequence, so last_token in "
            '[settings] must say which token closes a text ("" if none does, without append_eos)'
        )
    closes_itself = tokenizer("")["input_ids"][-1:] == [closing_id]
    rules = TokenIds(
        tokenizer=tokenizer,
        max_length=max_length,
        closing=closing or None,
        closing_id=closing_id,
        append=append and not closes_itself,
        padding_side=padding_side or tokenizer.padding_side,
        whose=whose,
    )
    rules.check_prompt("")
    rules.check()
    return rules


def _id_of(tokenizer: Any, token: str, *, whose: str) -> int:  # noqa: ANN401
    found: int | None = tokenizer.convert_tokens_to_ids(token)
    if found is None or tokenizer.convert_ids_to_tokens(found) != token:
        raise DataError(f"the card of {whose}: its tokenizer has no token {token!r} (last_token)")
    return found
