"""Promise 17: nobody reads or changes another's jobs, by any route that the description names.

A foreign id must be told from an unknown one by nothing: not by the status, nor by the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from tests.api import CHAT, Api, chat_body
from tests.simulators import CountingSimulator, Running, running
from tests.system import System

NOBODYS: Final = "01J00000000000000000000000"
# What makes a request of this operation one that its owner could send.
BODIES: Final[dict[tuple[str, str], Any]] = {
    ("POST", f"{CHAT}/{{job_id}}"): {"metadata": {"mine": "now"}},
    ("PATCH", "/v1/providers/{reference}"): {"description": "mine now"},
}
PREFIXES: Final = ("chatcmpl-", "resp_")  # of jobs; each route is asked with both


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `query` are the names of its query's arguments."""

    method: str
    path: str
    query: frozenset[str]
    parameter: str | None

    def call(self, api: Api, value: str = "", **query: str) -> httpx.Response:
        path = self.path.replace(f"{{{self.parameter}}}", value)
        body = BODIES.get((self.method, self.path))
        return api.http.request(self.method, path, json=body, params=query or None)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Owners:
    """Ann, who has two jobs, a provider and a key; and Ben, who is nobody to her."""

    ann: Api
    ben: Api
    provider: dict[str, Any]
    ended: str
    live: str
    key: str
    check: str
    operations: tuple[Operation, ...]

    def foreign(self, parameter: str) -> list[tuple[str, str]]:
        """Values that name something of Ann's, each with one that names nothing."""
        slug = self.provider["slug"]
        bare = [job_id.removeprefix("chatcmpl-") for job_id in (self.ended, self.live)]
        return {
            "job_id": [(f"{p}{one}", f"{p}{NOBODYS}") for one in bare for p in PREFIXES],
            "reference": [(self.provider["id"], f"prov_{NOBODYS}"), (slug, "nobodys")],
            "model": [(f"{slug}/sim-model", "nobodys/sim-model")],
            "key_id": [(self.key, f"key_{NOBODYS}")],
            "check_id": [(self.check, f"chk_{NOBODYS}")],
        }[parameter]


@pytest.fixture(scope="module")
def sim() -> Iterator[Running]:
    with running(CountingSimulator()) as made:
        yield made


@pytest.fixture(scope="module")
def owners(system: System, sim: Running) -> Iterator[Owners]:
    admin = system.api
    with ExitStack() as stack:

        def owner(name: str) -> tuple[Api, str]:
            body = {"name": f"{name}'s", "owner": name, "role": "member"}
            key = admin.http.post("/v1/keys", json=body).json()
            return stack.enter_context(Api(system.url, key["key"])), key["id"]

        (ann, key), (ben, _) = owner("ann-17"), owner("ben-17")
        provider = admin.add_provider("Ann's own", sim.url, visibility=["ann-17"])
        test = {"name": "t", "endpoint": sim.url}
        waiting = {"Prefer": "respond-async"}
        check = admin.http.post("/v1/providers/test", json=test, headers=waiting).json()["id"]
        model = f"{provider['slug']}/sim-model"
        admin.discovered(provider["id"], "ok", 10)
        ended = ann.submit(model, "ended", stream=False, metadata={"of": "ann"})
        ann.ended([ended], 10)
        sim.hold()
        live = ann.submit(model, "live", metadata={"of": "ann"})
        sim.wait_until(lambda s: s.in_flight == 1, timeout=5)
        described = admin.http.get("/openapi.json").json()
        yield Owners(ann, ben, provider, ended, live, key, check, operations(described))
        sim.release()
        admin.http.delete(f"/v1/providers/{provider['id']}")


def operations(described: dict[str, Any]) -> tuple[Operation, ...]:
    """Every operation of the description that needs a key."""
    found = []
    for path, item in described["paths"].items():
        shared = item.get("parameters", [])
        for method in sorted(set(item) & {"get", "post", "patch", "put", "delete"}):
            parameters = [*shared, *item[method].get("parameters", [])]
            names = {"path": [], "query": []} | {
                place: [one["name"] for one in parameters if one["in"] == place]
                for place in ("path", "query")
            }
            (parameter, *more) = names["path"] or [None]
            assert not more, path
            found.append(Operation(method.upper(), path, frozenset(names["query"]), parameter))
    return tuple(one for one in found if one.path.startswith("/v1/"))


