"""The runner: joins tasks, models, search, metrics and results."""

from cmedteb.runner.evaluate import Outcome, RunOptions, averages, run_tasks
from cmedteb.runner.observer import Observer, Silent

__all__ = ["Observer", "Outcome", "RunOptions", "Silent", "averages", "run_tasks"]
