"""One check: what is sent, within which bounds, and when the key is tried by leaving it out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from services.discovery_worker.checker import Checked, Checker
from shared.crypto import Sealer
from shared.domain import DiscoveryStatus
from shared.keyring import Keyring
from shared.store.discovery import Claim
from shared.telemetry import Secret
from shared.upstream import Bounds, DiscoveryFailure, ListedModel, ModelList, Target
from tests.unit.discovery.test_verdict import NOW, claimed

MODELS = ModelList((ListedModel("m", None, None, None, {}),), 0)
REFUSED = DiscoveryFailure("401", status=DiscoveryStatus.AUTH_FAILED, code="c")
AWAY = DiscoveryFailure("away", status=DiscoveryStatus.UNREACHABLE, code="c")


class Lister:
    """Answers what it is told to, in order; remembers how it was asked."""

    def __init__(self, *answers: ModelList | DiscoveryFailure) -> None:
        self.answers: Sequence[ModelList | DiscoveryFailure] = answers
        self.asked: list[tuple[Target, Bounds]] = []

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        self.asked.append((target, bounds))
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, DiscoveryFailure):
            raise answer
        return answer

    @property
    def keys(self) -> list[Secret | None]:
        return [target.api_key for target, _ in self.asked]


SEALER = Sealer(Keyring.generate())


def with_key(**changes: object) -> Claim:
    sealed = SEALER.seal(b"sk-1", table="provider", row="prov_1", column="api_key_sealed")
    values = {"api_key_sealed": sealed, "api_key_rotated_at": NOW - 1000, "ok_at": None}
    return claimed(**values | changes)


def check(lister: Lister, claim: Claim, seconds: float = 10.0) -> Checked:
    return asyncio.run(Checker(lister, SEALER, seconds=seconds).check(claim))


def test_without_a_key_none_is_sent_and_none_is_tried() -> None:
    lister = Lister(MODELS)
    checked = check(lister, claimed(ok_at=None))
    assert (checked.came, checked.key_proven, lister.keys) == (MODELS, False, [None])


def test_a_route_that_refuses_without_the_key_proves_it() -> None:
    lister = Lister(MODELS, REFUSED)
    checked = check(lister, with_key())
    assert (checked.came, checked.key_proven) == (MODELS, True)
    assert lister.keys == [Secret("sk-1"), None]


@pytest.mark.parametrize("without", [MODELS, AWAY])
def test_a_route_that_does_not_refuse_without_the_key_proves_nothing(
    without: ModelList | DiscoveryFailure,
) -> None:
    checked = check(Lister(MODELS, without), with_key())
    assert (checked.came, checked.key_proven) == (MODELS, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"key_verified_at": NOW - 500},  # proven since the key was set
        {"ok_at": NOW - 500},  # tried since the last change
    ],
    ids=["proven", "tried"],
)
def test_the_key_is_left_out_once_a_revision_at_most(changes: dict[str, object]) -> None:
    lister = Lister(MODELS)
    assert check(lister, with_key(**changes)).key_proven is False
    assert lister.keys == [Secret("sk-1")]


def test_a_key_that_was_refused_meanwhile_is_proven_again() -> None:
    restored = with_key(ok_at=NOW - 500, status=DiscoveryStatus.AUTH_FAILED)
    assert check(Lister(MODELS, REFUSED), restored).key_proven


def test_a_proof_older_than_the_key_is_tried_again() -> None:
    checked = check(Lister(MODELS, REFUSED), with_key(key_verified_at=NOW - 2000))
    assert checked.key_proven


def test_a_list_that_failed_is_not_asked_for_again() -> None:
    lister = Lister(AWAY)
    assert check(lister, with_key()).came is AWAY
    assert len(lister.asked) == 1


def test_the_key_is_not_tried_when_the_time_is_nearly_over() -> None:
    lister = Lister(MODELS)
    assert check(lister, with_key(), seconds=0.5).key_proven is False
    assert len(lister.asked) == 1


def test_the_whole_check_is_bounded_and_connecting_as_the_provider_says() -> None:
    lister = Lister(MODELS)
    check(lister, claimed(options={"connect_timeout": 2}))
    assert lister.asked[0][1] == Bounds(connect=2, first_byte=10, idle=10, total=10)
    patient = Lister(MODELS)
    check(patient, claimed(options={"connect_timeout": 60}))
    assert patient.asked[0][1].connect == 10


def test_tls_is_checked_as_the_provider_says() -> None:
    lister = Lister(MODELS)
    check(lister, claimed(options={"verify_tls": False, "ca_certificate": "PEM"}))
    target, _ = lister.asked[0]
    assert (target.verify_tls, target.ca_certificate) == (False, "PEM")
    assert target.models_url == "http://h/v1/models"


def test_a_key_that_does_not_open_is_a_verdict_and_nothing_is_sent() -> None:
    lister = Lister()
    moved = with_key(provider_id="prov_2")
    came = check(lister, moved).came
    assert isinstance(came, DiscoveryFailure)
    assert came.status is DiscoveryStatus.AUTH_FAILED
    assert "Set the provider's key again" in came.message
    assert lister.asked == []
