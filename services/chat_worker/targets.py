"""What a claimed job is to be sent to, and within which bounds."""

from __future__ import annotations

from typing import Any, Final

from shared.crypto import Sealer
from shared.store import jobs
from shared.telemetry import Secret
from shared.upstream import Bounds, Target

STANDARD: Final = Bounds()


def opened(stored: jobs.Target, sealer: Sealer) -> Target:
    """The provider with its key, for the function that sends it; raises SealBroken."""
    key = None
    if stored.api_key_sealed is not None:
        plain = sealer.open(
            stored.api_key_sealed, table="provider", row=stored.id, column="api_key_sealed"
        )
        key = Secret(plain.decode("ascii"))
    return Target(
        chat_url=stored.chat_url,
        models_url=stored.models_url,
        api_key=key,
        verify_tls=stored.options.get("verify_tls", True),
        ca_certificate=stored.options.get("ca_certificate"),
    )


def bounds(options: Any) -> Bounds:
    """The bounds in these options of a provider."""
    if not options:
        return STANDARD
    return Bounds(
        connect=options.get("connect_timeout", STANDARD.connect),
        first_byte=options.get("first_byte_timeout", STANDARD.first_byte),
        idle=options.get("idle_timeout", STANDARD.idle),
        total=options.get("total_timeout", STANDARD.total),
    )
