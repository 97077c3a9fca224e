"""Webhooks as callers ask for them and see them; their delivery is the chat worker's."""

from __future__ import annotations

import base64
import json
from typing import Any

import gevent
import pytest
import sqlalchemy as sa

from services.registry.chat.request import ChatReader
from shared.store import deliveries, jobs
from shared.store.schema import chat_job, webhook_delivery
from shared.telemetry import Secret
from shared.webhooks import headers
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
URL = "https://hooks.test/in/token-5?to=me"
PENDING = {"status": "pending", "attempts": 0}
BARE = len("chatcmpl-")


def hooked(url: str = URL, **fields: Any) -> dict[str, Any]:
    """The fields of a chat with a webhook."""
    return {"background_options": {"webhook": {"url": url, "secret": SECRET, **fields}}}


def test_a_webhook_is_stored_sealed_and_shown_without_its_url_and_secret(
    registry: Registry, slug: str
) -> None:
    answer = registry.post(CHAT, {**chat_body(f"{slug}/m", background=True), **hooked(f" {URL} ")})
    assert answer.status_code == 202
    job = answer.get_json()
    assert job["webhook"] == PENDING
    bare = job["id"][BARE:]
    sealed = registry.column(chat_job, bare, "webhook_sealed")
    plain = registry.parts.sealer.open(sealed, table=jobs.TABLE, row=bare, column=jobs.WEBHOOK)
    assert json.loads(plain) == {"url": URL, "secret": SECRET}
    path = f"{CHAT}/{job['id']}"
    told = [answer, *(registry.get(path + more) for more in ("", "/messages", "/attempts"))]
    told.append(registry.get(f"{CHAT}?provider={slug}"))
    for each in told:
        assert SECRET.encode() not in each.data
        assert b"token-5" not in each.data
    assert told[-1].get_json()["data"] == [registry.job(job["id"])]


def test_jobs_of_one_moment_each_show_their_own_webhook(registry: Registry, slug: str) -> None:
    posts = [
        gevent.spawn(registry.submit, f"{slug}/m", **(hooked() if number % 2 else {}))
        for number in range(8)
    ]
    gevent.joinall(posts, timeout=10, raise_error=True)
    submitted = [post.get() for post in posts]
    assert [job["webhook"] for job in submitted] == [None, PENDING] * 4
    read = [registry.job(job["id"])["webhook"] for job in submitted]
    assert read == [None, PENDING] * 4


