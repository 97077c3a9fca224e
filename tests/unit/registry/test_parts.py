"""Small parts: pages, validators, the bell, the cache of callers, the globs of a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gevent
import pytest
from flask import Flask, Request, request
from redis.exceptions import ConnectionError as RedisAway

from services.registry import answers, paging
from services.registry.authentication import KEPT_SECONDS, Authenticator
from services.registry.bell import MOST_UNSENT, Bell
from services.registry.models.resolution import allows
from shared.errors import InvalidApiKey
from shared.store.access import Caller, Role
from tests.contract.job_store.conftest import new_provider


def pages(order: str, limit: int | None, after: str | None) -> tuple[list[str], bool]:
    return paging.page(["b", "a", "d", "c"], str, limit=limit, after=after, order=order)


@pytest.mark.parametrize(
    ("order", "limit", "after", "expected"),
    [
        ("asc", None, None, ("abcd", False)),
        ("desc", None, None, ("dcba", False)),
        ("asc", 2, None, ("ab", True)),
        ("asc", 2, "b", ("cd", False)),
        ("desc", 2, "c", ("ba", False)),
        ("desc", 1, "d", ("c", True)),
        ("asc", 4, None, ("abcd", False)),
        ("asc", 2, "bb", ("cd", False)),  # the row of the cursor may be gone
        ("asc", 2, "d", ("", False)),
    ],
)
def test_a_page_begins_after_its_cursor(
    order: str, limit: int | None, after: str | None, expected: tuple[str, bool]
) -> None:
    assert pages(order, limit, after) == (list(expected[0]), expected[1])


def test_a_link_keeps_the_other_arguments_and_escapes_them() -> None:
    with Flask("test").test_request_context("/v1/x?tag=a%26b&after=old&limit=2"):
        assert paging.link([{"id": "n/1"}], has_more=True) == {
            "Link": '</v1/x?tag=a%26b&after=n%2F1&limit=2>; rel="next"'
        }
        assert paging.link([{"id": "n"}], has_more=False) == {}


@pytest.mark.parametrize(
    ("header", "known"),
    [('W/"3"', True), ('"3"', True), ('W/"1", W/"3"', True), ("*", True), ('W/"4"', False)],
)
def test_a_version_is_known_by_its_tag(header: str, known: bool) -> None:
    with Flask("test").test_request_context("/", headers={"If-None-Match": header}):
        assert answers.is_known(request, 3) is known
    with Flask("test").test_request_context("/", headers={"If-Match": header}):
        assert answers.precondition(request)(3) is known


def test_without_validators_nothing_is_known_and_everything_may_change() -> None:
    with Flask("test").test_request_context("/"):
        assert not answers.is_known(request, 3)
        assert answers.precondition(request)(3)


@pytest.mark.parametrize(
    ("globs", "model", "allowed"),
    [
        (None, "any", True),
        ([], "any", False),
        (["llama*"], "llama-3", True),
        (["llama*"], "Llama-3", False),
        (["org/*"], "org/a/b", True),
        (["a", "b?"], "bc", True),
        (["a", "b?"], "b", False),
    ],
)
def test_globs_decide_which_models_a_provider_offers(
    globs: list[str] | None, model: str, allowed: bool
) -> None:
    assert allows(new_provider("acme", options={"allow_models": globs}), model) is allowed


class Doorbell:
    """Takes down rings and tasks; raises the faults that are given, one each."""

    def __init__(self, *faults: Exception) -> None:
        self.sent: list[str] = []
        self.faults = list(faults)

    def ring(self) -> None:
        self._take("ring")

    def send(self, task: str, *, kwargs: Mapping[str, str]) -> None:
        self._take(f"{task} {dict(kwargs)}")

    def _take(self, what: str) -> None:
        self.sent.append(what)
        if self.faults:
            raise self.faults.pop()


@pytest.fixture
def doorbell() -> Doorbell:
    """One that works."""
    return Doorbell()


def started(doorbell: Doorbell) -> Bell:
    bell = Bell(doorbell, doorbell.send, rest=0.0, pause=0.0)
    bell.start()
    quiet()
    return bell


def quiet() -> None:
    """Let all greenlets have their turns."""
    for _ in range(10):
        gevent.sleep(0)


def test_many_equal_hints_at_once_become_one(doorbell: Doorbell) -> None:
    bell = started(doorbell)
    assert doorbell.sent == ["ring"]  # the first costs most: it is sent at the start
    for _ in range(500):
        bell.ring()
        bell.refresh("prov_1")
        bell.refresh("prov_2")
        bell.check("chk_1")
    quiet()
    assert doorbell.sent[1:] == [
        "ring",
        "discovery.refresh {'provider_id': 'prov_1'}",
        "discovery.refresh {'provider_id': 'prov_2'}",
        "discovery.check {'check_id': 'chk_1'}",
    ]


def test_a_hint_that_fails_is_not_repeated_and_the_next_one_goes_out() -> None:
    doorbell = Doorbell(RedisAway("away"))
    bell = started(doorbell)
    assert doorbell.sent == ["ring"]
    for _ in range(3):
        bell.ring()
    quiet()
    assert doorbell.sent == ["ring", "ring"]


def test_hints_within_the_pause_share_the_next_round(doorbell: Doorbell) -> None:
    bell = Bell(doorbell, doorbell.send, pause=0.05)
    bell.start()
    for _ in range(20):
        bell.ring()
        gevent.sleep(0.001)
    gevent.sleep(0.1)
    assert doorbell.sent == ["ring", "ring"]  # at once, and what came within the pause


def test_hints_that_cannot_be_sent_do_not_pile_up(doorbell: Doorbell) -> None:
    bell = Bell(doorbell, doorbell.send)
    for number in range(MOST_UNSENT + 5):
        bell.refresh(f"prov_{number}")
    bell.start()  # rings, which drops one more
    gevent.sleep(0.01)
    assert len(doorbell.sent) == MOST_UNSENT
    assert doorbell.sent[0] == "discovery.refresh {'provider_id': 'prov_6'}"
    assert doorbell.sent[-1] == "ring"


class Keys:
    """Transactions whose reads find this caller; counts them."""

    def __init__(self, caller: Caller | None) -> None:
        self.caller = caller
        self.reads = 0

    def glance(self, _: Any) -> Caller | None:
        self.reads += 1
        return self.caller


def asking(key: str) -> Request:
    context = Flask("test").test_request_context("/", headers={"Authorization": f"Bearer {key}"})
    found: Request = context.request
    return found


def test_a_caller_is_kept_for_a_while_and_then_asked_for_again() -> None:
    clock = {"now": 100.0}
    keys: Any = Keys(Caller("key_1", "ann", Role.MEMBER, None))
    finder = Authenticator(keys, now=lambda: 1.0, monotonic=lambda: clock["now"])
    for _ in range(3):
        assert finder.caller_of(asking("k")).owner == "ann"
    assert keys.reads == 1
    keys.caller = None  # revoked
    clock["now"] += KEPT_SECONDS + 0.1
    with pytest.raises(InvalidApiKey):
        finder.caller_of(asking("k"))
    assert keys.reads == 2


def test_while_one_request_looks_again_the_others_go_on_with_what_is_known() -> None:
    clock = {"now": 100.0}
    keys: Any = Keys(Caller("key_1", "ann", Role.MEMBER, None))
    finder = Authenticator(keys, now=lambda: 1.0, monotonic=lambda: clock["now"])
    finder.caller_of(asking("k"))
    clock["now"] += KEPT_SECONDS + 0.1

    def looks(work: Any) -> Caller | None:
        keys.glance = Keys.glance.__get__(keys)
        assert finder.caller_of(asking("k")).owner == "ann"
        assert keys.reads == 1
        return None  # it was revoked meanwhile

    keys.glance = looks
    with pytest.raises(InvalidApiKey):
        finder.caller_of(asking("k"))
    keys.caller = None
    with pytest.raises(InvalidApiKey):
        finder.caller_of(asking("k"))


def test_a_kept_caller_expires_on_time_and_an_unknown_key_is_not_kept() -> None:
    clock = {"now": 1.0}
    keys: Any = Keys(Caller("key_1", "ann", Role.MEMBER, expires_at=2.0))
    finder = Authenticator(keys, now=lambda: clock["now"], monotonic=lambda: 0.0)
    finder.caller_of(asking("k"))
    clock["now"] = 2.0
    with pytest.raises(InvalidApiKey):
        finder.caller_of(asking("k"))
    keys.caller = None
    for _ in range(2):
        with pytest.raises(InvalidApiKey):
            finder.caller_of(asking("other"))
    assert keys.reads == 3
