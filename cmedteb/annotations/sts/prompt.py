"""What a writer is asked: `annotations/prompts/NAME.zh.md`, read section by section.

As with rubrics, a released prompt never changes and its hash is kept with what it made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cmedteb.annotations.config import RubricUsed
from cmedteb.annotations.prompt import Message, clean, nonce
from cmedteb.annotations.sections import Blanks, fill, read_text, sections_of
from cmedteb.annotations.sts.vocabulary import Seed
from cmedteb.resources import data_folder

PROMPT = "sts-variants.v1"
BLANKS: Blanks = {
    "system": ("answer",),
    "answer sentence": (),
    "answer term": (),
    "material": ("nonce", "nonce", "nonce", "nonce", "synonyms", "term"),
    "sentence": ("nonce", "nonce", "text"),
    "ask": (),
}


@dataclass(frozen=True)
class WritingPrompt:
    """A prompt and its sections.

    Attributes:
        used: as it is kept in the journal.
        sections: name -> text.
    """

    used: RubricUsed
    sections: Mapping[str, str]

    def messages(self, seed: Seed) -> list[Message]:
        """The conversation that asks for the variants of a seed; its texts are fenced data."""
        number = nonce("seed", seed.seed_id)
        answer = "answer sentence" if seed.sentence else "answer term"
        system = fill(self.sections["system"], {"answer": self.sections[answer]})
        told = {"term": seed.term, "synonyms": "\n".join(seed.synonyms)}
        parts = [fill(self.sections["material"], self._fenced(told, number))]
        if seed.sentence:
            told = {"text": seed.sentence}
            parts.append(fill(self.sections["sentence"], self._fenced(told, number)))
        parts.append(self.sections["ask"])
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": "\n\n".join(parts)},
        ]

    @staticmethod
    def _fenced(texts: Mapping[str, str], number: str) -> dict[str, str]:
        safe = {name: clean(text).replace(number, "") for name, text in texts.items()}
        return {"nonce": number, **safe}


def find_prompt(name: str) -> WritingPrompt:
    """A shipped prompt by its name, or one in a file by its path.

    Raises:
        UsageError: there is none; lists those there are.
        DataError: the file is no prompt for variants.
    """
    folder = data_folder("annotations") / "prompts"
    used = read_text(name, folder, kind="prompt")
    return WritingPrompt(used, sections_of(used, BLANKS, kind="prompt"))
