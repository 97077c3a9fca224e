"""The webhook that a chat asks for."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from shared import webhooks
from shared.crypto import Sealer
from shared.errors import InvalidValue
from shared.store import jobs
from shared.telemetry import Secret
from shared.upstream.endpoint import MAX_LENGTH, webhook_url
from shared.upstream.policy import OutboundPolicy

_PATH: Final = "background_options.webhook"
_URL: Final = {"format": "uri", "maxLength": MAX_LENGTH}
_SECRET: Final = {
    "writeOnly": True,
    "pattern": f"^{webhooks.PREFIX}[A-Za-z0-9+/]{{32,86}}={{0,2}}$",
}


class WebhookOptions(Struct, forbid_unknown_fields=True):
    """Where the end of the job is told (Standard Webhooks), and the secret that signs it.

    `secret` is `whsec_` and the base64 of 24 to 64 bytes; it is sealed and never shown again.
    """

    url: Annotated[str, Meta(extra_json_schema=_URL)]
    secret: Annotated[str, Meta(extra_json_schema=_SECRET)]

    def __repr__(self) -> str:
        return "WebhookOptions(…)"


def sealed(
    asked: WebhookOptions | None, job_id: str, sealer: Sealer, policy: OutboundPolicy
) -> str | None:
    """The webhook as it is stored with its job; raises InvalidValue with the path at fault.

    A name is accepted without a lookup; a literal address that must not be called is refused.
    """
    if asked is None:
        return None
    found = webhook_url(asked.url, param=f"{_PATH}.url")
    refused = policy.refusal_of_literal(found.host, found.port)
    if refused is not None:
        raise InvalidValue(
            f"Expected a URL that may be called, got one where {refused}.", param=f"{_PATH}.url"
        )
    if not webhooks.is_secret(asked.secret):
        raise InvalidValue(
            f"Expected {webhooks.PREFIX} and the base64 of 24 to 64 bytes, got something else. "
            f'Make one: echo "{webhooks.PREFIX}$(openssl rand -base64 32)"',
            param=f"{_PATH}.secret",
        )
    plain = webhooks.packed(webhooks.Webhook(found.url, Secret(asked.secret)))
    return sealer.seal(plain, table=jobs.TABLE, row=job_id, column=jobs.WEBHOOK)
