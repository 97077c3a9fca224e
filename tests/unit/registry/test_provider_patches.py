"""What a merge patch makes of a provider, and where its stored key may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.providers import endpoints, keys
from services.registry.providers.changes import patched
from services.registry.providers.schemas import ProviderPatch, options_by_default
from shared.crypto import Sealer
from shared.errors import InvalidValue
from shared.keyring import Keyring
from shared.store.providers import Provider
from shared.upstream.endpoint import resolve

SEALER = Sealer(Keyring.generate())
ID = "prov_x"


def provider(endpoint: str = "http://h:1", key: str | None = None, **changes: Any) -> Provider:
    given: dict[str, Any] = {
        "id": ID,
        "name": "n",
        "slug": "n",
        **endpoints.columns(endpoint, resolve(endpoint)),
        **(keys.without() if key is None else keys.columns(key, ID, SEALER, now=1.0)),
        "description": "",
        "tags": [],
        "visibility": "everyone",
        "options": options_by_default(),
        "max_concurrency": None,
        "enabled": True,
        "revision": 1,
        "created_at": 1.0,
        "updated_at": 1.0,
        **changes,
    }
    return Provider(**given)


def after(before: Provider, patch: Mapping[str, Any]) -> Provider:
    """What the patch, as a client sends it, makes of the provider at 2.0."""
    loaded = ProviderPatch().load(dict(patch))
    endpoint = resolve(loaded["endpoint"]) if "endpoint" in loaded else None
    return patched(before, loaded, endpoint, SEALER, now=2.0)


MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "max_concurrency": st.none() | st.integers(1, 9),
        "connect_timeout": st.none() | st.integers(1, 9),
        "verify_tls": st.booleans(),
        "models": st.none() | st.just(["m"]),
    },
)
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["n", "m"]),
        "endpoint": st.sampled_from(["http://h:1", "http://h:1/v1", "http://h:1/other"]),
        "api_key": st.none() | st.just("k"),
        "description": st.none() | st.sampled_from(["", "d"]),
        "tags": st.none() | st.just(["t"]),
        "visibility": st.none() | st.sampled_from(["admins", ["ann"]]),
        "enabled": st.none() | st.booleans(),
        "options": st.none() | MEMBERS,
    },
)


def shown(one: Provider) -> dict[str, Any]:
    """The provider without what is different each time that it is sealed."""
    fields = {name: getattr(one, name) for name in Provider.__dataclass_fields__}
    return {**fields, "api_key_sealed": one.api_key_sealed is not None}


@given(PATCHES)
def test_a_patch_applied_twice_is_applied_once(patch: dict[str, Any]) -> None:
    once = after(provider(), patch)
    assert shown(after(once, patch)) == shown(once)


@given(PATCHES, PATCHES)
def test_patches_of_different_fields_may_come_in_any_order(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    other = {name: value for name, value in other.items() if name not in one}
    first, last = after(after(provider(), one), other), after(after(provider(), other), one)
    assert shown(first) == shown(last)


@given(PATCHES)
def test_a_patch_leaves_alone_what_it_does_not_name(patch: dict[str, Any]) -> None:
    before = provider(tags=["kept"], description="kept", enabled=False)
    result = after(before, patch)
    for name in ("name", "description", "tags", "visibility", "enabled"):
        if name not in patch:
            assert getattr(result, name) == getattr(before, name)
    assert (result.id, result.slug, result.revision) == (ID, "n", 1)
    members = patch.get("options", {})
    if members is not None:
        same = set(before.options) - set(members)
        assert all(result.options[m] == before.options[m] for m in same)
    assert result.max_concurrency == result.options["max_concurrency"]


def test_an_option_that_only_a_later_release_knows_is_kept() -> None:
    before = provider(options={**options_by_default(), "of_later": 5})
    assert after(before, {"options": {"idle_timeout": 9}}).options["of_later"] == 5


def test_the_time_of_a_key_is_that_of_its_last_change() -> None:
    assert provider().api_key_rotated_at is None
    assert after(provider(), {"api_key": None}).api_key_rotated_at is None
    with_key = after(provider(), {"api_key": "k"})
    assert (with_key.api_key_rotated_at, with_key.api_key_last4) == (2.0, None)
    removed = after(provider(key="k" * 16), {"api_key": None})
    assert removed.api_key_rotated_at == 2.0
    assert (removed.api_key_sealed, removed.api_key_last4, removed.api_key_fingerprint) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("stored", "new", "carried"),
    [
        ("http://h:1", "h:1/v1/chat/completions", True),
        ("https://h", "h", True),
        ("https://h", "https://H:443/v1/models", True),
        ("https://h", "https://h/other", True),
        ("http://h:1", "https://h:1", True),
        ("http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:1", True),
        ("https://h:1", "http://h:1", False),
        ("https://h:1", "h:1", False),
        ("https://h", "http://h", False),
        ("http://h", "https://h", False),
        ("https://h", "https://h.", False),
        ("https://h", "https://h.evil", False),
        ("https://h", "https://evil/h", False),
        ("http://h:1", "http://h:2", False),
        ("http://127.0.0.1:1", "http://localhost:1", False),
    ],
)
def test_a_stored_key_stays_with_the_server_it_was_given_for(
    stored: str, new: str, carried: bool
) -> None:
    before = provider(stored, key="k")
    if carried:
        assert after(before, {"endpoint": new}).api_key_sealed == before.api_key_sealed
        return
    with pytest.raises(InvalidValue) as raised:
        after(before, {"endpoint": new})
    assert raised.value.param == "api_key"
    assert raised.value.message.startswith("Expected api_key in the same request, got none: ")
    assert after(before, {"endpoint": new, "api_key": None}).api_key_sealed is None
    assert after(before, {"endpoint": new, "api_key": "new"}).api_key_rotated_at == 2.0
    assert after(provider(stored), {"endpoint": new}).endpoint == new


def test_another_slug_is_refused_and_the_present_one_let_pass() -> None:
    assert after(provider(), {"slug": "n"}) == provider()
    with pytest.raises(InvalidValue, match="got 'm': a slug cannot be changed") as raised:
        after(provider(), {"slug": "m"})
    assert raised.value.param == "slug"
