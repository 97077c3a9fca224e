"""The proxy itself: its port, its connections, and the switch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final, TypeVar

from tests.faultproxy._connection import PASS, PIECE, Address, Connection, Side, Way, Ways, reset

T = TypeVar("T")

STOP_SECONDS: Final = 10.0


class FaultProxy:
    """Serves on a port of 127.0.0.1; every method may be called from any thread."""

    def __init__(self, target: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.port = 0
        self._target = target
        self._loop = loop
        self._ways = Ways()
        self._stopping = asyncio.Event()
        self._resetting = False
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many clients' connections are open, dead ones included."""
        return len(self._connections)

    def switch(self, *, there: Way = PASS, back: Way = PASS) -> None:
        """Treat what comes from now on like this, on connections old and new."""
        self._call(lambda: self._ways.switch(there, back))

    def reset(self, *, new: bool = False) -> int:
        """End all connections with a RST and return how many; with `new` those to come, too."""
        return self._call(lambda: self._reset(new))

    def refuse(self) -> None:
        """Listen no more: who connects is refused. Connections stay."""
        self._call(self._unlisten)

    def forget_server(self) -> int:
        """Half-open: close the servers' halves; the clients are not told, their bytes are lost."""
        return self._call(lambda: self._forget("there"))

    def forget_client(self) -> int:
        """Half-open: close the clients' halves; the server is not told and may send on."""
        return self._call(lambda: self._forget("back"))

    def heal(self) -> None:
        """Listen and pass everything again; connections that lost bytes stay dead."""
        asyncio.run_coroutine_threadsafe(self._heal(), self._loop).result()

    def stop(self) -> None:
        """Listen no more and reset what is connected; `fault_proxy` does it at its block's end."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def run(self, listening: Callable[[FaultProxy], None]) -> None:
        """Serve on this loop until `stop`; `listening` is told when the port is open."""
        await self._listen()
        listening(self)
        await self._stopping.wait()
        self._unlisten()
        tasks = [connection.task for connection in self._connections if connection.task]
        self._reset(new=True)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _heal(self) -> None:
        self._resetting = False
        self._ways.switch(PASS, PASS)
        if self._server is None:
            await self._listen()

    def _call(self, do: Callable[[], T]) -> T:
        async def run() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=PIECE)
        self.port = self._server.sockets[0].getsockname()[1]

    def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reset(self, new: bool) -> int:
        self._resetting = new
        for connection in self._connections:
            connection.reset()
        return len(self._connections)

    def _forget(self, side: Side) -> int:
        for connection in self._connections:
            connection.forget(side)
        return len(self._connections)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._resetting:
            reset(writer)
            return
        connection = Connection(self._ways, writer)
        # A task of our own: asyncio takes one of a server's that was cancelled for an error.
        connection.task = self._loop.create_task(self._pass(connection, reader))
        self._connections.add(connection)

    async def _pass(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        try:
            await connection.join(reader, self._target)
        except (OSError, asyncio.CancelledError):  # one half was reset, or both shall be
            connection.reset()
        finally:
            self._connections.discard(connection)
            connection.close()


@contextmanager
def fault_proxy(target: Address) -> Iterator[FaultProxy]:
    """Serve before `target` until the block ends, on a thread of its own."""
    ready: Future[FaultProxy] = Future()

    async def main() -> None:
        await FaultProxy(target, asyncio.get_running_loop()).run(ready.set_result)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="fault proxy")
    thread.start()
    proxy = ready.result(STOP_SECONDS)
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(STOP_SECONDS)
        if thread.is_alive():
            raise TimeoutError(f"the fault proxy did not end within {STOP_SECONDS:g} s")
