"""What a query costs online: the query side of a model, timed after MLPerf's inference rules."""

from cmedteb.runner.latency.measure import Asked, measure_latency
from cmedteb.runner.latency.plan import FULL, QUICK, Plan
from cmedteb.runner.latency.record import Filed, Setup, measure_tasks

__all__ = [
    "FULL",
    "QUICK",
    "Asked",
    "Filed",
    "Plan",
    "Setup",
    "measure_latency",
    "measure_tasks",
]
