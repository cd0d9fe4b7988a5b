"""Synonym pairs for STS, built as the paper builds its own.

An LLM writes three variants of a sentence that holds a term (synonym swapped and meaning kept,
swapped and meaning changed, not swapped and meaning changed), one of them is drawn, and a panel
checks that it is what it claims to be.
"""

from cmedteb.annotations.sts.build import build_pairs
from cmedteb.annotations.sts.pairs import Score
from cmedteb.annotations.sts.plan import Outlook, Recipe, outlook, plan_pairs, total

__all__ = ["Outlook", "Recipe", "Score", "build_pairs", "outlook", "plan_pairs", "total"]
