"""Servers that a test of unsaved values meets, as their answers: no sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.discovery_worker.report import Report, Wanted
from services.discovery_worker.tester import Tester
from shared.domain import DiscoveryStatus
from shared.errors import UpstreamAuthenticationFailed, UpstreamRouteMissing
from shared.telemetry import Secret
from shared.upstream import (
    Bounds,
    ChatAnswer,
    DiscoveryFailure,
    ListedModel,
    ModelList,
    Obstacle,
    Target,
)
from shared.upstream.guard import Addresses, AddressInfo
from shared.upstream.probe import Reached

RIGHT = Secret("sk-right")
MODELS = ModelList((ListedModel("m-1", None, None, 4096, {}),), 0)
ANSWER = ChatAnswer({"choices": []}, 200, None, None, 0.0, 0.0)


def failure(status: DiscoveryStatus, code: str, message: str = "It went wrong.") -> Exception:
    return DiscoveryFailure(message, status=status, code=code)


NO_ROUTE = failure(DiscoveryStatus.NO_MODELS_ROUTE, UpstreamRouteMissing.code)
UNAUTHORIZED = failure(DiscoveryStatus.AUTH_FAILED, UpstreamAuthenticationFailed.code)


@dataclass
class Server:
    """One server: what its models route answers by URL, what its chat does, what is in the way.

    `lists` maps models URLs to answers, for others there is no route; `keyless` is the answer
    without a key. An answer is a list, or an exception to raise.
    """

    lists: Mapping[str, Any] = field(default_factory=dict)
    keyless: Any = None
    chats: Callable[[Target, Mapping[str, Any]], Any] = lambda *_: ANSWER
    in_the_way: Mapping[str, Obstacle] = field(default_factory=dict)
    addresses: tuple[str, ...] = ("192.0.2.1",)
    asked: list[tuple[str, Secret | None, Bounds]] = field(default_factory=list)
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    opened: list[socket.socket] = field(default_factory=list)
    secured: list[tuple[str, bool, str | None]] = field(default_factory=list)

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        self.asked.append((target.models_url, target.api_key, bounds))
        answer = self.lists.get(target.models_url, NO_ROUTE)
        if target.api_key is None and self.keyless is not None:
            answer = self.keyless
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, ModelList)
        return answer

    async def chat(self, target: Target, body: bytes, bounds: Bounds) -> ChatAnswer:
        document = msgspec.json.decode(body)
        self.bodies.append(document)
        answer = self.chats(target, document)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, ChatAnswer)
        return answer

    async def resolve(self, host: str, port: int, *, seconds: float) -> Addresses:
        self._pass("resolve")
        return [_info(address, port) for address in self.addresses]

    async def connect(self, addresses: Addresses, *, seconds: float) -> Reached:
        self._pass("connect")
        self.opened.append(socket.socket())
        return Reached(self.opened[-1], addresses[0][4][0])

    async def secure(
        self,
        reached: Reached,
        host: str,
        *,
        verify: bool,
        ca_certificate: str | None,
        seconds: float,
    ) -> str:
        reached.connection.close()
        self._pass("tls")
        self.secured.append((host, verify, ca_certificate))
        return "TLSv1.3"

    def _pass(self, step: str) -> None:
        if (obstacle := self.in_the_way.get(step)) is not None:
            raise obstacle


TYPED = "https://llm.test/v1"
LIST = "https://llm.test/v1/models"
OK = {"resolve": "ok", "connect": "ok", "tls": "ok", "models": "ok"}  # the steps of a good server


def good(**more: Any) -> Server:
    """A server that lists one model where it was typed."""
    return Server({LIST: MODELS}, **more)


@dataclass
class Tested:
    """A report, read as a person would."""

    report: Report
    progress: list[int]

    @property
    def verdicts(self) -> dict[str, str]:
        return {step.name: step.verdict for step in self.report.steps}

    def said(self, name: str) -> str:
        return next(step.message for step in self.report.steps if step.name == name)

    def remedy(self, name: str) -> str | None:
        return next(step.remedy for step in self.report.steps if step.name == name)


class TakenOver(Exception):
    """Nobody wants the result any more."""


def run_test(
    server: Server,
    endpoint: str,
    *,
    seconds: float = 5.0,
    given_up_after: str = "",
    **wanted: Any,
) -> Tested:
    """One test of this server, whole or up to a step; the connections it opened are closed."""
    report, progress = Report(), []

    async def main() -> None:
        async def note() -> None:
            progress.append(len(report.steps))
            if report.steps[-1].name == given_up_after:
                raise TakenOver

        tester = Tester(server, server, seconds=seconds)
        with contextlib.suppress(TakenOver):
            await tester.test(Wanted(endpoint=endpoint, **wanted), report, note)

    asyncio.run(main())
    assert all(each.fileno() == -1 for each in server.opened), "a connection was left open"
    return Tested(report, progress)


def _info(address: str, port: int) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
