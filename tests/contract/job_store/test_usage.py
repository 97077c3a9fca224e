"""Every end of a job adds to the totals of its hour, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from services.chat_worker.unwritten import Unwritten
from shared.crypto import Sealer
from shared.domain import JobState
from shared.keyring import Keyring
from shared.store import jobs, usage
from shared.store.database import Database
from shared.store.schema import model
from shared.store.usage import (
    BOUNDS,
    HOUR,
    LATENCIES,
    MOST_NAMED,
    OTHER,
    Period,
    percentile,
)
from tests.contract.job_store.conftest import NOW, RETENTION, Store, outcome_of


def totals(store: Store, *group_by: str, owner: str | None = None) -> list[dict[str, Any]]:
    """The sums of the hour in which the tests play."""
    period = Period(NOW // HOUR * HOUR, NOW // HOUR * HOUR + HOUR, owner)
    with store.database.read() as tx:
        return list(usage.totals(tx, period, group_by))


def end(store: Store, state: JobState = JobState.COMPLETED, **evidence: Any) -> None:
    """Submit, claim and end one job."""
    store.submit()
    (claimed,) = store.claim(1)
    values = {"outcome": state.value, **evidence}
    outcome = outcome_of(claimed, state)
    assert outcome.evidence is not None
    fields = {n: getattr(outcome.evidence, n) for n in outcome.evidence.__dataclass_fields__}
    changed = type(outcome.evidence)(**{**fields, **values})
    store.finish(outcome_of(claimed, state, evidence=changed))


def test_requests_failures_and_tokens_are_summed(store: Store) -> None:
    end(store, prompt_tokens=5, completion_tokens=7)
    end(store, prompt_tokens=1, completion_tokens=2)
    end(store, prompt_tokens=None, completion_tokens=None)
    end(store, JobState.FAILED)
    (row,) = totals(store, "owner", "key_id", "provider_id", "model")
    assert (row["owner"], row["key_id"], row["model"]) == ("ann", "key_1", "acme/m")
    assert (row["requests"], row["failures"], row["unknown_usage"]) == (4, 1, 1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (6, 9)
    assert sum(row[name] for name in LATENCIES) == 4


@pytest.mark.parametrize(
    ("told", "unknown", "tokens_out"), [(None, 1, 10), (7, 0, 7)], ids=["unknown", "known"]
)
def test_a_call_that_was_cut_short_took_at_least_the_chunks_that_came(
    store: Store, told: int | None, unknown: int, tokens_out: int
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim(1)
    store.cancel(job_id)
    evidence = outcome_of(claimed).evidence
    assert evidence is not None
    evidence = replace(evidence, outcome="abandoned", completion_tokens=told)
    cut = outcome_of(claimed, JobState.CANCELLED, evidence=evidence, log_chunks=10)
    for _ in range(2):  # a batch may be written again
        assert store.finish(cut) == set()
    (row,) = totals(store)
    assert (row["requests"], row["unknown_usage"]) == (0, unknown)
    assert row["completion_tokens"] == tokens_out
    assert [(row.outcome, row.fenced) for row in store.attempts(job_id)] == [("abandoned", True)]


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.CANCELLED])
def test_a_job_that_is_deleted_while_it_runs_was_used_all_the_same(
    store: Store, state: JobState
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim(1)
    store.cancel(job_id)
    with store.database.write() as tx:
        jobs.delete(tx, job_id)
    cut = outcome_of(claimed, state)
    assert cut.evidence is not None
    paid = replace(cut.evidence, prompt_tokens=3, completion_tokens=4)
    assert store.finish(replace(cut, evidence=paid)) == set()
    (row,) = totals(store, "owner", "key_id", "provider_id", "model")
    assert [row[name] for name in ("owner", "key_id", "model")] == ["ann", "key_1", "acme/m"]
    assert row["provider_id"] == store.provider_id
    assert (row["requests"], row["prompt_tokens"], row["completion_tokens"]) == (0, 3, 4)
    assert store.attempts(job_id) == [], "they would never be deleted"


class _Unheard:
    """A database that commits, and loses the answer once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lost = False

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._database.write() as tx:
            yield tx
        if not self._lost:
            self._lost = True
            raise sa.exc.OperationalError("COMMIT", {}, Exception("connection lost"))


