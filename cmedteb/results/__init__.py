"""Results: scores with receipts, written atomically, reused only when nothing has changed."""

from cmedteb.results.schema import TaskResult, fingerprint
from cmedteb.results.store import ORIGINAL, Overwrite, ResultStore

__all__ = ["ORIGINAL", "Overwrite", "ResultStore", "TaskResult", "fingerprint"]
