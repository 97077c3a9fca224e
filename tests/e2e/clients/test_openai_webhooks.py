"""OpenAI's Python package verifies the webhooks of a running system."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.clients.test_openai_jobs import ended, submit
from tests.eventually import eventually
from tests.simulators import Running, running
from tests.webhook_receiver import SECRET, Receiver, unwrapped


@pytest.fixture
def receiver() -> Iterator[Running]:
    """Who gets the webhooks."""
    with running(Receiver()) as made:
        yield made


def got(receiver: Running, path: str) -> Any:
    """The one webhook that came there."""
    assert isinstance(receiver.simulator, Receiver)
    (request,) = receiver.simulator.wait_for(path, 1)
    return request


@pytest.mark.parametrize(
    ("status", "type_"),
    [(200, "chat.completion.completed"), (400, "chat.completion.failed")],
)
def test_a_webhook_names_the_job_and_how_it_ended_and_nothing_else(
    client: openai.OpenAI, model: str, receiver: Running, status: int, type_: str
) -> None:
    options = {"webhook": {"url": f"{receiver.url}/mine", "secret": SECRET}}
    made = submit(client, model, "w", background_options=options, sim={"status": status})
    request = got(receiver, "/mine")
    event = unwrapped(request)
    assert (event["object"], event["type"]) == ("event", type_)
    assert event["id"] == request.headers["webhook-id"]
    assert abs(event["created_at"] - time.time()) < 60
    assert event["data"] == {"id": made.id}
    assert set(event) == {"id", "object", "type", "created_at", "data"}

    def delivered() -> bool:
        now: Any = client.chat.completions.retrieve(made.id)
        return bool(now.webhook == {"status": "delivered", "attempts": 1})

    eventually(delivered, 5)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(request.body + b" ", dict(request.headers), secret=SECRET)


def test_a_receiver_that_fails_changes_nothing_about_its_job(
    client: openai.OpenAI, model: str, receiver: Running
) -> None:
    options = {"webhook": {"url": f"{receiver.url}/503", "secret": SECRET}}
    made = submit(client, model, "w", background_options=options)
    got(receiver, "/503")
    job = ended(client, made.id)
    assert (job.status, job.webhook["status"]) == ("completed", "pending")
