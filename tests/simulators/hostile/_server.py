"""All behaviours on their ports, and the page that lists them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from tests.simulators.hostile._behaviour import Asked, Behaviour, http
from tests.simulators.hostile._bodies import BODIES
from tests.simulators.hostile._certificates import Authority
from tests.simulators.hostile._connections import Connections
from tests.simulators.hostile._framing import FRAMING
from tests.simulators.hostile._models import MODELS
from tests.simulators.hostile._own_ports import HOST, OWN_PORTS, OwnPort
from tests.simulators.hostile._statuses import STATUSES
from tests.simulators.hostile._wire import Wire

_ON_PATHS: Final = (*FRAMING, *STATUSES, *BODIES, *MODELS)
BEHAVIOURS: Final[Mapping[str, Behaviour | OwnPort]] = {
    behaviour.name: behaviour for behaviour in (*OWN_PORTS, *_ON_PATHS)
}


class Hostile:
    """Everything that listens. `endpoints` are the bases to register, by name.

    `apart` are the same on a port for each: Dragoman checks one provider of a host and port at a
    time, and some of these take all the time that a check may take.
    """

    def __init__(self) -> None:
        self.authority = Authority()
        self.url = ""
        self.endpoints: dict[str, str] = {}
        self.apart: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self._on_paths = {behaviour.name: behaviour for behaviour in _ON_PATHS}

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        """Listen on `port` and on one more for each behaviour that needs its own."""
        async with AsyncExitStack() as stack:
            server = Connections(self._play).listening(HOST, port)
            self.url = f"http://{HOST}:{await stack.enter_async_context(server)}"
            for one in OWN_PORTS:
                origin = await stack.enter_async_context(one.open(self.authority))
                self.endpoints[one.name] = f"{origin}/v1"
            self.apart |= self.endpoints
            for name in self._on_paths:
                self.endpoints[name] = f"{self.url}/{name}/v1"
                alone = await stack.enter_async_context(Connections(self._play).listening(HOST, 0))
                self.apart[name] = f"http://{HOST}:{alone}/{name}/v1"
            yield

    async def _play(self, wire: Wire) -> None:
        asked = Asked.of(await wire.request())
        name = asked.path.split("/")[1]
        if asked.path == "/behaviours":
            await wire.send(http(200, self.page()))
        elif (behaviour := self._on_paths.get(name)) is not None:
            self.asked[name] += 1
            await behaviour.play(wire, asked)
        else:
            await wire.send(http(404, b"GET /behaviours lists all paths.", "text/plain"))

    def page(self) -> bytes:
        """What `GET /behaviours` answers."""
        page = {
            "endpoints": self.endpoints,
            "apart": self.apart,
            "ca_certificate": self.authority.pem,
        }
        return json.dumps(page).encode()

    def listing(self) -> str:
        """The endpoints with what each does, a line each."""
        name_width = max(map(len, BEHAVIOURS)) + 2
        url_width = max(map(len, self.endpoints.values())) + 2
        return "\n".join(
            f"{name:{name_width}}{self.endpoints[name]:{url_width}}{behaviour.line}"
            for name, behaviour in BEHAVIOURS.items()
        )
