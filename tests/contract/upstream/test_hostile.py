"""Promise 14, the client's part: every hostile behaviour ends in time, and says why.

The hostile upstream is a process of its own, so that memory is the client's. All calls of a test
run together: what one provider does must not make another one late.
"""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from shared.errors import JOB_FAILURES, UpstreamFailure
from shared.telemetry import Secret
from shared.upstream import (
    Bounds,
    ChatAnswer,
    ConnectionLost,
    DiscoveryFailure,
    ModelList,
    Target,
    UpstreamClient,
)
from tests.contract.upstream.calls import BODY, client, run
from tests.contract.upstream.hostile_ends import ENDS, LOST, Answers, Ends
from tests.simulators.hostile import BEHAVIOURS, HostileRemote, spawned_hostile

KEY = "sk-canary/hostile+0123456789abcdef"
BOUNDS = Bounds(connect=1, first_byte=2.5, idle=2.5, total=4)
LATE_SECONDS = 2.0  # over the total bound
MORE_MEMORY = 64 * 2**20
TOGETHER = 24  # calls: no more than two cores can serve within the bounds
TAG = re.compile(r"<[A-Za-z/!?]")

Came = ChatAnswer | ModelList | UpstreamFailure | DiscoveryFailure | ConnectionLost


@dataclass(frozen=True)
class Seen:
    """What came of one call, and after how many seconds."""

    name: str
    came: Came
    took: float


@pytest.fixture(scope="module")
def hostile() -> Iterator[HostileRemote]:
    with spawned_hostile() as remote:
        yield remote


def target(hostile: HostileRemote, name: str) -> Target:
    base, tls = hostile.endpoints[name], name.startswith("tls-")
    ca = hostile.ca_certificate if tls else None
    return Target(f"{base}/chat/completions", f"{base}/models", Secret(KEY), ca_certificate=ca)


async def called(calling: UpstreamClient, hostile: HostileRemote, *, listing: bool) -> list[Seen]:
    """All behaviours, chatted with or asked for their models."""
    room = asyncio.Semaphore(TOGETHER)

    async def one(name: str) -> Seen:
        at = target(hostile, name)
        async with room:
            began = time.monotonic()
            came: Came
            try:
                if listing:
                    came = await calling.list_models(at, BOUNDS)
                else:
                    came = await calling.chat(at, BODY, BOUNDS)
            except (UpstreamFailure, DiscoveryFailure, ConnectionLost) as failure:
                came = failure
            return Seen(name, came, time.monotonic() - began)

    return await asyncio.gather(*map(one, ENDS))


def chain(failure: BaseException | None) -> Iterator[BaseException]:
    """The failure and everything it would drag along into a log."""
    while failure is not None:
        yield failure
        failure = failure.__cause__ or failure.__context__


def holds_headers(error: BaseException) -> bool:
    """Errors of HTTP libraries may carry the request, and with it the Authorization header."""
    return type(error).__module__.partition(".")[0] in ("httptools", "httpx")


def faults_of(failure: UpstreamFailure | DiscoveryFailure | ConnectionLost) -> list[str]:
    """What is wrong with how a failure is told."""
    message, faults = failure.message, []
    shown = traceback.TracebackException.from_exception(failure, capture_locals=True)
    if any(KEY in text for text in (message, repr(vars(failure)), "".join(shown.format()))):
        faults.append("holds the key")
    if any(holds_headers(link) for link in chain(failure)):
        faults.append("drags along an error that holds our headers")
    if TAG.search(message) or "\x00" in message or not message.isprintable():
        faults.append("holds tags or control characters")
    if not message.startswith("Expected ") or "127.0.0.1" not in message:
        faults.append("does not say what was expected from whom")
    if len(message) > 1500:
        faults.append("is too long")
    return faults


def of_chat(seen: Seen) -> list[str]:
    """What is wrong with the end of a chat."""
    expected, came = ENDS[seen.name], seen.came
    if isinstance(came, ChatAnswer):
        text = repr(came.body) + repr(came.request_id)
        right = isinstance(expected, Answers) and expected.chat in text and KEY not in text
        return [] if right else [f"answered {text[:200]}"]
    assert not isinstance(came, ModelList | DiscoveryFailure)
    code = LOST if isinstance(came, ConnectionLost) else came.code
    faults = faults_of(came)
    if not isinstance(expected, Ends) or expected.says not in came.message:
        return [*faults, f"ended with {code}: {came.message}"]
    if code not in wanted(seen.name, expected.chat):
        faults.append(f"ended with {code}, not {expected.chat}")
    if not isinstance(came, ConnectionLost) and (came.phase, came.retry_after) != (
        expected.phase,
        expected.wait,
    ):
        faults.append(f"has phase {came.phase} and Retry-After {came.retry_after}")
    return faults


def wanted(name: str, code: str) -> set[str]:
    """The codes that are right; a RST may overtake the request or not."""
    return {code, "upstream_unreachable"} if name == "reset-on-connect" else {code}


def of_listing(seen: Seen) -> list[str]:
    """What is wrong with the end of a look at the models."""
    expected, came = ENDS[seen.name], seen.came
    if isinstance(came, ModelList):
        ids = tuple(model.id for model in came.models)
        right = isinstance(expected, Answers) and (ids, came.dropped) == (
            expected.ids,
            expected.dropped,
        )
        return [] if right else [f"listed {ids[:9]} and dropped {came.dropped}"]
    assert isinstance(came, DiscoveryFailure)
    faults = faults_of(came)
    if came.status.value != expected.verdict or expected.says not in came.message:
        faults.append(f"is {came.status.value}: {came.message}")
    if isinstance(expected, Ends) and (came.code, came.retry_after) != (
        expected.listing,
        expected.wait,
    ):
        faults.append(f"has code {came.code} and Retry-After {came.retry_after}")
    return faults


def test_the_table_holds_every_behaviour_and_codes_of_the_tree() -> None:
    assert set(ENDS) == set(BEHAVIOURS)
    assert len(ENDS) >= 46
    codes = {code for end in ENDS.values() if isinstance(end, Ends) for code in (end.chat,)}
    assert codes <= set(JOB_FAILURES)


@pytest.mark.parametrize("listing", [False, True], ids=["chat", "model list"])
def test_every_hostile_behaviour_ends_in_time_and_says_why(
    hostile: HostileRemote, listing: bool
) -> None:
    process = psutil.Process()
    before = process.memory_info().rss

    async def main() -> list[Seen]:
        async with client() as calling:
            return await called(calling, hostile, listing=listing)

    seen = run(main())
    grown = process.memory_info().rss - before
    judge = of_listing if listing else of_chat
    faults = {one.name: found for one in seen if (found := judge(one))}
    assert faults == {}
    late = {one.name: one.took for one in seen if one.took > BOUNDS.total + LATE_SECONDS}
    assert late == {}
    assert grown <= MORE_MEMORY, f"{grown / 2**20:.0f} MiB"
