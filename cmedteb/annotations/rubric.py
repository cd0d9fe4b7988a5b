"""Rubrics: what a judge is told, as data: `annotations/rubrics/NAME.md`, read section by section.

A released rubric never changes, and its hash is in the key of every call. Sections are parted by
HTML comments: `system` (with `{{grades}}` and `{{answer}}`), `grade 1` to `grade 5`, `answer
score-first` and `answer reason-first`, and `query`, `document`, `cut`, `ask`, which make the user
message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cmedteb.annotations.config import Form, RubricUsed
from cmedteb.annotations.records import GRADES
from cmedteb.annotations.sections import Blanks, fill, read_text, sections_of
from cmedteb.resources import data_folder

RUBRIC = "relevance.v1"
BLANKS: Blanks = {
    "system": ("grades", "answer"),
    **{f"grade {grade}": () for grade in GRADES},
    **{f"answer {form}": () for form in Form},
    "query": ("nonce", "text", "nonce"),
    "document": ("nonce", "text", "nonce"),
    "cut": (),
    "ask": (),
}


@dataclass(frozen=True)
class Rubric:
    """A rubric and its sections.

    Attributes:
        used: as it is kept in the journal.
        sections: name -> text.
    """

    used: RubricUsed
    sections: Mapping[str, str]

    @classmethod
    def of(cls, used: RubricUsed) -> Rubric:
        """Read the text of a rubric.

        Raises:
            DataError: a section is missing, is unknown, stands twice, or has not its blanks.
        """
        return cls(used, sections_of(used, BLANKS, kind="rubric"))

    def system(self, form: Form, *, reversed_scale: bool = False) -> str:
        """What a judge is told of its work, the same for every pair.

        Args:
            form: what the answer begins with.
            reversed_scale: print the grades from 5 to 1, where else they begin with 1.
        """
        order = sorted(GRADES, reverse=reversed_scale)
        grades = "\n\n".join(self.sections[f"grade {grade}"] for grade in order)
        answer = self.sections[f"answer {form}"]
        return fill(self.sections["system"], {"grades": grades, "answer": answer})


def find_rubric(name: str) -> Rubric:
    """A shipped rubric by its name, or one in a file by its path.

    Args:
        name: such as `relevance.v1`, or `my/rubric.md`.

    Raises:
        UsageError: there is none; lists those there are.
        DataError: the file is no rubric.
    """
    folder = data_folder("annotations") / "rubrics"
    return Rubric.of(read_text(name, folder, kind="rubric"))