_NEAREST = re.compile(r" Nearest: [^\"]*")


def same(foreign: httpx.Response, of: str, unknown: httpx.Response, than: str) -> bool:
    """Whether two answers differ in nothing but the ids that were sent, under either prefix.

    And in the names like them that the caller may use: the foreign one is none of these.
    """
    told = []
    for answer, value in ((foreign, of), (unknown, than)):
        nearest = "".join(_NEAREST.findall(answer.text))
        text = _NEAREST.sub("", answer.text)
        assert value.partition("/")[0] not in nearest
        for sent in (value, value.partition("/")[0], value[-len(NOBODYS) :]):
            text = text.replace(sent, "…")
        told.append((answer.status_code, answer.headers["content-type"], text))
    return told[0] == told[1]


def statuses(operation: Operation) -> set[int]:
    """What Ben may be answered: 403 only to what members may do to nothing at all."""
    readable = operation.parameter in ("reference", "model") and operation.method == "GET"
    return {404} if readable or operation.parameter == "job_id" else {403, 404}


def test_a_foreign_id_is_answered_as_an_unknown_one_by_every_route(
    owners: Owners, sim: Running
) -> None:
    before = [owners.ann.job(job_id) for job_id in (owners.ended, owners.live)]
    asked = [one for one in owners.operations if one.parameter]
    for operation in asked:
        assert operation.parameter
        queries = [{}, {"stream": "true"}] if "stream" in operation.query else [{}]
        for foreign, unknown in owners.foreign(operation.parameter):
            for query in queries:
                answer = operation.call(owners.ben, foreign, **query)
                other = operation.call(owners.ben, unknown, **query)
                assert same(answer, foreign, other, unknown), f"{operation}: {answer.text}"
                assert answer.status_code in statuses(operation), f"{operation}: {answer.text}"
    assert {one.parameter for one in asked} >= {"job_id", "reference", "model", "key_id"}
    assert [owners.ann.job(job_id) for job_id in (owners.ended, owners.live)] == before
    assert sim.stats().in_flight == 1


def test_no_list_holds_anything_of_another_owner(owners: Owners) -> None:
    hers = [owners.ended, owners.live, owners.provider["id"], owners.provider["slug"]]
    for operation in owners.operations:
        if operation.method != "GET" or operation.parameter:
            continue
        told = operation.call(owners.ben).text
        assert [one for one in (*hers, owners.key) if one in told] == [], str(operation)


@pytest.mark.parametrize("name", ["provider", "model", "after", "metadata[of]"])
def test_no_filter_tells_whether_something_of_another_owner_is_there(
    owners: Owners, name: str
) -> None:
    slug = owners.provider["slug"]
    foreign, unknown = {
        "provider": (slug, "nobodys"),
        "model": (f"{slug}/sim-model", "nobodys/sim-model"),
        "after": (owners.ended, f"chatcmpl-{NOBODYS}"),
        "metadata[of]": ("ann", "nobody"),
    }[name]
    answers = [owners.ben.http.get(CHAT, params={name: value}) for value in (foreign, unknown)]
    assert same(answers[0], foreign, answers[1], unknown)


def test_what_another_owner_sent_is_no_way_to_its_answer(owners: Owners, sim: Running) -> None:
    """Neither by the provider that only she may use, nor by the key of her own request."""
    slug, key = owners.provider["slug"], {"Idempotency-Key": "hers"}
    body = chat_body(f"{slug}/sim-model", background=True)
    made = owners.ann.http.post(CHAT, json=body, headers=key)
    assert made.status_code == 202
    answers = [
        owners.ben.http.post(CHAT, json={**body, "model": f"{one}/sim-model"}, headers=key)
        for one in (slug, "nobodys")
    ]
    assert same(answers[0], slug, answers[1], "nobodys")
    assert answers[0].status_code == 404
    assert json.loads(answers[0].text)["error"]["code"] == "model_not_found"
    owners.ann.http.delete(f"{CHAT}/{made.json()['id']}")
