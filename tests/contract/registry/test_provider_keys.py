"""The key of a provider: rotated, removed, and never sent where nobody sent it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store.schema import discovery, provider
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.test_provider_changes import (
    KEY,
    OTHER_KEY,
    PROVIDERS,
    patch,
    patched,
    told,
)

STORED = ("api_key_sealed", "api_key_last4", "api_key_fingerprint")


def opened(registry: Registry, provider_id: str) -> str:
    """The key as the workers read it."""
    sealed = registry.column(provider, provider_id, "api_key_sealed")
    place = {"table": "provider", "row": provider_id, "column": "api_key_sealed"}
    return registry.parts.sealer.open(sealed, **place).decode()


def test_a_rotation_replaces_the_key_and_all_that_is_shown_of_it(registry: Registry) -> None:
    made = registry.add(api_key=KEY)
    answer = patch(registry, made["id"], {"api_key": OTHER_KEY})
    shown = answer.get_json()["api_key"]
    assert opened(registry, made["id"]) == OTHER_KEY
    assert (shown["set"], shown["last4"]) == (True, "3210")
    assert shown["fingerprint"] == registry.add(api_key=OTHER_KEY)["api_key"]["fingerprint"]
    assert made["created_at"] <= shown["rotated_at"] <= time.time()
    assert OTHER_KEY not in answer.text
    assert OTHER_KEY not in registry.get(f"{PROVIDERS}/{made['id']}").text


def test_the_same_key_given_again_is_a_rotation_too(registry: Registry) -> None:
    made = registry.add(api_key=KEY)
    before = registry.column(provider, made["id"], "api_key_rotated_at")
    document = patched(registry, made["id"], {"api_key": KEY})
    assert document["revision"] == 2
    assert registry.column(provider, made["id"], "api_key_rotated_at") > before
    assert told(registry, made["id"]) == [("provider.key_rotated", 2, None)]


def test_a_removed_key_leaves_nothing_but_its_time(registry: Registry) -> None:
    made = registry.add(api_key=KEY)
    shown = patched(registry, made["id"], {"api_key": None})["api_key"]
    assert shown.pop("rotated_at") >= made["created_at"]
    assert shown == {"set": False, "last4": None, "fingerprint": None}
    assert [registry.column(provider, made["id"], name) for name in STORED] == [None] * 3


def test_a_key_that_does_not_fit_is_not_echoed(registry: Registry) -> None:
    made = registry.add(api_key=KEY)
    for unfit in ("sk-secret with spaces", "sk-secret\r\n", {"sk-secret": 1}, ["sk-secret"]):
        answer = patch(registry, made["id"], {"api_key": unfit})
        refused(answer, 400, "invalid_value", "api_key")
        assert "secret" not in answer.text
    assert opened(registry, made["id"]) == KEY


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("http://10.0.0.1:8000", "http://10.0.0.2:8000"),
        ("http://10.0.0.1:8000", "http://10.0.0.1:8001"),
        ("http://10.0.0.1:8000", "https://10.0.0.1"),
        ("https://a.example", "https://b.example"),
        ("https://a.example", "https://a.example."),
        ("https://a.example", "https://a.example:8443"),
        ("https://a.example:8443", "http://a.example:8443"),
    ],
)
def test_a_stored_key_is_not_carried_to_another_place(
    registry: Registry, stored: str, new: str
) -> None:
    made = registry.add(endpoint=stored, api_key=KEY)
    problem = refused(patch(registry, made["id"], {"endpoint": new}), 400, "invalid_value")
    assert problem["error"]["param"] == "api_key"
    assert "null to remove it" in problem["detail"]
    assert registry.get(f"{PROVIDERS}/{made['id']}").get_json() == made
    moved = patched(registry, made["id"], {"endpoint": new, "api_key": OTHER_KEY})
    assert (moved["endpoint"], opened(registry, made["id"])) == (new, OTHER_KEY)
    back = patched(registry, made["id"], {"endpoint": stored, "api_key": None})
    assert (back["endpoint"], back["api_key"]["set"]) == (stored, False)
    assert patched(registry, made["id"], {"endpoint": new})["endpoint"] == new


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("http://10.0.0.1:8000", "10.0.0.1:8000/v1/chat/completions"),
        ("http://10.0.0.1:8000", "http://10.0.0.1:8000/other/base?api-version=1"),
        ("http://10.0.0.1:8443", "https://10.0.0.1:8443"),
        ("https://A.example:443/v1", "https://a.EXAMPLE/v1/"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_another_spelling_or_path_of_the_same_server_keeps_the_key(
    registry: Registry, stored: str, new: str
) -> None:
    made = registry.add(endpoint=stored, api_key=KEY)
    moved = patched(registry, made["id"], {"endpoint": new})
    assert (moved["endpoint"], moved["api_key"]) == (new, made["api_key"])
    assert opened(registry, made["id"]) == KEY
    assert told(registry, made["id"]) == [("provider.changed", 2, {"fields": ["endpoint"]})]


@pytest.mark.parametrize("typed", [OTHER_KEY, None])
def test_what_proved_one_key_says_nothing_of_the_next(registry: Registry, typed: Any) -> None:
    made = registry.add(api_key=KEY)

    def proven(at: float) -> None:
        with registry.database.write() as tx:
            tx.execute(sa.update(discovery).values(key_verified_at=at))

    def shown() -> Any:
        document = registry.get(f"{PROVIDERS}/{made['id']}").get_json()
        return document["discovery"]["key_verified_at"]

    registry.discovered(made["id"])
    at = registry.parts.now()
    proven(at)
    assert shown() == int(at)
    document = patched(registry, made["id"], {"api_key": typed})
    assert document["discovery"]["key_verified_at"] is None
    assert shown() is None
    at = registry.parts.now()
    proven(at)
    assert shown() == (None if typed is None else int(at))
