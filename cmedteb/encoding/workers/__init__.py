"""Several devices: workers with a copy of the model each, fed from one plan by one queue.

Which texts share a forward pass is decided once, for all; workers take whole batches. So vectors
are the same bytes whatever the number of workers, whether one of them dies, and whether they are
processes of this machine or Ray actors on many. Workers stay over all tasks and sides of a call.
"""

from cmedteb.encoding.workers.chunks import Plan, Planned
from cmedteb.encoding.workers.messages import Bench, Open
from cmedteb.encoding.workers.places import devices_of, visible_gpus
from cmedteb.encoding.workers.pool import Crew, Workers
from cmedteb.encoding.workers.processes import Processes
from cmedteb.encoding.workers.ray_pool import RayActors
from cmedteb.encoding.workers.split import Split, split_engine, split_texts

__all__ = [
    "Bench",
    "Crew",
    "Open",
    "Plan",
    "Planned",
    "Processes",
    "RayActors",
    "Split",
    "Workers",
    "devices_of",
    "split_engine",
    "split_texts",
    "visible_gpus",
]
