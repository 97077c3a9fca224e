"""Simulated inference servers on real ports.

    with running(vllm(key="sk-1")) as sim:          # in this process, on a thread of its own
        sim.set_mode(Mode.LOADING, "models")
        sim.wait_until(lambda s: s.in_flight >= 100, timeout=10)

    with spawned("--latency", "3") as sim:          # the counting one, as its own process

    ./dragoman simulate vllm --port 8000            # by hand

`sim.simulator.requests` holds the last requests as they came (in-process only).
"""

from tests.simulators._accepting import accepting
from tests.simulators._asked import Mode
from tests.simulators._http import Reply, Request, json_reply
from tests.simulators._ledger import Calls, Stats
from tests.simulators._running import Remote, Running, running, spawned
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators.counting import CountingSimulator
from tests.simulators.gemini import gemini
from tests.simulators.groq import groq
from tests.simulators.litellm import litellm
from tests.simulators.llama_cpp import llama_cpp, llama_cpp_old, llama_cpp_router
from tests.simulators.lm_studio import lm_studio, lm_studio_loaded
from tests.simulators.no_models_route import no_models_route
from tests.simulators.ollama import ollama
from tests.simulators.openrouter import openrouter
from tests.simulators.sockets import refusing, unaccepting
from tests.simulators.tgi import tgi
from tests.simulators.together import together
from tests.simulators.vllm import vllm, vllm_old

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
    "accepting",
    "gemini",
    "groq",
    "json_reply",
    "litellm",
    "llama_cpp",
    "llama_cpp_old",
    "llama_cpp_router",
    "lm_studio",
    "lm_studio_loaded",
    "no_models_route",
    "ollama",
    "openrouter",
    "refusing",
    "running",
    "spawned",
    "tgi",
    "together",
    "unaccepting",
    "vllm",
    "vllm_old",
]
