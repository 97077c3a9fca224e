"""A receiver of webhooks that notes which job it was told of, and refuses some of them once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import defaultdict
from typing import Final

from tests.simulators import CountingSimulator, Reply
from tests.simulators._http import Exchange

KEY: Final = b"a secret of forty bytes, of which no one"
SECRET: Final = "whsec_" + base64.b64encode(KEY).decode()
REFUSED_ONCE: Final = 12  # every twelfth delivery is answered 503 when it first comes


class Told(CountingSimulator):
    """`told` holds what came, by job: the types of its events; `wrong` what nobody may send."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, list[str]] = defaultdict(list)
        self.wrong: list[str] = []
        self.refused = 0
        self._seen: set[str] = set()

    def handle(self, exchange: Exchange) -> None:
        """Verify as a receiver does (Standard Webhooks), and answer 204 or 503."""
        request = exchange.request
        names = {name.lower(): value for name, value in request.headers.items()}
        event, at = names["webhook-id"], names["webhook-timestamp"]
        digest = hmac.new(KEY, f"{event}.{at}.".encode() + request.body, hashlib.sha256).digest()
        if names["webhook-signature"] != f"v1,{base64.b64encode(digest).decode()}":
            self.wrong.append(f"{event} with a signature that is not its own")
        new = event not in self._seen
        self._seen.add(event)
        if new and len(self._seen) % REFUSED_ONCE == 0:
            self.refused += 1
            exchange.reply(Reply(503))
            return
        document = json.loads(request.body)
        if document["id"] != event:
            self.wrong.append(f"{event} says that it is {document['id']}")
        self.told[document["data"]["id"]].append(document["type"])
        exchange.reply(Reply(204))
