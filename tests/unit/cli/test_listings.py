"""Jobs, keys, usage, events and the audit trail as people and programs see them."""

from __future__ import annotations

import json

import httpx
import pytest

from cli.exits import Exit
from tests.unit.cli.scene import Scene, job, listed, provider, refused

KEY = {
    "id": "key_1",
    "object": "api_key",
    "name": "ci",
    "owner": "ci",
    "role": "member",
    "prefix": "dgm_01J",
    "limits": {"requests_per_minute": 60, "tokens_per_day": None},
    "created_at": 1_795_000_000,
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}


def event(seq: int, **fields: object) -> dict[str, object]:
    return {
        "id": f"evt_{seq}",
        "seq": seq,
        "type": "provider.created",
        "provider": "prov_1",
        "created_at": 1_795_000_000,
        "detail": None,
        **fields,
    }


def feed(*events: dict[str, object], last: int, has_more: bool = False) -> httpx.Response:
    body = json.loads(listed(*events, has_more=has_more).content)
    return httpx.Response(200, json={**body, "last_seq": last})


def test_jobs_are_listed_newest_first_with_why_they_wait(scene: Scene) -> None:
    waits = {"reason": "provider_parked", "until": None, "cause": "upstream_unreachable"}
    failed = job("chatcmpl-3", "failed", error={"code": "upstream_timeout", "message": "x"})
    rows = [job(), job("chatcmpl-2", "queued", waiting_for=waits), failed]
    ran = scene.answering(listed(*rows)).run(
        "jobs", "list", "--status", "queued", "--metadata", "run=42"
    )
    told = ran.out.splitlines()
    assert "10" in told[1]
    assert told[2].endswith("provider_parked (upstream_unreachable)")
    assert told[3].endswith("upstream_timeout")
    query = scene.requests[0].url.params
    assert (query["order"], query["limit"]) == ("desc", "20")
    assert (query["status"], query["metadata[run]"]) == ("queued", "42")


@pytest.mark.parametrize(
    ("usage", "message"),
    [([1], {"content": 5}), ("x", "y"), ({"total_tokens": "many"}, {"content": [{"text": 1}]})],
)
def test_a_job_of_odd_types_takes_no_other_from_sight(
    scene: Scene, usage: object, message: object
) -> None:
    odd = job("chatcmpl-2", usage=usage, choices=[{"message": message}])
    ran = scene.answering(listed(odd, job())).run("jobs", "list")
    assert (ran.exit, len(ran.out.splitlines())) == (Exit.OK, 3)
    ran = scene.answering(httpx.Response(200, json=odd)).run("jobs", "show", "chatcmpl-2")
    assert ran.exit is Exit.OK


def test_all_jobs_come_by_pages_of_a_hundred(scene: Scene) -> None:
    scene.answering(listed(job("a"), has_more=True), listed(job("b")))
    ran = scene.run("jobs", "list", "--all", "--oldest", "--json")
    assert [row["id"] for row in ran.rows] == ["a", "b"]
    asked = [dict(request.url.params) for request in scene.requests]
    assert asked[1] == {"order": "asc", "limit": "100", "after": "a"}


def test_a_job_shows_its_answer_or_its_error(scene: Scene) -> None:
    ran = scene.answering(httpx.Response(200, json=job())).run("jobs", "show", "chatcmpl-1")
    assert ran.out.endswith("\nHello\n")
    error = {"message": "It broke.", "code": "interrupted", "may_have_been_billed": True}
    failed = job(status="failed", error=error)
    ran = scene.answering(httpx.Response(200, json=failed)).run("jobs", "show", "chatcmpl-1")
    assert "It broke." in ran.out
    assert "may have been" in ran.out


def test_a_new_key_goes_to_standard_output_alone(scene: Scene) -> None:
    scene.answering(httpx.Response(201, json={**KEY, "key": "dgm_new"}))
    ran = scene.run(
        "keys", "create", "ci", "--requests-per-minute", "60", "--expires", "2030-01-01T00:00+00:00"
    )
    assert ran.out == "dgm_new\n"
    assert "not shown again" in ran.err
    assert scene.sent() == {
        "name": "ci",
        "expires_at": 1_893_456_000,
        "limits": {"requests_per_minute": 60},
    }


def test_revoked_keys_are_listed_only_if_wanted_and_limits_are_shown(scene: Scene) -> None:
    gone = {**KEY, "id": "key_2", "revoked_at": 1_795_000_000}
    scene.answering(listed(KEY, gone))
    usual = scene.run("keys", "list")
    assert "key_2" not in usual.out
    assert "60 requests/min" in usual.out
    assert "revoked" in scene.run("keys", "list", "--all").out


def test_a_key_is_revoked_after_a_question_that_names_it(scene: Scene) -> None:
    scene.handler = lambda r: (
        httpx.Response(204) if r.method == "DELETE" else httpx.Response(200, json=KEY)
    )
    unasked = scene.run("keys", "revoke", "key_1")
    assert unasked.exit is Exit.USAGE
    assert "'ci' of ci" in unasked.err
    assert scene.run("keys", "revoke", "key_1", "--yes").exit is Exit.OK
    assert [request.method for request in scene.requests] == ["GET", "GET", "DELETE"]


