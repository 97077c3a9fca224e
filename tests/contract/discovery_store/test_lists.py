"""Models appear and vanish, and nothing is written for those that do neither."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from shared.domain import DiscoveryStatus
from shared.store.discovery import CLAIM_SECONDS, Entry, listing
from shared.store.discovery.listing import GONE_SECONDS
from tests.contract.discovery_store.conftest import INTERVAL, Store
from tests.registered import NOW

STATUS, MODELS = "provider.status_changed", "models.changed"


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """The writes that the block makes, by their first two words."""
    seen: list[str] = []

    def note(*event: object) -> None:
        text = str(event[2]).split()
        if text[0] in ("INSERT", "UPDATE", "DELETE"):
            seen.append(" ".join(text[:2]))

    sa.event.listen(store.database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(store.database.engine, "before_cursor_execute", note)


def test_a_first_list_makes_its_models_and_two_events(store: Store) -> None:
    acme = store.registry.add("acme")
    llama = Entry("meta/llama", 7, "meta", 131072, {"id": "meta/llama", "max_model_len": 131072})
    assert store.check(acme, llama, "b:latest")
    first, second = store.models(acme)
    assert (first.upstream_id, second.upstream_id) == ("b:latest", "meta/llama")
    assert (second.created, second.owned_by, second.context_length) == (7, "meta", 131072)
    assert (second.source, second.first_seen, second.last_seen) == ("listed", NOW, NOW)
    assert store.model_row(acme, "meta/llama").raw == llama.raw
    assert store.events(acme) == [(STATUS, 1), (MODELS, 1)]
    verdict = store.verdict(acme)
    assert verdict is not None
    assert (verdict.status, verdict.ok_at, verdict.model_count) == (DiscoveryStatus.OK, NOW, 2)


def test_a_check_that_changes_nothing_writes_one_row_and_no_event(store: Store) -> None:
    acme = store.registry.add("acme")
    names = [f"m{n}" for n in range(50)]
    store.check(acme, *names)
    before = store.events(acme)
    store.now += INTERVAL
    (claim,) = store.claim(acme)
    with statements(store) as seen:
        assert store.record(claim, store.found(*names))
    assert seen == ["UPDATE discovery"]
    assert store.events(acme) == before
    assert {one.last_seen for one in store.models(acme)} == {NOW + INTERVAL}


def test_what_servers_make_anew_for_each_answer_is_no_change(store: Store) -> None:
    acme = store.registry.add("acme")
    for created in (1, 2):
        raw = {"id": "m", "created": created, "permission": [{"id": f"modelperm-{created}"}]}
        (claim,) = store.claim(acme, asked=[acme])
        with statements(store) as seen:
            store.record(claim, store.found(Entry("m", created, "vllm", 4096, raw)))
    assert seen == ["UPDATE discovery"]
    assert store.models(acme)[0].created == 1


def test_a_model_that_tells_something_new_is_written_without_an_event(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, Entry("m", None, None, 4096, {"id": "m"}), "other")
    store.now += INTERVAL
    store.check(acme, Entry("m", None, None, 8192, {"id": "m"}), "other")
    assert store.models(acme)[0].context_length == 8192
    assert store.models(acme)[0].first_seen == NOW
    assert store.events(acme) == [(STATUS, 1), (MODELS, 1)]


def test_a_model_that_vanishes_keeps_when_it_was_seen_and_comes_back_as_itself(
    store: Store,
) -> None:
    acme = store.registry.add("acme")
    for _ in range(3):
        store.check(acme, "stays", "goes")
        store.now += INTERVAL
    store.check(acme, "stays")
    assert store.ids(acme) == ["stays"]
    gone = store.model_row(acme, "goes")
    assert (gone.first_seen, gone.last_seen) == (NOW, NOW + 2 * INTERVAL)
    assert gone.gone_at == NOW + 3 * INTERVAL
    store.now += INTERVAL
    store.check(acme, "stays", "goes")
    back = store.model_row(acme, "goes")
    assert (back.gone_at, back.first_seen, back.last_seen) == (None, NOW, store.now)
    assert [fact for fact, _ in store.events(acme)] == [STATUS, MODELS, MODELS, MODELS]


def test_a_failure_keeps_the_last_good_list_and_its_time(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "a", "b")
    store.now += INTERVAL
    (claim,) = store.claim(acme)
    assert claim.ok_at == NOW
    failed = {"status": DiscoveryStatus.UNREACHABLE, "error_sealed": "sealed", "failures": 1}
    assert store.check_with(claim, listed=None, **failed)
    assert store.ids(acme) == ["a", "b"]
    assert {one.last_seen for one in store.models(acme)} == {NOW}
    verdict = store.verdict(acme)
    assert verdict is not None
    assert verdict.status is DiscoveryStatus.UNREACHABLE
    assert (verdict.ok_at, verdict.checked_at, verdict.error_sealed) == (NOW, store.now, "sealed")
    assert verdict.model_count == 2
    assert store.row(acme).failures == 1
    assert [fact for fact, _ in store.events(acme)] == [STATUS, MODELS, STATUS]


def test_a_failure_brings_no_vanished_model_back(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "stays", "goes")
    store.check(acme, "stays")
    (claim,) = store.claim(acme, asked=[acme])
    store.check_with(claim, status=DiscoveryStatus.SERVER_ERROR, listed=None)
    assert store.ids(acme) == ["stays"]


def test_a_list_that_is_empty_for_good_makes_every_model_gone(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "a", "b")
    store.now += INTERVAL
    store.check(acme)
    assert store.ids(acme) == []
    verdict = store.verdict(acme)
    assert verdict is not None
    assert (verdict.status, verdict.model_count) == (DiscoveryStatus.OK, 0)


def test_models_listed_by_hand_are_there_whatever_the_server_says(store: Store) -> None:
    acme = store.registry.add("acme")
    (claim,) = store.claim(acme)
    no_route = DiscoveryStatus.NO_MODELS_ROUTE
    store.check_with(claim, status=no_route, listed=None, manual=("by-hand", "both"))
    assert [(m.upstream_id, m.source) for m in store.models(acme)] == [
        ("both", "manual"),
        ("by-hand", "manual"),
    ]
    store.check(acme, "both", "other", manual=("by-hand", "both"))
    assert [(m.upstream_id, m.source) for m in store.models(acme)] == [
        ("both", "listed"),
        ("by-hand", "manual"),
        ("other", "listed"),
    ]
    store.check(acme, "other", manual=("both",))
    assert [(m.upstream_id, m.source) for m in store.models(acme)] == [
        ("both", "manual"),
        ("other", "listed"),
    ]


def test_only_allowed_models_are_shown_also_of_a_kept_list(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "a1", "a2", "b1", allows=lambda id_: id_.startswith("a"))
    assert store.ids(acme) == ["a1", "a2"]
    (claim,) = store.claim(acme, asked=[acme])
    unreachable = DiscoveryStatus.UNREACHABLE
    store.check_with(claim, status=unreachable, listed=None, allows=lambda id_: id_ == "a2")
    assert store.ids(acme) == ["a2"]


def test_events_tell_what_changed(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "a", "b", manual=("by-hand",))
    store.check(acme, "b", "c", manual=("by-hand",))
    (claim,) = store.claim(acme, asked=[acme])
    store.check_with(claim, status=DiscoveryStatus.RATE_LIMITED, manual=("by-hand",))
    assert store.details(acme) == [
        {"from": "pending", "to": "ok"},
        {
            "appeared": ["by-hand", "a", "b"],
            "appeared_count": 3,
            "vanished": [],
            "vanished_count": 0,
        },
        {"appeared": ["c"], "appeared_count": 1, "vanished": ["a"], "vanished_count": 1},
        {"from": "ok", "to": "rate_limited"},
    ]


def test_an_event_names_a_hundred_models_and_counts_the_others(store: Store) -> None:
    acme = store.registry.add("acme")
    names = [f"m{n:03}" for n in range(150)]
    store.check(acme, *names)
    store.check(acme, "last")
    _, appeared, vanished = store.details(acme)
    assert (appeared["appeared"], appeared["appeared_count"]) == (names[:100], 150)
    assert len(vanished["vanished"]) == 100
    assert (vanished["vanished_count"], vanished["appeared"]) == (150, ["last"])


def test_options_are_applied_before_the_server_answers(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "a1", "a2", "b1")
    store.registry.change(acme, models=["by-hand"], allow_models=["a*"])
    (claim,) = store.claim(acme)
    assert claim.is_changed
    store.choose(claim, "a-by-hand", "hidden", allows="a")
    assert store.ids(acme) == ["a-by-hand", "a1", "a2"]
    assert store.details(acme)[-1]["vanished"] == ["b1"]
    assert store.row(acme).checking_until == claim.until  # the check is still to come


def test_options_of_an_older_revision_or_a_claim_that_was_lost_are_not_applied(
    store: Store,
) -> None:
    acme = store.registry.add("acme")
    (lost,) = store.claim(acme)
    store.now += CLAIM_SECONDS + 1
    (claim,) = store.claim(acme)
    store.choose(lost, "of-the-lost")
    store.registry.change(acme, models=["newer"])
    store.choose(claim, "older")
    assert store.ids(acme) == []
    assert store.events(acme) == []


def test_a_provider_is_changed_until_a_check_of_that_revision_counted(store: Store) -> None:
    acme = store.registry.add("acme")
    (claim,) = store.claim(acme)
    assert claim.is_changed
    store.record(claim, store.found("m"))
    (claim,) = store.claim(acme, asked=[acme])
    assert not claim.is_changed


def test_a_model_that_is_gone_for_a_month_is_forgotten(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "stays", "goes")
    store.check(acme, "stays")
    assert store.model_row(acme, "goes").raw == {}
    store.now += GONE_SECONDS
    store.check(acme, "stays")
    assert store.count_rows(acme) == 2
    store.now += 1
    store.check(acme, "stays")
    assert store.count_rows(acme) == 1


def test_a_server_that_lists_other_models_each_time_fills_no_database(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_GONE", 50)
    acme = store.registry.add("acme")
    for turn in range(6):
        store.check(acme, *(f"turn{turn}-{n}" for n in range(40)))
        store.now += INTERVAL
    assert store.count_rows(acme) == 40 + 50
    # The newest of them are kept, so that a model which comes back is itself again.
    assert store.model_row(acme, "turn4-0").gone_at is not None


def test_five_thousand_models_come_and_go_in_little_time(store: Store) -> None:
    acme = store.registry.add("acme")
    names = [f"org/model-{n:04}" for n in range(5000)]
    began = time.perf_counter()
    store.check(acme, *names)
    store.check(acme, *names)
    store.check(acme, *names[:10])
    took = time.perf_counter() - began
    assert store.ids(acme) == names[:10]
    assert took < 10, f"{took:.1f} s"  # 0.5 s on either database
