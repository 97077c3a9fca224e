"""A load of changes to providers over HTTP, through several registries at once."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

ROUTE: Final = "/v1/providers"
FEWEST, MOST = 4, 24  # providers that one writer keeps alive


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was answered with success."""

    provider_id: str
    revision: int | None  # that it led to; None: deleted


class Writer:
    """Creates, changes and deletes providers of its own until `stop`, through all registries.

    `refused` counts answers that are no success: 500 and more, and calls that broke off.
    """

    def __init__(
        self, urls: Sequence[str], key: str, endpoints: Sequence[str], *, name: str, seed: int
    ) -> None:
        self.done: list[Change] = []
        self.kinds: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._name = name
        self._dice = random.Random(f"{name}{seed}")
        self._endpoints = endpoints
        self._numbers = itertools.count(1)
        self._alive: dict[str, bool] = {}  # id → enabled
        headers = {"Authorization": f"Bearer {key}"}
        self._clients = [
            httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) for url in urls
        ]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the call that is under way."""
        self._stopping.set()
        self._thread.join()
        for client in self._clients:
            client.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._dice.expovariate(1 / 0.04)):
            number = len(self._alive)
            kinds = {
                self._create: 3 if number < MOST else 0,
                self._change: 5 if number else 0,
                self._delete: 2 if number > FEWEST else 0,
            }
            self._dice.choices(list(kinds), list(kinds.values()))[0]()

    def _create(self) -> None:
        number = next(self._numbers)
        body = {"name": f"{self._name} {number}", "endpoint": self._dice.choice(self._endpoints)}
        answer = self._call("POST", ROUTE, 201, body)
        if answer is not None:
            document = answer.json()
            self._alive[document["id"]] = True
            self._note("create", document["id"], document["revision"])

    def _change(self) -> None:
        id_ = self._dice.choice(list(self._alive))
        patch: dict[str, Any] = self._dice.choice(
            [
                {"description": f"changed at {time.time()}"},
                {"tags": [f"t{next(self._numbers)}"]},
                {"api_key": f"sk-{next(self._numbers):020}"},
                {"enabled": not self._alive[id_]},
                {"endpoint": self._dice.choice(self._endpoints), "api_key": None},
            ]
        )
        answer = self._call("PATCH", f"{ROUTE}/{id_}", 200, patch)
        if answer is not None:
            document = answer.json()
            self._alive[id_] = document["enabled"]
            self._note("change", id_, document["revision"])

    def _delete(self) -> None:
        id_ = self._dice.choice(list(self._alive))
        answer = self._call("DELETE", f"{ROUTE}/{id_}", 204)
        del self._alive[id_]  # an answer that was lost leaves it to the database what became of it
        if answer is not None:
            self._note("delete", id_, None)

    def _call(
        self, method: str, path: str, expected: int, body: dict[str, Any] | None = None
    ) -> httpx.Response | None:
        try:
            answer = self._dice.choice(self._clients).request(method, path, json=body)
        except httpx.TransportError as error:
            self.refused[type(error).__name__] += 1
            return None
        if answer.status_code == expected:
            return answer
        self.refused[f"{answer.status_code} {answer.json()['error']['code']}"] += 1
        return None

    def _note(self, kind: str, provider_id: str, revision: int | None) -> None:
        self.kinds[kind] += 1
        self.done.append(Change(provider_id, revision))
