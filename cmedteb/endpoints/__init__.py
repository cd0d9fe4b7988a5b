"""OpenAI-compatible endpoints: vectors and chat over HTTP, paid for once.

    endpoint = open_endpoint("https://host/v1", providers=PATH, key_env="SOME_KEY")
    reply = endpoint.chat("model", [{"role": "user", "content": "..."}], temperature=0)
    answers = concurrently(items, lambda item, stop: endpoint.chat(..., stop=stop), workers=16)

One gate an endpoint paces all its requests; a budget is never exceeded. Nothing is sent before the
first `embed` or `chat`: an endpoint can be described offline and without a key. This room knows
nothing of models and tasks, and stores nothing: what arrives is handed on at once.
"""

from cmedteb.endpoints.answers import Embedded, Reply, usage_of
from cmedteb.endpoints.budget import Budget, BudgetError, Price
from cmedteb.endpoints.client import Endpoint, Meter, open_endpoint
from cmedteb.endpoints.declined import declined
from cmedteb.endpoints.gate import Gate
from cmedteb.endpoints.key import Key
from cmedteb.endpoints.pack import packs
from cmedteb.endpoints.pool import Stop, Stopped, concurrently
from cmedteb.endpoints.provider import Limits, Provider, find_provider, host_of
from cmedteb.endpoints.retry import RefusedError
from cmedteb.endpoints.transport import Failure
from cmedteb.endpoints.watch import Watch

__all__ = [
    "Budget",
    "BudgetError",
    "Embedded",
    "Endpoint",
    "Failure",
    "Gate",
    "Key",
    "Limits",
    "Meter",
    "Price",
    "Provider",
    "RefusedError",
    "Reply",
    "Stop",
    "Stopped",
    "Watch",
    "concurrently",
    "declined",
    "find_provider",
    "host_of",
    "open_endpoint",
    "packs",
    "usage_of",
]
