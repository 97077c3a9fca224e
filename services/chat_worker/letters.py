"""A webhook on its way: what its receiver gets, and how one try of it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec

from shared import ids
from shared.crypto import Sealer
from shared.store import jobs
from shared.store.deliveries import Delivery
from shared.webhooks import Webhook, unpacked

_ID_OF_ROUTE: Final = {"chat": ids.COMPLETION, "responses": ids.RESPONSE}


@dataclass(frozen=True, slots=True)
class Letter:
    """A claimed delivery and where it goes."""

    delivery: Delivery
    webhook: Webhook

    @property
    def receiver(self) -> str:
        """Host and port, or the host alone."""
        return urlsplit(self.webhook.url).netloc

    @property
    def body(self) -> bytes:
        """The event: thin, and the same over all tries."""
        delivery = self.delivery
        return msgspec.json.encode(
            {
                "id": delivery.id,
                "object": "event",
                "type": delivery.type,
                "created_at": int(delivery.created_at),
                "data": {"id": _ID_OF_ROUTE[delivery.route] + delivery.job_id},
            }
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """How one try ended: the HTTP status, or None where no answer came; `why` is for the log."""

    delivery: Delivery
    status: int | None
    why: str


def opened(delivery: Delivery, sealer: Sealer) -> Letter:
    """The letter of a delivery; raises SealBroken."""
    plain = sealer.open(
        delivery.webhook_sealed, table=jobs.TABLE, row=delivery.job_id, column=jobs.WEBHOOK
    )
    return Letter(delivery, unpacked(plain))
