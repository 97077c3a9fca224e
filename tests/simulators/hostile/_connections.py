"""A listener that plays a script on every connection, and ends them all when it closes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.simulators.hostile._wire import LONGEST_HEAD, Wire


class Connections:
    """`play` is awaited with the wire of each new connection; the connection ends with it."""

    def __init__(self, play: Callable[[Wire], Any]) -> None:
        self._play = play
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(
        self, host: str, port: int, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[int]:
        """The port it listens on; 0 asks for any free one."""
        server = await asyncio.start_server(
            self._serve, host, port, ssl=context, limit=LONGEST_HEAD, backlog=1024
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._play(Wire(reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client left, or is no HTTP client
        except asyncio.CancelledError:
            writer.transport.abort()  # the simulator ends
        finally:
            self._tasks.discard(task)
            if not writer.transport.is_closing():
                writer.close()
