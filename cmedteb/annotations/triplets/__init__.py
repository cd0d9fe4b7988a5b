"""Training triplets without false negatives, as the paper makes its own.

Queries are de-duplicated for diversity, candidates mined with any models, false negatives taken
out by a panel, and the rest written as rows of a query, its positive and negatives.
"""

from cmedteb.annotations.triplets.build import Mining, Nearness, build_triplets, plan_triplets
from cmedteb.annotations.triplets.diversity import Diversity
from cmedteb.annotations.triplets.rows import Choose, Positives, Shape

__all__ = [
    "Choose",
    "Diversity",
    "Mining",
    "Nearness",
    "Positives",
    "Shape",
    "build_triplets",
    "plan_triplets",
]
