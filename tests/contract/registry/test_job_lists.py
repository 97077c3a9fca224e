"""Lists of an owner's jobs over HTTP: pages, filters, and bad arguments."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from shared.domain import JobState
from shared.store.access import Role
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, refused

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def test_stored_jobs_are_listed_by_page_oldest_first(registry: Registry, slug: str) -> None:
    ids = [registry.submit(f"{slug}/m")["id"] for _ in range(3)]
    registry.submit(f"{slug}/m", store=False)
    of_it = f"provider={slug}&limit=2"
    first = registry.get(f"{CHAT}?{of_it}")
    assert [job["id"] for job in first.get_json()["data"]] == ids[:2]
    assert first.get_json()["has_more"] is True
    assert first.headers["Link"] == (f'<{CHAT}?provider={slug}&limit=2&after={ids[1]}>; rel="next"')
    assert registry.listed(f"{of_it}&after={ids[1]}") == ids[2:]
    assert registry.listed(f"{of_it}&order=desc") == [ids[2], ids[1]]
    assert registry.listed(f"{of_it}&order=desc&after={ids[1]}") == ids[:1]


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
    assert registry.listed(f"{of_it}&status=completed") == [ids[1]]
    assert registry.listed(f"{of_it}&model={slug}/m2") == [ids[2]]
    assert registry.listed(f"{of_it}&metadata[run]=1") == [ids[0]]
    assert registry.listed(f"{of_it}&metadata[run]=1&metadata[Ünit's]=a%20b") == [ids[0]]
    assert registry.listed(f"{of_it}&metadata[run]=1&metadata[run2]=1") == []
    provider_id = registry.job(ids[0])["provider"]["id"]
    assert registry.listed(f"provider={provider_id}&limit=1") == ids[:1]
    assert registry.listed("provider=nobody") == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_filters_that_fit_little_end_the_search_and_say_where_to_go_on(
    registry: Registry, slug: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100,000 jobs of which none fitted took 130 ms in SQLite, 350 in PostgreSQL, and so on."""
    monkeypatch.setattr("shared.store.jobs.history.MOST_LOOKED_AT", 3)
    owner = slug[:60]
    monkeypatch.setitem(registry.keys, owner, registry.add_key(owner, Role.MEMBER))
    made: list[str] = []
    for place in range(9):
        made.append(registry.submit(f"{slug}/m", who=owner)["id"])
        if place in (0, 8):
            registry.completed(made[-1], ANSWER)
    ids = made if order == "asc" else made[::-1]
    query = f"{CHAT}?status=completed&order={order}&limit=5"

    page = registry.get(query, who=owner).get_json()
    assert ([job["id"] for job in page["data"]], page["has_more"]) == (ids[:1], True)
    told = refused(
        registry.get(f"{query}&after={ids[0]}", who=owner), 400, "invalid_value", "after"
    )
    assert f"`after={ids[3]}`" in told["detail"]
    refused(registry.get(f"{query}&after={ids[3]}", who=owner), 400, "invalid_value", "after")
    last = registry.get(f"{query}&after={ids[6]}", who=owner).get_json()
    assert ([job["id"] for job in last["data"]], last["has_more"]) == (ids[8:], False)
    assert registry.listed(f"order={order}&limit=9", who=owner) == ids  # no filter, no search


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
        return sorted(registry.listed(f"{query}&order={order}&limit=9", who=owner))

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
        found = registry.listed(f"provider={slug}&order={order}")
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
