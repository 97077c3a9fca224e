"""Lists by what owners noted about their jobs: found among any number, and as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from shared.store.access import Role
from shared.store.jobs import purge
from shared.store.schema import chat_job, job_metadata
from tests.contract.registry.conftest import CHAT, Registry

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}
LONG = "x" * 511


@pytest.fixture
def owner(registry: Registry, slug: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """One whose jobs are those of the test alone; no list looks at more than one job."""
    monkeypatch.setattr("shared.store.jobs.history.MOST_LOOKED_AT", 1)
    name = slug[:60]
    monkeypatch.setitem(registry.keys, name, registry.add_key(name, Role.MEMBER))
    return name


def indexed(registry: Registry, *job_ids: str) -> Sequence[tuple[str, str]]:
    bare = [job_id.removeprefix("chatcmpl-") for job_id in job_ids]
    query = sa.select(job_metadata.c.key, job_metadata.c.value)
    with registry.database.read() as tx:
        rows = tx.execute(query.where(job_metadata.c.job_id.in_(bare)))
        return sorted((key, value) for key, value in rows)


@pytest.mark.parametrize("who", ["its owner", "admin"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_pair_is_found_among_any_number_of_other_jobs(
    registry: Registry, slug: str, owner: str, order: str, who: str
) -> None:
    """It was looked for: among a million jobs that took twelve times as long, or ended too soon."""
    who, mark = (owner if who == "its owner" else who), f"{slug}-{order}"

    def submit(metadata: dict[str, str]) -> str:
        answer = registry.submit(f"{slug}/m", who=owner, metadata=metadata)
        return str(answer["id"])

    ids = []
    for number in range(3):
        ids += [
            submit({"run": mark, "part": f"{mark}{number}"}),
            submit({"run": "other"}),
            submit({}),
        ]
    marked = ids[::3] if order == "asc" else ids[::3][::-1]
    query = f"metadata[run]={mark}&order={order}"
    assert registry.listed(query, who=who) == marked
    assert registry.listed(f"{query}&limit=2", who=who) == marked[:2]
    assert registry.listed(f"{query}&after={marked[1]}", who=who) == marked[2:]
    assert registry.listed(f"metadata[part]={mark}1&{query}", who=who) == [ids[3]]
    assert registry.listed(f"metadata[run]=nobody-{mark}", who=who) == []


def test_of_several_filters_the_one_that_fits_the_fewest_is_served(
    registry: Registry, slug: str, owner: str
) -> None:
    """Each of these lists looks at one job."""

    def submit(model: str, **metadata: str) -> str:
        return str(registry.submit(f"{slug}/{model}", who=owner, metadata=metadata)["id"])

    for _ in range(3):
        submit("common", team="red", run="1")
    rare_run, rare_model = submit("common", team="red", run="2"), submit("rare", team="red")
    assert registry.listed("metadata[team]=red&metadata[run]=2", who=owner) == [rare_run]
    assert registry.listed(f"metadata[run]=2&model={slug}/common", who=owner) == [rare_run]
    assert registry.listed(f"metadata[team]=red&model={slug}/rare", who=owner) == [rare_model]
    of_state = f"metadata[run]=2&provider={slug}&status"
    assert registry.listed(f"{of_state}=queued", who=owner) == [rare_run]
    registry.post(f"{CHAT}/{rare_run}/cancel", None, who=owner)
    assert registry.listed(f"{of_state}=cancelled", who=owner) == [rare_run]
    assert registry.listed("metadata[team]=red&status=cancelled", who=owner) == [rare_run]
    assert registry.listed("metadata[run]=2&status=completed", who=owner) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", "x" * 100),
        ("run", LONG + "a"),
        ("run", "é" * 512),
        ("k" * 64, "1"),
        ('a "quoted" key', "a\\b"),
        ("Ünit's", "100 % _\n"),
        ("run", ""),
    ],
)
def test_any_pair_is_told_from_all_others(
    registry: Registry, slug: str, owner: str, key: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.store.jobs.history.MOST_LOOKED_AT", 50)
    others = [{key: f"{value[:-1]}z"}, {key: f"{value[:-1]}"}, {f"{key[:-1]}2": value}, {}]
    made = [
        registry.submit(f"{slug}/m", who=owner, metadata=one)["id"]
        for one in [{key: value}, *others]
    ]
    same = [made[2]] if others[1] == {key: value} else []
    assert registry.listed(urlencode({f"metadata[{key}]": value}), who=owner) == [made[0], *same]


def test_a_list_knows_the_metadata_of_now(registry: Registry, slug: str, owner: str) -> None:
    first = {"run": "1", "team": "red", "long": LONG}
    job_id = registry.submit(f"{slug}/m", who=owner, metadata=first)["id"]
    registry.post(f"{CHAT}/{job_id}", {"metadata": {"run": "2", "team": "red"}}, who=owner)
    assert registry.listed("metadata[run]=1", who=owner) == []
    assert registry.listed("metadata[run]=2", who=owner) == [job_id]
    assert indexed(registry, job_id) == [("run", "2"), ("team", "red")]
    registry.post(f"{CHAT}/{job_id}", {"metadata": {}}, who=owner)
    assert indexed(registry, job_id) == []
    registry.post(f"{CHAT}/{job_id}", {"metadata": {"run": "3"}}, who=owner)
    assert registry.listed("metadata[run]=3", who=owner) == [job_id]


def test_jobs_that_go_leave_nothing_behind(registry: Registry, slug: str, owner: str) -> None:
    """By their owner's delete, and by a purge."""
    metadata = {"run": "1", "long": LONG}
    ids: list[str] = []
    for _ in range(3):
        ids.append(registry.submit(f"{slug}/m", who=owner, metadata=metadata)["id"])
        registry.completed(ids[-1], ANSWER)
    assert len(indexed(registry, *ids)) == 6
    registry.call("DELETE", f"{CHAT}/{ids[0]}", None, who=owner)
    with registry.database.write() as tx:
        bare = ids[1].removeprefix("chatcmpl-")
        tx.execute(sa.update(chat_job).where(chat_job.c.id == bare).values(expires_at=1.0))
        assert purge(tx, now=2.0) == 1
    assert indexed(registry, *ids) == [("long", LONG[:100]), ("run", "1")]
    assert registry.listed("metadata[run]=1", who=owner) == ids[2:]


def test_what_is_not_stored_is_not_indexed(registry: Registry, slug: str, owner: str) -> None:
    job = registry.submit(f"{slug}/m", who=owner, store=False, metadata={"run": "1"})
    assert indexed(registry, job["id"]) == []
