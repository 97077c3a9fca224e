"""Where a provider is called, and where its stored key may go."""

from __future__ import annotations

from typing import Any

from shared.errors import InvalidValue
from shared.store.providers import Provider
from shared.upstream.endpoint import Endpoint, resolve
from shared.upstream.policy import OutboundPolicy


def located(typed: str, policy: OutboundPolicy) -> Endpoint:
    """The endpoint that was meant.

    Raises InvalidValue, also for a literal address that must not be called; no name is looked up.
    """
    endpoint = resolve(typed)
    refused = policy.refusal_of_literal(endpoint.host, endpoint.port)
    if refused is not None:
        raise InvalidValue(
            f"Expected an endpoint that may be called, got one where {refused}.", param="endpoint"
        )
    return endpoint


def columns(typed: str, endpoint: Endpoint) -> dict[str, Any]:
    """The columns of an endpoint as it was typed."""
    return {
        "endpoint": typed.strip(),
        "chat_url": endpoint.chat_url,
        "models_url": endpoint.models_url,
        "host": endpoint.host,
        "port": endpoint.port,
    }


def refuse_to_carry_key(provider: Provider, endpoint: Endpoint) -> None:
    """Raise InvalidValue (param `api_key`) if the stored key would go where nobody sent it.

    Whoever may change a provider must not be able to mail its key to a server of his own, nor to
    have it sent in the clear. Compared is what the resolver made of both, not their spelling.
    """
    if provider.api_key_sealed is None:
        return
    if (endpoint.host, endpoint.port) != (provider.host, provider.port):
        why = "has another host or port than the one that the stored key was given for"
    elif _is_encrypted(provider.chat_url) and not _is_encrypted(endpoint.chat_url):
        why = "would send the stored key unencrypted, where it was given for https"
    else:
        return
    raise InvalidValue(
        f"Expected api_key in the same request, got none: the new endpoint {why}. "
        "Send the key for this endpoint again, or null to remove it.",
        param="api_key",
    )


def _is_encrypted(url: str) -> bool:
    return url.startswith("https:")
