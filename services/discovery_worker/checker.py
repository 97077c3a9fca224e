"""One check of one provider: its model list, and once whether its key was needed for it."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Final, Protocol

from services.discovery_worker.verdict import Came
from shared.crypto import SealBroken, Sealer
from shared.domain import DiscoveryStatus
from shared.errors import UpstreamAuthenticationFailed
from shared.store.discovery import Claim
from shared.telemetry import Secret
from shared.upstream import Bounds, DiscoveryFailure, ModelList, Target

CHECK_SECONDS: Final = 10.0  # for the whole check
PROBE_SECONDS: Final = 1.0  # what must be left of it to look without the key
DEFAULT_CONNECT: Final = 5.0


class Lister(Protocol):
    """What a check needs of `shared.upstream.UpstreamClient`."""

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        """What the models route lists; raises DiscoveryFailure."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came back, and whether the route refused the same request without the key."""

    came: Came
    key_proven: bool


class Checker:
    """Asks providers for their models, within `seconds` for each check."""

    def __init__(self, client: Lister, sealer: Sealer, *, seconds: float = CHECK_SECONDS) -> None:
        self._client = client
        self._sealer = sealer
        self._seconds = seconds

    async def check(self, claim: Claim) -> Checked:
        """The model list or why there is none; never raises a DiscoveryFailure."""
        ends = asyncio.get_running_loop().time() + self._seconds
        try:
            came = await self._ask(claim, self._seconds, with_key=True)
        except DiscoveryFailure as failure:
            return Checked(failure, key_proven=False)
        rest = ends - asyncio.get_running_loop().time()
        if not key_is_unproven(claim) or rest < PROBE_SECONDS:
            return Checked(came, key_proven=False)
        try:
            await self._ask(claim, rest, with_key=False)
        except DiscoveryFailure as failure:
            return Checked(came, key_proven=failure.status is DiscoveryStatus.AUTH_FAILED)
        return Checked(came, key_proven=False)

    async def _ask(self, claim: Claim, seconds: float, *, with_key: bool) -> ModelList:
        options = claim.options
        connect = min(options.get("connect_timeout") or DEFAULT_CONNECT, seconds)
        bounds = Bounds(connect=connect, first_byte=seconds, idle=seconds, total=seconds)
        target = Target(
            chat_url=claim.chat_url,
            models_url=claim.models_url,
            api_key=None,
            verify_tls=options.get("verify_tls", True),
            ca_certificate=options.get("ca_certificate"),
        )
        if with_key and claim.api_key_sealed is not None:
            target = dataclasses.replace(
                target, api_key=self._unsealed(claim, claim.api_key_sealed)
            )
        return await self._client.list_models(target, bounds)

    def _unsealed(self, claim: Claim, sealed: str) -> Secret:
        try:
            key = self._sealer.open(
                sealed, table="provider", row=claim.provider_id, column="api_key_sealed"
            )
        except SealBroken as fault:
            raise DiscoveryFailure(
                f"The stored API key cannot be used: {fault}. Set the provider's key again.",
                status=DiscoveryStatus.AUTH_FAILED,
                code=UpstreamAuthenticationFailed.code,
            ) from None
        return Secret(key.decode())


def key_is_unproven(claim: Claim) -> bool:
    """Whether to look without the key: there is one, not proven, and not tried at this revision.

    A list that was good since the last change was followed by that look already; after a refusal it
    is had again.
    """
    if claim.api_key_sealed is None:
        return False
    rotated_at = claim.api_key_rotated_at or 0.0
    proven = claim.key_verified_at is not None and claim.key_verified_at >= rotated_at
    refused = claim.status is DiscoveryStatus.AUTH_FAILED
    tried = not refused and claim.ok_at is not None and claim.ok_at >= claim.updated_at
    return not proven and not tried
