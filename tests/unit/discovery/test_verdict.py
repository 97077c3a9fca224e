"""What a check found, and when the next one is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.discovery_worker.verdict import Moment, chosen, judge, next_check_at
from shared.domain import DiscoveryStatus
from shared.store.discovery import Claim, Finding
from shared.upstream import DiscoveryFailure, ListedModel, ModelList

NOW = 1_795_000_000.0
INTERVAL = 300.0


def moment(dice: float = 0.5, interval: float = INTERVAL) -> Moment:
    return Moment(now=NOW, interval=interval, dice=dice)


def claimed(**changes: Any) -> Claim:
    values: dict[str, Any] = {
        "until": NOW + 30,
        "provider_id": "prov_1",
        "revision": 3,
        "chat_url": "http://h/v1/chat/completions",
        "models_url": "http://h/v1/models",
        "host": "h",
        "port": 80,
        "api_key_sealed": None,
        "api_key_rotated_at": None,
        "options": {},
        "updated_at": NOW - 1000,
        "refresh_asked": 0,
        "checked_revision": 3,
        "checked_at": NOW - 300,
        "status": DiscoveryStatus.OK,
        "failures": 0,
        "empty_lists": 0,
        "ok_at": NOW - 300,
        "key_verified_at": None,
    }
    return Claim(**values | changes)


def listed(*ids: str) -> ModelList:
    return ModelList(tuple(ListedModel(id_, 7, "me", 4096, {"id": id_}) for id_ in ids), 0)


def failure(status: DiscoveryStatus, **more: Any) -> DiscoveryFailure:
    return DiscoveryFailure("It went wrong.", status=status, code="some_code", **more)


def judged(
    claim: Claim, came: ModelList | DiscoveryFailure, *, key_proven: bool = False
) -> Finding:
    return judge(
        claim, came, moment(), key_proven=key_proven, seal=lambda plain: "sealed " + plain.decode()
    )


def test_a_list_is_ok_and_clears_what_went_wrong_before() -> None:
    finding = judged(claimed(failures=4, empty_lists=1), listed("a", "b"))
    assert finding.status is DiscoveryStatus.OK
    assert (finding.failures, finding.empty_lists, finding.error_sealed) == (0, 0, None)
    assert finding.listed is not None
    assert [(e.upstream_id, e.context_length) for e in finding.listed] == [("a", 4096), ("b", 4096)]
    assert finding.next_check_at == NOW + INTERVAL


def test_a_models_own_entry_is_kept_up_to_16_kib() -> None:
    large = {"id": "large", "description": "x" * 16_000}
    larger = {"id": "larger", "description": "x" * 17_000}
    came = ModelList(
        tuple(ListedModel(str(raw["id"]), None, None, 4096, raw) for raw in (large, larger)), 0
    )
    kept, dropped = judged(claimed(), came).listed or ()
    assert kept.raw == large
    assert (dropped.upstream_id, dropped.context_length, dropped.raw) == ("larger", 4096, {})


@pytest.mark.parametrize(
    "status", [s for s in DiscoveryStatus if s not in ("ok", "pending", "disabled")]
)
def test_every_failure_keeps_the_last_good_list_and_says_why(status: DiscoveryStatus) -> None:
    finding = judged(claimed(), failure(status, upstream_status=418))
    assert (finding.status, finding.listed) == (status, None)
    assert finding.error_sealed is not None
    document = json.loads(finding.error_sealed.removeprefix("sealed "))
    assert document == {"message": "It went wrong.", "code": "some_code", "upstream_status": 418}


def test_a_server_without_a_models_route_is_healthy_and_checked_as_usual() -> None:
    finding = judged(claimed(failures=2), failure(DiscoveryStatus.NO_MODELS_ROUTE))
    assert (finding.failures, finding.next_check_at) == (0, NOW + INTERVAL)


def test_the_first_empty_list_keeps_the_last_good_one_and_the_second_counts() -> None:
    first = judged(claimed(), listed())
    assert (first.status, first.listed, first.empty_lists) == (DiscoveryStatus.OK, None, 1)
    second = judged(claimed(empty_lists=1), listed())
    assert (second.listed, second.empty_lists) == ([], 2)
    third = judged(claimed(empty_lists=2), listed())
    assert third.listed == []


def test_a_failure_between_two_empty_lists_does_not_make_the_first_forgotten() -> None:
    assert judged(claimed(empty_lists=1), failure(DiscoveryStatus.UNREACHABLE)).empty_lists == 1


def test_an_empty_list_of_a_new_provider_is_its_list() -> None:
    assert judged(claimed(ok_at=None), listed()).listed == []


def test_a_refused_key_is_no_longer_proven_and_other_failures_say_nothing_of_it() -> None:
    assert judged(claimed(), failure(DiscoveryStatus.AUTH_FAILED)).key_proven is False
    assert judged(claimed(), failure(DiscoveryStatus.UNREACHABLE)).key_proven is None
    assert judged(claimed(), listed("a")).key_proven is None
    assert judged(claimed(), listed("a"), key_proven=True).key_proven is True


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 10), (2, 20), (3, 40), (6, 320), (9, 2560), (10, 3600), (50, 3600), (5000, 3600)],
)
def test_failures_back_off_from_ten_seconds_to_an_hour(failures: int, seconds: float) -> None:
    assert next_check_at(moment(), failures, None) - NOW == pytest.approx(seconds)


def test_a_short_interval_is_also_the_first_wait_after_a_failure() -> None:
    assert next_check_at(moment(interval=2), 1, None) - NOW == pytest.approx(2)


@pytest.mark.parametrize("failures", [0, 3, 50])
def test_every_wait_varies_by_a_tenth(failures: int) -> None:
    middle = next_check_at(moment(0.5), failures, None) - NOW
    assert next_check_at(moment(0.0), failures, None) - NOW == pytest.approx(0.9 * middle)
    assert next_check_at(moment(0.999999), failures, None) - NOW == pytest.approx(
        1.1 * middle, rel=1e-3
    )


@pytest.mark.parametrize("dice", [0.0, 0.5, 0.99])
def test_a_provider_is_not_asked_before_the_time_that_it_named(dice: float) -> None:
    wait = next_check_at(moment(dice), 1, 120.0) - NOW
    assert 120.0 <= wait <= 132.0


def test_a_time_beyond_an_hour_is_not_waited_for() -> None:
    assert next_check_at(moment(0.0), 1, 1e9) - NOW == 3600.0


def test_a_time_sooner_than_our_own_shortens_nothing() -> None:
    assert next_check_at(moment(), 5, 1.0) - NOW == pytest.approx(160)


def test_retry_after_reaches_the_finding() -> None:
    finding = judged(claimed(), failure(DiscoveryStatus.RATE_LIMITED, retry_after=600.0))
    assert finding.next_check_at >= NOW + 600


@pytest.mark.parametrize(
    ("patterns", "id_", "allowed"),
    [
        (None, "anything", True),
        ([], "anything", False),
        (["meta-llama/*"], "meta-llama/Llama-3.3-70B", True),
        (["meta-llama/*"], "mistralai/Mistral", False),
        (["llama3:*", "qwen*"], "qwen2.5-coder:7b", True),
        (["*"], "a/b:c", True),
        (["Llama"], "llama", False),
        (["a"], "ab", False),
    ],
)
def test_allow_models_are_globs_over_whole_ids(
    patterns: list[str] | None, id_: str, allowed: bool
) -> None:
    _, allows = chosen({"allow_models": patterns, "models": None})
    assert allows(id_) is allowed


def test_models_listed_by_hand_come_with_every_finding() -> None:
    claim = claimed(options={"models": ["by-hand"]})
    assert judged(claim, listed("a")).manual == ("by-hand",)
    assert judged(claim, failure(DiscoveryStatus.NO_MODELS_ROUTE)).manual == ("by-hand",)