def test_the_newest_events_are_shown_in_words(scene: Scene) -> None:
    appeared = {"appeared": ["m/1"], "appeared_count": 9, "vanished": [], "vanished_count": 0}
    rows = [
        event(1),
        event(2, detail={"from": "pending", "to": "ok"}),
        event(3, detail={"fields": ["endpoint"]}),
        event(4, detail=appeared),
    ]
    pages = iter([feed(*rows[:2], last=2, has_more=True), feed(*rows[2:], last=4)])
    known = httpx.Response(200, json=provider("acme"))
    scene.handler = lambda request: known if "prov_1" in request.url.path else next(pages)
    ran = scene.run("events", "--limit", "3")
    told = ran.out.splitlines()[1:]
    assert [line.split()[0] for line in told] == ["2", "3", "4"]
    assert [line.rpartition(" acme ")[2].strip() for line in told] == [
        "pending → ok",
        "endpoint",
        "+m/1 and 8 more",
    ]
    assert scene.requests[1].url.params["after"] == "2"
    assert len(scene.requests) == 3  # the slug of one provider is asked for once


def test_an_event_of_a_provider_that_is_gone_names_its_id(scene: Scene) -> None:
    scene.answering(feed(event(1), last=1), refused(404))
    assert "prov_1" in scene.run("events").out


def test_following_events_goes_on_behind_the_last_until_it_is_ended(scene: Scene) -> None:
    pages = iter([feed(event(1), last=1), feed(last=1), feed(event(2), last=2)])

    def handle(request: httpx.Request) -> httpx.Response:
        try:
            return next(pages)
        except StopIteration:
            raise KeyboardInterrupt from None

    scene.handler = handle
    ran = scene.run("events", "--follow", "--json")
    assert ran.exit is Exit.INTERRUPTED
    assert [row["seq"] for row in ran.rows] == [1, 2]
    assert [r.url.params["after"] for r in scene.requests] == ["0", "1", "1", "2"]
    assert scene.requests[1].headers["Prefer"] == "wait=60"


def test_the_audit_trail_shows_who_did_what(scene: Scene) -> None:
    entry = {
        "id": "aud_1",
        "at": 1_795_000_000,
        "actor": {"key_id": "key_1", "name": "ci", "owner": "ci"},
        "action": "provider.update",
        "subject": "prov_1",
        "detail": {"fields": ["endpoint", "tags"]},
        "request_id": "req_1",
        "address": "10.0.0.7",
    }
    ran = scene.answering(listed(entry)).run("audit", "--action", "provider.update", "--limit", "5")
    for word in ("ci", "provider.update", "prov_1", "fields: endpoint tags", "10.0.0.7", "req_1"):
        assert word in ran.out
    asked = dict(scene.requests[0].url.params)
    assert asked == {"action": "provider.update", "limit": "5"}


@pytest.mark.parametrize("time", ["yesterday", "7", "2026-13-01", "7y"])
def test_a_time_that_is_none_says_what_one_is(scene: Scene, time: str) -> None:
    ran = scene.run("usage", "--from", time)
    assert ran.exit is Exit.USAGE
    assert "span like 7d" in ran.err


def test_several_jobs_are_cancelled_one_by_one(scene: Scene) -> None:
    cancelled = httpx.Response(200, json=job(status="cancelled"))
    ran = scene.answering(cancelled).run("jobs", "cancel", "a", "b/../c")
    assert ran.exit is Exit.OK
    paths = [request.url.raw_path for request in scene.requests]
    assert paths == [
        b"/v1/chat/completions/a/cancel",
        b"/v1/chat/completions/b%2F..%2Fc/cancel",
    ]


def test_of_several_jobs_the_first_that_is_unknown_ends_it(scene: Scene) -> None:
    scene.answering(httpx.Response(200, json=job()), refused(404))
    assert scene.run("jobs", "cancel", "a", "b", "c").exit is Exit.NOT_FOUND
    assert len(scene.requests) == 2


def test_ids_and_states_stay_whole_on_a_narrow_terminal(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.output.Output.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    one = job("chatcmpl-01M82K5A38ZBXDW4E6SBRKHSMF", model="acme/" + "long-" * 20)
    ran = scene.answering(listed(one)).run("jobs", "list")
    assert "chatcmpl-01M82K5A38ZBXDW4E6SBRKHSMF  completed " in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_list_of_another_server_names_what_it_lacks(scene: Scene) -> None:
    ran = scene.answering(listed({"id": "llama3", "object": "model"})).run("models")
    assert ran.exit is Exit.UNREACHABLE
    assert "'context_length'" in ran.err
    assert "DRAGOMAN_URL" in ran.err
    assert "Traceback" not in ran.err


def test_what_dragoman_itself_leaves_out_is_a_defect_and_told_as_one(scene: Scene) -> None:
    incomplete = listed({"id": "llama3", "object": "model"})
    described = httpx.Response(200, json={"info": {"title": "Dragoman"}})
    with pytest.raises(KeyError):
        scene.answering(incomplete, described).run("models")


def test_the_audit_trail_says_yes_and_no_as_people_do(scene: Scene) -> None:
    entry = {"at": 1, "actor": {"name": "ci"}, "action": "key.create", "subject": "key_1"}
    entry |= {"address": None, "request_id": None}
    given = [{**entry, "detail": {"role": "member", "expires": told}} for told in (False, True)]
    ran = scene.answering(listed(*given)).run("audit")
    assert "role: member, expires: no" in ran.out
    assert "role: member, expires: yes" in ran.out


def test_what_an_entry_of_the_audit_trail_does_not_say_is_not_shown(scene: Scene) -> None:
    entry = {
        "at": 1_795_000_000,
        "actor": {"name": "ci", "owner": "ci"},
        "action": "key.create",
        "subject": "key_1",
        "detail": {"role": "member", "limits": [], "from": None},
        "address": None,
        "request_id": None,
    }
    ran = scene.answering(listed(entry)).run("audit")
    assert "role: member" in ran.out
    assert "limits" not in ran.out
    assert "None" not in ran.out
