"""OpenAI's Python package verifies the webhooks of a running system."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import openai
import pytest
from werkzeug.serving import make_server

from tests.documented import example
from tests.e2e.clients.test_openai_jobs import ended, submit
from tests.eventually import eventually
from tests.simulators import Mode, Running, running
from tests.system import System
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


@pytest.fixture
def documented(system: System) -> Iterator[str]:
    """The URL of the receiver that docs/webhooks.md has, as it stands there."""
    code = example("docs/webhooks.md", "python", "@app.post", url=system.url)
    there: dict[str, Any] = {"__name__": __name__, "KEY": system.admin_key, "SECRET": SECRET}
    exec(compile(code, "docs/webhooks.md", "exec"), there)
    server = make_server("127.0.0.1", 0, there["app"])
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dragoman"
    server.shutdown()
    thread.join()
    server.server_close()
    there["client"].close()


@pytest.mark.parametrize(
    ("mode", "status"), [(Mode.NORMAL, "completed"), (Mode.SERVER_ERROR, "failed")]
)
def test_the_documented_receiver_finds_chats_and_responses(
    client: openai.OpenAI,
    model: str,
    upstream: Running,
    documented: str,
    mode: Mode,
    status: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upstream.simulator.modes["chat"] = mode
    options = {"webhook": {"url": documented, "secret": SECRET}}
    chat = submit(client, model, "c", background_options=options)
    response = client.responses.create(
        model=model, input="r", background=True, extra_body={"background_options": options}
    )

    def delivered() -> bool:
        seen: list[Any] = [
            client.chat.completions.retrieve(chat.id),
            client.responses.retrieve(response.id),
        ]
        return [job.webhook for job in seen] == [{"status": "delivered", "attempts": 1}] * 2

    eventually(delivered, 10)
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == [f"{chat.id} {status}", f"{response.id} {status}"]
