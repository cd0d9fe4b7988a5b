"""What experts say of the panel's labels: pairs out as files, grades back in.

The first pass is blind: what judges said would pull the experts towards it. Files first, a server
never: a sheet, a page that works from the disk, or tasks for Label Studio.
"""

from cmedteb.annotations.review.export import Exported, Format, ReviewPlan, export_reviews
from cmedteb.annotations.review.returned import Imported, import_reviews

__all__ = [
    "Exported",
    "Format",
    "Imported",
    "ReviewPlan",
    "export_reviews",
    "import_reviews",
]
