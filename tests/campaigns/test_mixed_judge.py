"""The judge of the mixed campaign finds each way to break a promise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.campaigns.faults import Fault
from tests.campaigns.load import Accepted, Refused
from tests.campaigns.mixed_judge import Played, judge
from tests.campaigns.mixed_load import Chat
from tests.campaigns.readers import Reading
from tests.simulators import Calls

MARK, JOB = "m1-t-1", "chatcmpl-1"
TEXT = "one two"


def chunk(number: int, content: str) -> str:
    delta = {"choices": [{"index": 0, "delta": {"content": content}}]}
    return json.dumps({"sequence_number": number, **delta})


def reading(*contents: str, end: str | None = "done", **changes: Any) -> Reading:
    chunks = [chunk(number, content) for number, content in enumerate(contents)]
    return Reading(chunks=chunks, end=end, **changes)


def job(**changes: Any) -> dict[str, Any]:
    whole = {"status": "completed", "error": None, "choices": [{"message": {"content": TEXT}}]}
    times = {"started_at": 1, "completed_at": 1000}
    told = {"background": True, "webhook": {"status": "delivered"}, "waiting_for": None}
    return {**whole, **times, **told, **changes}


FAILED: dict[str, Any] = {"status": "failed", "choices": [], "error": {"code": "interrupted"}}
CANCELLED: dict[str, Any] = {"status": "cancelled", "choices": [], "error": {"code": "cancelled"}}


def played(chat: dict[str, Any] | None = None, **changes: Any) -> Played:
    """One streamed chat of which all is well, with these changes."""
    found = Chat("t", MARK, "ann", TEXT, job_id=JOB, hooked=True, readings=[reading("one ", "two")])
    one = replace(found, **(chat or {}))
    whole = Played(
        chats=[one],
        accepted=[Accepted(JOB, one.mark, 500.0, 0.01)],
        refused=[],
        first_seen={},
        jobs={JOB: job()},
        calls={one.mark: Calls(begun=1, answered=1)},
        live_rows=0,
        faults=[],
        calm_until=600.0,
        told={JOB: ["chat.completion.completed"]},
        lists={"ann": {JOB}, "bob": set()},
    )
    return replace(whole, **changes)


def broken(found: Played) -> list[str]:
    return [finding.what for finding in judge(found) if not finding.holds]


def test_a_chat_of_which_all_is_well_breaks_nothing() -> None:
    assert broken(played()) == []


@pytest.mark.parametrize(
    ("chat", "changes"),
    [
        ({"readings": [reading("one ", "two", wrong=["chunk 3 where 2 was due"])]}, {}),
        ({"readings": [reading("one ")]}, {}),
        ({"readings": [reading("one ", "two", end=None)]}, {}),
        ({"readings": [reading("one ", "two", end="interrupted")]}, {}),
        ({}, {"replays": {JOB: reading("one", " two")}}),
        ({"readings": [reading("two", end="interrupted")]}, {"jobs": {JOB: job(**FAILED)}}),
    ],
)
def test_what_is_wrong_with_a_stream_is_found(chat: dict[str, Any], changes: Any) -> None:
    assert any("stream" in what for what in broken(played(chat, **changes)))


def test_the_stream_of_a_failed_job_may_break_off_with_its_error() -> None:
    chat = {"hooked": False, "readings": [reading("one ", end="interrupted")]}
    lost = reading(end="interrupted")
    found = played(chat, jobs={JOB: job(**FAILED)}, replays={JOB: lost}, told={})
    assert broken(found) == []


CANCEL: dict[str, Any] = {
    "kind": "c",
    "hooked": False,
    "readings": [],
    "ended_at": 900.0,
    "took": 0.1,
    "closed": 0.1,
}
OPEN, SLOW = "calls that were open more than 2 s after their cancel", "cancels that took more"


@pytest.mark.parametrize(
    ("chat", "changes", "found"),
    [
        ({}, {}, None),
        ({"took": 1.1}, {}, SLOW),
        ({"took": 1.1}, {"patience": 2.0}, None),
        ({"took": 1.1}, {"faults": [Fault("kill chat-worker", 895.0, 895.1)]}, None),
        ({"took": 1.1}, {"faults": [Fault("kill chat-worker", 700.0, 700.1)]}, SLOW),
        ({"closed": 2.1}, {}, OPEN),
        ({"closed": None}, {}, OPEN),
        ({}, {"calls": {MARK: Calls(begun=1)}}, OPEN),
        ({"kind": "b"}, {}, "cancels and deletes that went wrong"),
        ({"gone": True}, {}, "cancels and deletes that went wrong"),
        ({"wrong": ["answered 500"]}, {}, "cancels and deletes that went wrong"),
        ({}, {"jobs": {JOB: job(**CANCELLED, started_at=None)}}, "jobs that were cancelled before"),
    ],
)
def test_what_is_wrong_with_a_cancel_is_found(
    chat: dict[str, Any], changes: dict[str, Any], found: str | None
) -> None:
    base = {"jobs": {JOB: job(**CANCELLED)}, "told": {}, "calls": {MARK: Calls(1, 0, 1)}}
    assert [
        what[: len(found or "")] for what in broken(played({**CANCEL, **chat}, **base | changes))
    ] == ([found] if found else [])


@pytest.mark.parametrize(
    ("chat", "changes", "found"),
    [
        ({"kind": "i"}, {}, "keys with more"),
        ({"kind": "i", "job_ids": {JOB}}, {}, None),
        ({"kind": "i", "job_ids": {JOB, "chatcmpl-2"}}, {}, "keys with more"),
        ({"kind": "i", "job_ids": {JOB}, "wrong": ["504 deadline_exceeded"]}, {}, "keys with more"),
        ({"kind": "i", "wrong": ["502 interrupted"]}, {}, None),
        ({}, {"told": {}}, "webhooks that"),
        ({}, {"told": {JOB: ["chat.completion.failed"]}}, "webhooks that"),
        ({"hooked": False}, {}, "webhooks that"),
        ({}, {"jobs": {JOB: job(webhook={"status": "pending"})}}, "webhooks that"),
        ({}, {"jobs": {JOB: job(webhook={"status": "pending"})}, "all_told": False}, None),
        ({}, {"seen_by_others": ["GET 200"]}, "looks at another's"),
        ({}, {"lists": {"ann": set()}}, "looks at another's"),
        ({}, {"lists": {"ann": {JOB}, "bob": {JOB}}}, "looks at another's"),
        ({}, {"refused": [Refused("m", 700.0, "502 interrupted")]}, None),
        ({}, {"refused": [Refused("m", 700.0, "500 internal_error")]}, "refusals that"),
        ({"refused": (599.0, "502 interrupted")}, {}, "jobs that an orderly"),
        ({"refused": (600.0, "502 interrupted")}, {}, None),
        ({}, {"live_rows": 1}, "accepted jobs that did not end"),
    ],
)
def test_what_else_is_wrong_is_found(
    chat: dict[str, Any], changes: dict[str, Any], found: str | None
) -> None:
    what = broken(played(chat, **changes))
    assert [each[: len(found or "")] for each in what] == ([found] if found else [])


def test_a_job_that_was_interrupted_before_the_faults_began_is_found() -> None:
    early = job(**FAILED, completed_at=500)
    chat = {"readings": [reading("one ", end="interrupted")], "hooked": False}
    assert broken(played(chat, jobs={JOB: early}, told={})) == [
        "jobs that an orderly restart interrupted"
    ]


def test_slow_submissions_while_valkey_is_away_are_found() -> None:
    away = [Fault("freeze valkey for 1.0 s", 499.0, 501.0)]
    chat = {"kind": "b", "mark": "m1-b-1", "readings": []}
    slow = [Accepted(JOB, "m1-b-1", 500.0, 0.3)]
    found = broken(played(chat, faults=away, accepted=slow))
    assert found == ["submissions while Valkey is away (1), p99 over 0.25 s"]