@pytest.mark.parametrize("deleted", ["before", "between"])
def test_what_was_counted_by_a_commit_that_nobody_heard_of_is_not_counted_again(
    store: Store, deleted: str
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim(1)
    store.cancel(job_id)
    database = cast(Database, _Unheard(store.database))
    unwritten = Unwritten(database, Sealer(Keyring.generate()), RETENTION, lambda: store.now)
    unwritten.add(outcome_of(claimed, JobState.CANCELLED, log_chunks=5))

    def delete() -> None:
        with store.database.write() as tx:
            jobs.delete(tx, job_id)

    if deleted == "before":
        delete()
    with pytest.raises(sa.exc.OperationalError):
        list(unwritten.write(renew=lambda _: True))
    if deleted == "between":
        delete()
    list(unwritten.write(renew=lambda _: True))
    assert len(unwritten) == 0
    (row,) = totals(store)
    assert row["completion_tokens"] == 5


def test_a_return_to_the_queue_is_no_request_but_its_tokens_were_paid(store: Store) -> None:
    end(store, JobState.QUEUED, prompt_tokens=5, completion_tokens=7)
    (row,) = totals(store)
    assert (row["requests"], row["prompt_tokens"], row["completion_tokens"]) == (0, 5, 7)


def test_a_result_that_came_too_late_is_no_request_but_its_tokens_were_paid(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.cancel(job_id)
    outcome = outcome_of(claimed)
    assert outcome.evidence is not None
    fields = {n: getattr(outcome.evidence, n) for n in outcome.evidence.__dataclass_fields__}
    paid = type(outcome.evidence)(**{**fields, "prompt_tokens": 3, "completion_tokens": 4})
    store.finish(outcome_of(claimed, evidence=paid))
    (row,) = totals(store)
    assert (row["requests"], row["completion_tokens"]) == (0, 4)


def test_a_batch_that_is_written_again_counts_once(store: Store) -> None:
    store.submit()
    (claimed,) = store.claim()
    for _ in range(2):
        store.finish(outcome_of(claimed))
    (row,) = totals(store)
    assert row["requests"] == 1


def test_owners_days_and_providers_are_told_apart(store: Store) -> None:
    other = store.add_provider("other")
    for owner, provider_id in (("ann", store.provider_id), ("ben", other), ("ben", other)):
        store.submit(owner=owner, provider_id=provider_id)
    store.finish(*[outcome_of(job) for job in store.claim()])
    by_provider = {row["provider_id"]: row["requests"] for row in totals(store, "provider_id")}
    assert by_provider == {store.provider_id: 1, other: 2}
    (of_ben,) = totals(store, "day", owner="ben")
    assert (of_ben["day"], of_ben["requests"]) == (NOW // 86_400 * 86_400, 2)


def test_totals_outlive_their_jobs_and_go_after_400_days(store: Store) -> None:
    end(store)
    with store.database.write() as tx:
        usage.purge(tx, now=NOW + 399 * 86_400)
    assert totals(store)[0]["requests"] == 1
    with store.database.write() as tx:
        usage.purge(tx, now=NOW + 402 * 86_400)
    assert totals(store, "owner") == []


@pytest.mark.parametrize(
    ("seconds", "share", "expected"),
    [
        ([], 0.5, None),
        ([0.02], 0.5, 0.025),
        ([2.5] * 99 + [20.0], 0.5, 2.5),
        ([2.5] * 99 + [20.0], 0.999, 30.0),
        ([4_000.0], 0.5, 600.0),
    ],
)
def test_percentiles_are_told_from_buckets(
    seconds: list[float], share: float, expected: float | None
) -> None:
    counts = [0] * len(LATENCIES)
    for one in seconds:
        counts[sum(bound < one for bound in BOUNDS)] += 1
    found = percentile(counts, share)
    assert found == (None if expected is None else pytest.approx(expected, rel=0.15))


def use(store: Store, *models: str, **fields: Any) -> None:
    """One job a model, ended one after another."""
    for name in models:
        store.submit(model=f"acme/{name}", **fields)
        store.finish(*[outcome_of(job) for job in store.claim()])


def by_model(store: Store) -> dict[str, int]:
    return {row["model"]: row["requests"] for row in totals(store, "model")}


def test_names_that_callers_make_up_share_one_row_once_an_owner_has_used_many(
    store: Store,
) -> None:
    with store.database.write() as tx:
        row = {"provider_id": store.provider_id, "upstream_id": "listed/one", "source": "listed"}
        tx.execute(sa.insert(model).values(**row, first_seen=1.0, last_seen=1.0, raw={}))
    use(store, *[f"made-up-{number:02}" for number in range(MOST_NAMED - 1)])
    use(store, "made-up-00", "listed/one", "one-more", "made-up-00", "another", owner="ann")
    use(store, "one-more", owner="ben")
    found = by_model(store)
    assert found[OTHER] == 2  # of ann, beyond her fifty rows
    assert (found["acme/made-up-00"], found["acme/listed/one"], found["acme/one-more"]) == (3, 1, 1)
    assert sum(found.values()) == MOST_NAMED - 1 + 6


def test_a_batch_of_made_up_names_is_bounded_as_well(store: Store) -> None:
    for number in range(MOST_NAMED + 7):
        store.submit(model=f"acme/{number}")
    store.finish(*[outcome_of(job) for job in store.claim(100)])
    found = by_model(store)
    assert (len(found), found[OTHER]) == (MOST_NAMED + 1, 7)


def test_groups_come_in_pages_in_their_order(store: Store) -> None:
    use(store, "a", "b", "c")
    use(store, "b", owner="ben")
    group_by, period = ("owner", "day", "model"), Period(NOW // HOUR * HOUR, NOW // HOUR * HOUR + 1)
    with store.database.read() as tx:
        whole = list(usage.totals(tx, period, group_by))
        pages = [list(usage.totals(tx, period, group_by, limit=3))]
        place = [pages[0][-1][name] for name in group_by]
        pages.append(list(usage.totals(tx, period, group_by, limit=3, after=place)))
        (all_in_all,) = usage.totals(tx, period, ())
        (none,) = usage.totals(tx, Period(0, 1), ())
    assert pages == [whole[:3], whole[3:]]
    assert (all_in_all["requests"], none["requests"]) == (4, 0)