def test_what_became_of_it_is_shown_and_moves_the_etag(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m", **hooked())
    registry.post(f"{CHAT}/{job['id']}/cancel", b"")
    read = registry.get(f"{CHAT}/{job['id']}")
    assert (read.get_json()["status"], read.get_json()["webhook"]) == ("cancelled", PENDING)
    now = registry.parts.now()
    with registry.database.write() as tx:
        mine = list(deliveries.claim(tx, now=now, most=1_000))
        for each in mine:
            deliveries.settle(tx, each, status=204, now=now)
    assert job["id"][BARE:] in {each.job_id for each in mine}
    again = registry.get(f"{CHAT}/{job['id']}", If_None_Match=read.headers["ETag"])
    assert again.status_code == 200
    assert again.get_json()["webhook"] == {"status": "delivered", "attempts": 1}
    assert again.get_json()["status"] == "cancelled"


def test_a_key_that_is_sent_again_means_the_same_job_with_its_webhook(
    registry: Registry, slug: str
) -> None:
    body = {**chat_body(f"{slug}/m", background=True), **hooked()}
    first, again = (registry.post(CHAT, body, Idempotency_Key="hooked") for _ in range(2))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    assert again.get_json()["webhook"] == PENDING
    other = {**body, **hooked("https://hooks.test/other")}
    answer = registry.post(CHAT, other, Idempotency_Key="hooked")
    refused(answer, 422, "idempotency_key_reused")


def test_a_response_has_its_webhook_too_under_its_own_name(registry: Registry, slug: str) -> None:
    body = {"model": f"{slug}/m", "input": "x", "background": True, **hooked()}
    answer = registry.post("/v1/responses", body)
    made = answer.get_json()
    assert (answer.status_code, made["webhook"]) == (202, PENDING), answer.text
    assert SECRET.encode() not in answer.data
    path = f"/v1/responses/{made['id']}"
    registry.post(f"{path}/cancel", b"")
    with registry.database.read() as tx:
        kind = tx.execute(
            sa.select(webhook_delivery.c.type).where(
                webhook_delivery.c.job_id == made["id"].removeprefix("resp_")
            )
        )
        assert kind.scalar() == "response.cancelled"
    assert registry.get(path).get_json()["webhook"] == PENDING


@pytest.mark.parametrize(
    ("webhook", "code", "param"),
    [
        ({"url": URL}, "invalid_value", "secret"),
        ({"secret": SECRET}, "invalid_value", "url"),
        ({"url": URL, "secret": SECRET, "events": []}, "unknown_field", "events"),
        ({"url": 5, "secret": SECRET}, "invalid_value", "url"),
        ({"url": URL, "secret": None}, "invalid_value", "secret"),
        ({"url": URL, "secret": SECRET[:-8]}, "invalid_value", "secret"),
        ({"url": URL, "secret": SECRET[6:]}, "invalid_value", "secret"),
        ({"url": "hooks.test/in", "secret": SECRET}, "invalid_value", "url"),
        ({"url": "ftp://hooks.test/", "secret": SECRET}, "invalid_value", "url"),
        ({"url": "https://u:p@hooks.test/", "secret": SECRET}, "invalid_value", "url"),
        ({"url": "http://127.0.0.1:9/", "secret": SECRET}, "invalid_value", "url"),
        ({"url": "http://169.254.169.254/", "secret": SECRET}, "invalid_value", "url"),
        ({"url": "http://[::ffff:a9fe:a9fe]/", "secret": SECRET}, "invalid_value", "url"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_webhook_that_does_not_fit_is_refused_by_its_path_and_repeats_no_secret(
    registry: Registry, slug: str, webhook: dict[str, Any], code: str, param: str
) -> None:
    body = chat_body(f"{slug}/m", background=True, background_options={"webhook": webhook})
    answer = registry.post(CHAT, body, Idempotency_Key=f"{slug}-refused")
    document = refused(answer, 400, code, f"background_options.webhook.{param}")
    assert SECRET[6:] not in answer.text
    assert document["detail"].startswith(("Expected ", "background_options.webhook."))
    assert registry.get(f"{CHAT}?provider={slug}").get_json()["data"] == []


def test_private_addresses_follow_the_allow_list_and_names_are_not_looked_up(
    registry: Registry, slug: str
) -> None:
    for url in ("http://10.1.2.3/in", "http://no-such-name.invalid/in", "http://localhost/in"):
        assert registry.submit(f"{slug}/m", **hooked(url))["webhook"] == PENDING


def test_no_webhook_may_be_written_as_null(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m", background_options={"webhook": None})
    assert job["webhook"] is None


def test_a_request_prints_no_secret() -> None:
    read = ChatReader().read(json.dumps({**chat_body("a/b"), **hooked()}).encode())
    assert read.options.webhook is not None
    assert SECRET not in repr(read)


def test_the_description_tells_of_webhooks(registry: Registry) -> None:
    described = registry.call("GET", "/openapi.json", who="").get_json()
    told = described["webhooks"]["jobEnded"]["post"]
    signed = headers(Secret(SECRET), "evt_1", b"{}", now=1.0)
    assert [one["name"] for one in told["parameters"]] == list(signed)
    schemas = described["components"]["schemas"]
    assert "chat.completion.cancelled" in schemas["WebhookEvent"]["properties"]["type"]["enum"]
    secret = schemas["WebhookOptions"]["properties"]["secret"]
    assert (secret["writeOnly"], schemas["WebhookOptions"]["required"]) == (True, ["url", "secret"])
    shown = schemas["ChatCompletion"]["properties"]["webhook"]
    assert shown["properties"]["status"]["enum"] == ["pending", "delivered", "failed"]
