"""An event of a response that did not succeed has one number for ever, its last one too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import sqlalchemy as sa

from shared.domain import JobState
from shared.store import jobs
from shared.store.schema import chat_job
from tests.contract.registry.conftest import RETENTION, Registry
from tests.contract.registry.test_chat_streams import ERROR, stored
from tests.contract.registry.test_response_streams import CHUNKS, ORDER, events, replayed, streamed
from tests.contract.registry.test_responses import RESPONSES, submitted

FAILURE: Final = {"error_code": ERROR["code"], "error": ERROR}
Act = Callable[[Registry, Any], None]


def fail(registry: Registry, claimed: Any) -> None:
    registry.finish(claimed, JobState.FAILED, **FAILURE)


def fail_later(registry: Registry, claimed: Any) -> None:
    log = stored(registry, claimed.id, CHUNKS[:2])
    registry.finish(claimed, JobState.FAILED, log_sealed=log, log_chunks=2, **FAILURE)


def cancel(registry: Registry, claimed: Any) -> None:
    registry.post(f"{RESPONSES}/resp_{claimed.id}/cancel", b"")


def lose_worker(registry: Registry, claimed: Any) -> None:
    with registry.database.write() as tx:
        swept = jobs.sweep(tx, now=registry.parts.now(), retention=RETENTION)
    assert claimed.id in swept.ended


def of_a_stream(act: Act) -> Callable[[Registry, str], str]:
    """Response id of a background stream that a worker had when `act` ended it."""

    def made(registry: Registry, slug: str) -> str:
        answer = streamed(registry, f"{slug}/m", lambda job: act(registry, job), background=True)
        return str(answer.headers["Location"]).removeprefix(f"{RESPONSES}/")

    return made


def cancelled_in_the_queue(registry: Registry, slug: str) -> str:
    response_id = str(submitted(registry, f"{slug}/m")["id"])
    bare = response_id.removeprefix("resp_")
    with registry.database.write() as tx:  # as one that returned there: it had been called
        row = sa.update(chat_job).where(chat_job.c.id == bare)
        tx.execute(row.values(stream=True, calls=1, started_at=1.0))
    registry.post(f"{RESPONSES}/{response_id}/cancel", b"")
    return response_id


def cancelled_in_a_call_that_is_no_stream(registry: Registry, slug: str) -> str:
    response_id = str(submitted(registry, f"{slug}/m")["id"])
    (claimed,) = registry.claim(response_id.replace("resp_", "chatcmpl-"))
    cancel(registry, claimed)
    return response_id


@pytest.mark.parametrize(
    "made",
    [
        of_a_stream(fail),
        of_a_stream(fail_later),
        cancelled_in_the_queue,
        cancelled_in_a_call_that_is_no_stream,
    ],
    ids=["failed", "failed later", "cancelled in the queue", "cancelled, no stream"],
)
def test_nothing_follows_the_last_event_however_often_it_is_asked_for(
    registry: Registry, slug: str, made: Callable[[Registry, str], str]
) -> None:
    response_id = made(registry, slug)
    whole = replayed(registry, response_id)
    frames = [frame + b"\n\n" for frame in whole.split(b"\n\n")[:-1]]
    assert events(frames[-1])[0]["type"] == "response.failed"
    assert events(frames[-1])[0]["sequence_number"] == len(frames) - 1
    for number in range(-1, len(frames) + 2):
        assert replayed(registry, response_id, number) == b"".join(frames[number + 1 :])


@pytest.mark.parametrize(("act", "status"), [(cancel, "cancelled"), (lose_worker, "failed")])
def test_whoever_heard_more_of_a_stream_than_is_kept_hears_its_end(
    registry: Registry, slug: str, act: Act, status: str
) -> None:
    response_id = of_a_stream(act)(registry, slug)
    (last,) = events(replayed(registry, response_id, 40))
    assert (last["type"], last["sequence_number"]) == ("response.failed", 41)
    assert last["response"]["status"] == status
    whole = events(replayed(registry, response_id))
    assert [event["type"] for event in whole] == [*ORDER[:3], "response.failed"]
