"""A key that one registry revokes works in no other."""

from __future__ import annotations

import httpx

from services.registry.authentication import KEPT_SECONDS
from shared import live
from tests.eventually import eventually
from tests.integration.registry.conftest import Stage


def test_another_registry_forgets_a_revoked_key_sooner_than_it_would_by_itself(bare: Stage) -> None:
    bare.valkey.start()
    with bare.process() as one, bare.process() as other:
        eventually(lambda: bare.redis().pubsub_numsub(live.REVOKED)[0][1] == 2, 5)
        made = one.api.http.post("/v1/keys", json={"name": "short-lived"}).json()

        def status() -> int:
            headers = {"Authorization": f"Bearer {made['key']}"}
            return httpx.get(f"{other.url}/v1/me", headers=headers).status_code

        assert status() == 200
        assert one.api.http.delete(f"/v1/keys/{made['id']}").status_code == 204
        eventually(lambda: status() == 401, KEPT_SECONDS / 2)
