"""Simulated judges: a real HTTP server on the loopback, and the way of a pair against it.

    from cmedteb.annotations.demo.server import JudgeServer

    with JudgeServer(gold, Simulation(judges=(SimulatedJudge("judge-a"),))) as server:
        ... ask server.base_url as any OpenAI-compatible endpoint ...
        assert not server.ledger.summary()["repeated"]

Nothing here says anything about a real model: grades come from hidden gold with set errors.
"""

from cmedteb.annotations.demo.faults import Fault, FaultRates
from cmedteb.annotations.demo.gold import Gold
from cmedteb.annotations.demo.judges import SimulatedJudge, Simulation
from cmedteb.annotations.demo.ledger import Ledger

__all__ = ["Fault", "FaultRates", "Gold", "Ledger", "SimulatedJudge", "Simulation"]
