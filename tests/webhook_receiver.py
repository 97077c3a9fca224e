"""Who gets webhooks: a server that remembers each and answers as its path says."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from openai import OpenAI

from tests.eventually import eventually
from tests.simulators import CountingSimulator, Reply, Request
from tests.simulators._http import Exchange

SECRET = "whsec_" + base64.b64encode(b"a secret of forty bytes, of which no one").decode()


class Receiver(CountingSimulator):
    """`/503` answers 503; `/hang` never answers, `/held` not before `let_go`."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Exchange] = []
        self.left = 0  # how many hung up before their answer
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle(self, exchange: Exchange) -> None:
        """Answer 204, or what the path says."""
        self._loop = asyncio.get_running_loop()
        self.requests.append(exchange.request)
        match exchange.request.path.split("/")[1:]:
            case ["hang" | "held", *_]:
                self.waiting.append(exchange)
                exchange.on_closed = self._left
            case ["redirect"]:
                exchange.reply(Reply(307, headers={"Location": "/elsewhere"}))
            case [status] if status.isdigit():
                exchange.reply(Reply(int(status), b"<html>", "text/html"))
            case _:
                exchange.reply(Reply(204))

    def _left(self) -> None:
        self.left += 1

    def got(self, path: str) -> list[Request]:
        """What came there so far."""
        return [request for request in list(self.requests) if request.path == path]

    def wait_for(self, path: str, count: int, timeout: float = 10) -> list[Request]:
        """What came there, once it is as much as this."""

        def enough() -> list[Request] | None:
            found = self.got(path)
            return found if len(found) >= count else None

        return eventually(enough, timeout)

    def let_go(self) -> None:
        """Answer what waits; from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        waiting, self.waiting = self.waiting, []
        for exchange in waiting:
            exchange.reply(Reply(204))


def unwrapped(request: Request, secret: str = SECRET) -> dict[str, Any]:
    """The event as OpenAI's own SDK verifies and reads it."""
    webhooks = OpenAI(api_key="none", webhook_secret=secret).webhooks
    event = webhooks.unwrap(request.body, dict(request.headers))
    return event.to_dict()  # type: ignore[no-any-return, unused-ignore]
