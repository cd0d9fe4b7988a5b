"""Tasks: cards (data) and the three classes that load and score what a card describes."""

from cmedteb.tasks.base import Scored
from cmedteb.tasks.card import TaskCard
from cmedteb.tasks.registry import Benchmark, Catalogue, Task, catalogue, from_folder, resolve
from cmedteb.tasks.reranking import RerankingTask
from cmedteb.tasks.retrieval import RetrievalTask
from cmedteb.tasks.sts import StsTask

__all__ = [
    "Benchmark",
    "Catalogue",
    "RerankingTask",
    "RetrievalTask",
    "Scored",
    "StsTask",
    "Task",
    "TaskCard",
    "catalogue",
    "from_folder",
    "resolve",
]
