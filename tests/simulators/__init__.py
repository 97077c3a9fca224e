"""Simulated inference servers on real ports.

    with running(vllm(key="sk-1")) as sim:          # in this process, on a thread of its own
        sim.set_mode(Mode.LOADING, "models")
        sim.wait_until(lambda s: s.in_flight >= 100, timeout=10)

    with spawned("--latency", "3") as sim:          # the counting one, as its own process

`sim.simulator.requests` holds the last requests as they came (in-process only).
"""

from tests.simulators._http import Reply, Request, json_reply
from tests.simulators._ledger import Calls, Stats
from tests.simulators._running import Remote, Running, running, spawned
from tests.simulators._simulator import Dialect, Mode, Simulator
from tests.simulators.counting import CountingSimulator
from tests.simulators.ollama import ollama
from tests.simulators.sockets import refusing, unaccepting
from tests.simulators.tgi import tgi
from tests.simulators.vllm import vllm

__all__ = [
    "Calls",
    "CountingSimulator",
    "Dialect",
    "Mode",
    "Remote",
    "Reply",
    "Request",
    "Running",
    "Simulator",
    "Stats",
    "json_reply",
    "ollama",
    "refusing",
    "running",
    "spawned",
    "tgi",
    "unaccepting",
    "vllm",
]
