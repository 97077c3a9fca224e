"""The state of one test of unsaved values, and the time that each of its steps may take."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.discovery_worker.report import Report, Wanted
from shared.errors import InvalidValue
from shared.upstream import Bounds, DiscoveryFailure, Target
from shared.upstream.endpoint import Endpoint, resolve

if TYPE_CHECKING:
    from shared.upstream.guard import Addresses
    from shared.upstream.probe import Reached

DEFAULT_CONNECT: Final = 5.0
_MARGIN: Final = 0.5  # seconds by which a call ends before the test does, so that it can say why
_LEAST: Final = 0.5  # seconds that a call must have
_VERSION = re.compile(r"v\d\w*")


class Skipped(str):
    """Why a step was not done, where nothing failed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Place:
    """An endpoint as it would be saved, and what it means."""

    text: str
    at: Endpoint

    @classmethod
    def of(cls, text: str) -> Place:
        """The place that was meant; raises InvalidValue."""
        return cls(text, resolve(text))

    @property
    def others(self) -> Sequence[Place]:
        """Places on the same server with `/v1` put in, to be tried when nothing is at this one."""
        path, mark, query = self.at.models_url.partition("?")
        base = path.removesuffix("/models")
        root = "/".join(base.split("/")[:3]) + "/v1"
        versioned = _VERSION.fullmatch(base.rpartition("/")[2]) is not None
        bases = {root: None} if versioned else {f"{base}/v1": None, root: None}
        places = []
        for text in bases:
            if text != base:
                with contextlib.suppress(InvalidValue):  # one that grew too long to be an endpoint
                    places.append(Place.of(text + mark + query))
        return places


class Trial:
    """What one test knows so far; `ends` is by the loop's clock."""

    def __init__(self, wanted: Wanted, report: Report, seconds: float) -> None:
        self.wanted = wanted
        self.report = report
        self.place: Place  # since the step `resolve`
        self.addresses: Addresses = ()
        self.reached: Reached | None = None
        self.refused: DiscoveryFailure | None = None  # the models route wants another key
        self._ends = asyncio.get_running_loop().time() + seconds

    def close(self) -> None:
        """Let go of a connection that no step took over."""
        if self.reached is not None:
            self.reached.connection.close()

    @property
    def rest(self) -> float:
        """Seconds that a call may take, so that it ends before the test does."""
        return max(self._ends - asyncio.get_running_loop().time() - _MARGIN, _LEAST)

    @property
    def patience(self) -> float:
        """Seconds for each of: looking the name up, connecting, TLS."""
        return min(self.wanted.options.get("connect_timeout") or DEFAULT_CONNECT, self.rest)

    def bounds(self, seconds: float) -> Bounds:
        """The bounds of one call that may take `seconds` in all."""
        connect = min(self.patience, seconds)
        return Bounds(connect=connect, first_byte=seconds, idle=seconds, total=seconds)

    def target(self, place: Place, *, with_key: bool = True) -> Target:
        """What to call there."""
        return Target(
            chat_url=place.at.chat_url,
            models_url=place.at.models_url,
            api_key=self.wanted.key if with_key else None,
            verify_tls=self.wanted.options.get("verify_tls", True),
            ca_certificate=self.wanted.options.get("ca_certificate"),
        )
