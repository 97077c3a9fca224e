"""The first steps of a test: from what was typed to a connection that stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from services.discovery_worker.trial import Place, Skipped, Trial
from shared.errors import InvalidValue
from shared.upstream import Obstacle

if TYPE_CHECKING:
    from shared.upstream.guard import Addresses
    from shared.upstream.probe import Reached

_SHOWN_ADDRESSES: Final = 4


class Prober(Protocol):
    """What these steps need of `UpstreamClient.probe`; each raises Obstacle."""

    async def resolve(self, host: str, port: int, *, seconds: float) -> Addresses:
        """The addresses of a host."""

    async def connect(self, addresses: Addresses, *, seconds: float) -> Reached:
        """A connection to one of them."""

    async def secure(
        self,
        reached: Reached,
        host: str,
        *,
        verify: bool,
        ca_certificate: str | None,
        seconds: float,
    ) -> str:
        """The TLS version that was agreed on; closes the connection."""


async def resolve(trial: Trial, prober: Prober) -> str:
    """The spelling becomes URLs, the name addresses, and the guard judges them."""
    try:
        trial.place = Place.of(trial.wanted.endpoint.strip())
    except InvalidValue as fault:
        raise Obstacle(fault.message, "Correct the spelling of the endpoint.") from None
    at = trial.place.at
    trial.addresses = await prober.resolve(at.host, at.port, seconds=trial.patience)
    texts = [str(info[4][0]) for info in trial.addresses]
    more = len(texts) - _SHOWN_ADDRESSES
    shown = ", ".join(texts[:_SHOWN_ADDRESSES]) + (f" and {more} more" if more > 0 else "")
    return f"{at.host} is {shown}." if texts != [at.host] else f"{at.host} is an address."


async def connect(trial: Trial, prober: Prober) -> str:
    """A TCP connection to one of the addresses."""
    trial.reached = await prober.connect(trial.addresses, seconds=trial.patience)
    return f"Connected to {trial.reached.address} port {trial.place.at.port}."


async def secure(trial: Trial, prober: Prober) -> str:
    """The TLS handshake and the certificate, on that connection, which ends here."""
    reached, trial.reached = trial.reached, None
    assert reached is not None  # noqa: S101 - the step before this one made it
    if not trial.place.at.models_url.startswith("https:"):
        reached.connection.close()
        return Skipped("Plain HTTP: nothing is encrypted on the way.")
    verify = trial.wanted.options.get("verify_tls", True)
    version = await prober.secure(
        reached,
        trial.place.at.host,
        verify=verify,
        ca_certificate=trial.wanted.options.get("ca_certificate"),
        seconds=trial.patience,
    )
    judged = "the certificate is trusted" if verify else "the certificate was not checked"
    return f"{version}; {judged}."
