"""Simulators on real ports: in this process on a thread of their own, or as a process of their own.

Load tests use `spawned`, so that the simulator shares no GIL with the load.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from tests.simulators._accepting import accepting
from tests.simulators._asked import Mode, Route
from tests.simulators._http import Connection
from tests.simulators._ledger import Calls, Stats
from tests.simulators._simulator import Simulator

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 10.0


class Running:
    """A simulator that serves in this process; every method may be called from any thread."""

    def __init__(
        self,
        simulator: Simulator,
        loop: asyncio.AbstractEventLoop,
        stop: asyncio.Event,
        port: int,
    ) -> None:
        self.simulator = simulator
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.endpoint = self.url + simulator.dialect.base  # what to register
        self._loop = loop
        self._stop = stop

    def stats(self) -> Stats:
        return self.simulator.ledger.stats()

    def calls(self) -> dict[str, Calls]:
        return self.simulator.ledger.calls()

    def calls_of(self, mark: str) -> Calls:
        return self.simulator.ledger.calls_of(mark)

    def wait_until(self, reached: Callable[[Stats], bool], timeout: float) -> Stats:
        """Block until `reached(stats)` holds; raises TimeoutError after `timeout` seconds."""
        return self.simulator.ledger.wait_until(reached, timeout)

    async def reached(self, reached: Callable[[Stats], bool], timeout: float) -> Stats:
        """`wait_until` for callers on a loop of their own."""
        return await asyncio.to_thread(self.wait_until, reached, timeout)

    def set_mode(self, mode: Mode, *routes: Route) -> None:
        """Let `routes` (both when none is named) behave so from now on."""
        for route in routes or ("chat", "models"):
            self.simulator.modes[route] = mode

    def hold(self) -> None:
        self._loop.call_soon_threadsafe(self.simulator.hold)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self.simulator.release)

    def reset(self) -> None:
        self._loop.call_soon_threadsafe(self.simulator.ledger.forget)

    def stop(self) -> None:
        """Close the port and every connection; `running` does it at the end of its block."""
        self._loop.call_soon_threadsafe(self._stop.set)


async def serve(
    simulator: Simulator, stop: asyncio.Event, listening: Callable[[int], None], port: int = 0
) -> None:
    """Serve until `stop` is set; `listening` gets the port."""

    def connection() -> Connection:
        return Connection(simulator.handle, simulator.keep_alive)

    async with accepting(connection, port) as chosen:
        listening(chosen)
        await stop.wait()


@contextmanager
def running(simulator: Simulator, port: int = 0) -> Iterator[Running]:
    """Serve in this process until the block ends, on an ephemeral port unless one is named."""
    ready: Future[Running] = Future()

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def listening(chosen: int) -> None:
            ready.set_result(Running(simulator, loop, stop, chosen))

        await serve(simulator, stop, listening, port)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name=f"simulator {simulator.dialect.name}")
    thread.start()
    try:
        served = ready.result(timeout=10)
        try:
            yield served
        finally:
            served.stop()
    finally:
        thread.join(STOP_SECONDS)
        if thread.is_alive():
            raise TimeoutError(f"the {thread.name} did not end within {STOP_SECONDS:g} s")


class Remote:
    """A counting simulator in a process of its own, seen through its control routes."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        # Before the server closes an idle connection: a request on one that it closes is lost.
        limits = httpx.Limits(keepalive_expiry=1.0)
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False, limits=limits)

    def stats(self) -> Stats:
        return msgspec.json.decode(self._http.get("/sim/stats").content, type=Stats)

    def calls(self) -> dict[str, Calls]:
        return msgspec.json.decode(self._http.get("/sim/calls").content, type=dict[str, Calls])

    def calls_of(self, mark: str) -> Calls:
        return msgspec.json.decode(self._http.get(f"/sim/calls/{mark}").content, type=Calls)

    def wait_until(self, reached: Callable[[Stats], bool], timeout: float) -> Stats:
        """Ask every 20 ms until `reached(stats)` holds; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not reached(stats := self.stats()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not reached within {timeout:g} s: {stats}")
            time.sleep(0.02)
        return stats

    def hold(self) -> None:
        self._http.post("/sim/hold").raise_for_status()

    def release(self) -> None:
        self._http.post("/sim/release").raise_for_status()

    def reset(self) -> None:
        self._http.post("/sim/reset").raise_for_status()

    def close(self) -> None:
        self._http.close()


@contextmanager
def spawned(*arguments: str) -> Iterator[Remote]:
    """`python -m tests.simulators counting …` until the block ends; it also ends with us."""
    command = [sys.executable, "-m", "tests.simulators", "counting", *arguments]
    with subprocess.Popen(
        [*command, "--with-parent"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode().strip()
        assert line.startswith("listening on "), f"the simulator said {line!r}"
        remote = Remote(line.removeprefix("listening on "), process.pid)
        try:
            yield remote
        finally:
            remote.close()
            process.terminate()
