"""What owners do with their jobs over HTTP: list, look back, note, cancel, delete."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from shared.domain import JobState
from shared.store.access import Role
from shared.store.jobs import Evidence
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, refused

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def listed(registry: Registry, query: str, **options: Any) -> list[str]:
    """The ids of one page."""
    answer = registry.get(f"{CHAT}?{query}", **options)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.get_json()["data"]]


def evidence(**changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "chat_url": "http://10.0.0.1:8000/v1/chat/completions",
        "key_fingerprint": "3fa1b2c4",
        "provider_revision": 1,
        "started_at": 100.0,
        "ended_at": 102.5,
        "calls": 1,
        "outcome": "completed",
        "sent": True,
        "connect_seconds": 0.25,
        "first_byte_seconds": 2.0,
        "upstream_status": 200,
        "upstream_request_id": "req-up",
        "prompt_tokens": 5,
        "completion_tokens": 7,
    }
    return Evidence(**values | changes)


def test_stored_jobs_are_listed_by_page_oldest_first(registry: Registry, slug: str) -> None:
    ids = [registry.submit(f"{slug}/m")["id"] for _ in range(3)]
    registry.submit(f"{slug}/m", store=False)
    of_it = f"provider={slug}&limit=2"
    first = registry.get(f"{CHAT}?{of_it}")
    assert [job["id"] for job in first.get_json()["data"]] == ids[:2]
    assert first.get_json()["has_more"] is True
    assert first.headers["Link"] == (f'<{CHAT}?provider={slug}&limit=2&after={ids[1]}>; rel="next"')
    assert listed(registry, f"{of_it}&after={ids[1]}") == ids[2:]
    assert listed(registry, f"{of_it}&order=desc") == [ids[2], ids[1]]
    assert listed(registry, f"{of_it}&order=desc&after={ids[1]}") == ids[:1]


def test_lists_are_narrowed_by_state_model_provider_and_metadata(
    registry: Registry, slug: str
) -> None:
    marks = [{"run": "1", "Ünit's": "a b"}, {"run": "2"}, {}]
    ids = [
        registry.submit(f"{slug}/m{number}", metadata=mark)["id"]
        for number, mark in enumerate(marks)
    ]
    registry.completed(ids[1], ANSWER)
    of_it = f"provider={slug}"
    assert listed(registry, f"{of_it}&status=completed") == [ids[1]]
    assert listed(registry, f"{of_it}&model={slug}/m2") == [ids[2]]
    assert listed(registry, f"{of_it}&metadata[run]=1") == [ids[0]]
    assert listed(registry, f"{of_it}&metadata[run]=1&metadata[Ünit's]=a%20b") == [ids[0]]
    assert listed(registry, f"{of_it}&metadata[run]=1&metadata[run2]=1") == []
    provider_id = registry.job(ids[0])["provider"]["id"]
    assert listed(registry, f"provider={provider_id}&limit=1") == ids[:1]
    assert listed(registry, "provider=nobody") == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_filters_that_fit_little_end_the_search_and_say_where_to_go_on(
    registry: Registry, slug: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100,000 jobs of which none fitted took 130 ms in SQLite, 350 in PostgreSQL, and so on."""
    monkeypatch.setattr("shared.store.jobs.history.MOST_LOOKED_AT", 3)
    owner = slug[:60]
    monkeypatch.setitem(registry.keys, owner, registry.add_key(owner, Role.MEMBER))
    marks = ["a", "", "", "", "", "b", "", "", "a"]
    made = [
        registry.submit(f"{slug}/m", who=owner, metadata={"mark": mark} if mark else {})["id"]
        for mark in marks
    ]
    ids = made if order == "asc" else made[::-1]
    query = f"{CHAT}?metadata[mark]=a&order={order}&limit=5"

    page = registry.get(query, who=owner).get_json()
    assert ([job["id"] for job in page["data"]], page["has_more"]) == (ids[:1], True)
    told = refused(
        registry.get(f"{query}&after={ids[0]}", who=owner), 400, "invalid_value", "after"
    )
    assert f"`after={ids[3]}`" in told["detail"]
    refused(registry.get(f"{query}&after={ids[3]}", who=owner), 400, "invalid_value", "after")
    last = registry.get(f"{query}&after={ids[6]}", who=owner).get_json()
    assert ([job["id"] for job in last["data"]], last["has_more"]) == (ids[8:], False)
    assert listed(registry, f"order={order}&limit=9", who=owner) == ids  # no filter, no search


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_an_index_narrows_is_found_among_any_number_of_others(
    registry: Registry, slug: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of queued jobs, oldest first, was empty behind 50,000 that had ended."""
    monkeypatch.setattr("shared.store.jobs.history.MOST_LOOKED_AT", 2)
    with registry.database.write() as tx:  # those of other tests would be looked among, too
        tx.execute(sa.delete(chat_job).where(chat_job.c.state == JobState.QUEUED))
    owner = slug[:60]
    monkeypatch.setitem(registry.keys, owner, registry.add_key(owner, Role.MEMBER))

    def submit(model: str) -> str:
        return str(registry.submit(f"{slug}/{model}", who=owner)["id"])

    def cancelled(model: str) -> str:
        job_id = submit(model)
        registry.post(f"{CHAT}/{job_id}/cancel", None, who=owner)
        return job_id

    for _ in range(4):
        registry.completed(submit("m"), ANSWER)
    rare, queued = cancelled("rare"), submit("m")
    others = [cancelled("m") for _ in range(4)]

    def found(query: str) -> list[str]:
        return sorted(listed(registry, f"{query}&order={order}&limit=9", who=owner))

    assert found("status=queued") == [queued]
    assert found("status=cancelled") == [rare, *others]
    for query in ("", f"&provider={slug}"):
        assert found(f"model={slug}/rare{query}") == [rare]
    assert found(f"model={slug}/rare&status=completed") == []


def test_a_slug_means_every_provider_that_had_it(registry: Registry, slug: str) -> None:
    before = registry.submit(f"{slug}/m")["id"]
    registry.call("DELETE", f"/v1/providers/{slug}")
    registry.add(slug=slug)
    after = registry.submit(f"{slug}/m")["id"]
    for order in ("asc", "desc"):
        found = listed(registry, f"provider={slug}&order={order}")
        assert found == ([before, after] if order == "asc" else [after, before])


def test_a_listed_job_reads_as_by_its_id(registry: Registry, slug: str) -> None:
    done, waiting = (registry.submit(f"{slug}/m")["id"] for _ in range(2))
    registry.completed(done, ANSWER)
    data = registry.get(f"{CHAT}?provider={slug}").get_json()["data"]
    assert data == [registry.job(done), registry.job(waiting)]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("status=running", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("order=up", "order"),
        ("after=x", "after"),
        ("after=chatcmpl-%00", "after"),
        ("model=%00", "model"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(registry: Registry, query: str, param: str) -> None:
    refused(registry.get(f"{CHAT}?{query}"), 400, "invalid_value", param)


def test_an_unknown_argument_is_named(registry: Registry) -> None:
    refused(registry.get(f"{CHAT}?metadata=x&colour=red"), 400, "unknown_field")


def test_the_submitted_messages_can_be_read_back(registry: Registry, slug: str) -> None:
    parts = [{"type": "text", "text": "look"}]
    sent: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "ann"},
    ]
    job_id = registry.submit(f"{slug}/m", messages=sent)["id"]
    path = f"{CHAT}/{job_id}/messages"
    first, second = registry.get(path).get_json()["data"]
    assert first == {**sent[0], "id": f"{job_id}-0", "content_parts": None}
    assert second == {**sent[1], "id": f"{job_id}-1", "content": None, "content_parts": parts}
    page = registry.get(f"{path}?limit=1&order=desc")
    assert page.get_json()["data"] == [second]
    assert page.get_json()["has_more"] is True
    follows = registry.get(f"{path}?limit=1&order=desc&after={job_id}-1").get_json()
    assert (follows["data"], follows["has_more"]) == ([first], False)


def test_every_attempt_leaves_its_evidence(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    (claimed,) = registry.claim(job_id)
    lost = evidence(outcome="upstream_unreachable", sent=False, upstream_status=None)
    registry.finish(claimed, JobState.QUEUED, evidence=lost, error_code=lost.outcome)
    (claimed,) = registry.claim(job_id)
    registry.finish(claimed, JobState.COMPLETED, evidence=evidence(), result=ANSWER)
    first, second = registry.get(f"{CHAT}/{job_id}/attempts").get_json()["data"]
    assert (first["outcome"], first["sent"]) == ("upstream_unreachable", False)
    assert (second["attempt"], second["outcome"]) == (2, "completed")
    assert second["chat_url"] == "http://10.0.0.1:8000/v1/chat/completions"
    assert (second["api_key_fingerprint"], second["provider_revision"]) == ("3fa1b2c4", 1)
    assert second["timings"] == {
        "queued_seconds": None,
        "connect_seconds": 0.25,
        "first_byte_seconds": 2.0,
        "total_seconds": 2.5,
    }
    assert (second["upstream_status"], second["upstream_request_id"]) == (200, "req-up")
    assert second["usage"] == {"prompt_tokens": 5, "completion_tokens": 7}


def test_metadata_can_be_replaced_in_every_state(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m", metadata={"a": "1"})["id"]
    before = registry.get(f"{CHAT}/{job_id}").headers["ETag"]
    changed = registry.post(f"{CHAT}/{job_id}", {"metadata": {"b": "2"}})
    assert (changed.status_code, changed.get_json()["metadata"]) == (200, {"b": "2"})
    assert changed.headers["ETag"] != before
    registry.completed(job_id, ANSWER)
    assert registry.post(f"{CHAT}/{job_id}", {"metadata": None}).get_json()["metadata"] == {}
    assert registry.job(job_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_value", "metadata"),
        ({"metadata": "x"}, "invalid_value", "metadata"),
        ({"metadata": {"a": 1}}, "invalid_value", "metadata.a.value"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "metadata"),
        ({"metadata": {}, "model": "x"}, "unknown_field", "model"),
    ],
)
def test_other_changes_are_refused(
    registry: Registry, slug: str, body: dict[str, Any], code: str, param: str
) -> None:
    job_id = registry.submit(f"{slug}/m", metadata={"a": "1"})["id"]
    refused(registry.post(f"{CHAT}/{job_id}", body), 400, code, param)
    assert registry.job(job_id)["metadata"] == {"a": "1"}


def test_a_cancelled_job_is_terminal_at_once_and_a_late_answer_changes_nothing(
    registry: Registry, slug: str
) -> None:
    queued, running = (registry.submit(f"{slug}/m")["id"] for _ in range(2))
    registry.post(f"{CHAT}/{queued}/cancel", b"")
    (claimed,) = registry.claim(running)
    for job_id, billed in ((queued, False), (running, True)):
        answer = registry.post(f"{CHAT}/{job_id}/cancel", b"")
        job = answer.get_json()
        assert (answer.status_code, job["status"]) == (200, "cancelled")
        assert job["error"]["code"] == "cancelled"
        assert job["error"]["may_have_been_billed"] is billed
    with pytest.raises(AssertionError):
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER)
    assert registry.job(running)["status"] == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    registry.completed(job_id, ANSWER)
    before = registry.get(f"{CHAT}/{job_id}")
    answer = registry.post(f"{CHAT}/{job_id}/cancel", b"")
    assert answer.get_json() == before.get_json()
    assert answer.headers["ETag"] == before.headers["ETag"]


def test_a_deleted_job_is_gone_with_its_attempts(registry: Registry, slug: str) -> None:
    done = registry.submit(f"{slug}/m")["id"]
    (claimed,) = registry.claim(done)
    registry.finish(claimed, JobState.COMPLETED, evidence=evidence(), result=ANSWER)
    running = registry.submit(f"{slug}/m")["id"]
    (claimed,) = registry.claim(running)
    for job_id in (done, running):
        answer = registry.call("DELETE", f"{CHAT}/{job_id}")
        assert answer.get_json() == {
            "id": job_id,
            "object": "chat.completion.deleted",
            "deleted": True,
        }
        refused(registry.get(f"{CHAT}/{job_id}"), 404, "not_found")
        refused(registry.get(f"{CHAT}/{job_id}/attempts"), 404, "not_found")
    with pytest.raises(AssertionError):  # the worker's late answer finds no row, and leaves none
        registry.finish(claimed, JobState.COMPLETED, evidence=evidence(), result=ANSWER)
    assert registry.attempts_of(running) == 0


def test_no_route_shows_or_changes_another_owners_job(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m", who="ann", metadata={"a": "1"})["id"]
    path = f"{CHAT}/{job_id}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}/messages", None),
        ("GET", f"{path}/attempts", None),
        ("POST", path, {"metadata": {}}),
        ("POST", f"{path}/cancel", b""),
        ("DELETE", path, None),
    ]
    for method, called, body in calls:
        foreign = registry.call(method, called, body, who="ben")
        unknown = registry.call(method, called.replace(job_id[-4:], "0000"), body, who="ben")
        detail = refused(foreign, 404, "not_found")["detail"]
        assert detail.replace(job_id[-4:], "0000") == refused(unknown, 404, "not_found")["detail"]
    assert job_id not in listed(registry, "limit=100", who="ben")
    assert listed(registry, f"provider={slug}", who="ann") == [job_id]
    assert registry.column(chat_job, job_id.removeprefix("chatcmpl-"), "state") == "queued"
    assert registry.job(job_id)["metadata"] == {"a": "1"}
