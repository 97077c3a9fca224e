"""Webhooks over real sockets: verified by OpenAI's SDK, tried again, and never in a chat's way."""

from __future__ import annotations

import signal
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from openai import InvalidWebhookSignatureError, OpenAI

from services.chat_worker import deliveries as chat_deliveries
from services.chat_worker.receivers import MOST_TO_ONE
from shared import webhooks
from shared.crypto import Sealer
from shared.domain import JobState
from shared.keyring import Keyring
from shared.store import deliveries
from shared.store.deliveries import CLAIM_SECONDS, PAUSES
from shared.store.migrate import upgrade
from shared.upstream.policy import OutboundPolicy
from tests.contract.job_store.conftest import NOW
from tests.contract.upstream.trap import trap
from tests.eventually import eventually
from tests.integration.chat_worker.conftest import Bench
from tests.integration.chat_worker.post import SHORT, FlakyDatabase, Post, hook
from tests.simulators import Request, Running, running
from tests.webhook_receiver import SECRET, Receiver, unwrapped


@pytest.fixture
def receiver() -> Iterator[Running]:
    """A receiver of webhooks, on a thread of this process."""
    with running(Receiver()) as served:
        yield served


@pytest.fixture
def post(tmp_path: Path, receiver: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """A bench for webhooks alone, without a worker process, whose turns hardly rest."""
    monkeypatch.setattr(chat_deliveries, "LEAST_PAUSE", 0.01)
    database = FlakyDatabase(f"sqlite:///{tmp_path / 'store.db'}")
    with database.write() as tx:
        upgrade(tx)
    post = Post(database, receiver)
    yield post
    database.away = False
    for each in post.started:
        each.stop(0.0)
    database.dispose()


def verify(request: Request) -> None:
    """As OpenAI's SDK does, but for the test's own time."""
    found = OpenAI(api_key="none", webhook_secret=SECRET).webhooks
    found.verify_signature(request.body, dict(request.headers), tolerance=10**10)


def test_a_webhook_is_tried_on_the_schedule_until_it_is_taken_and_says_the_same_each_time(
    post: Post,
) -> None:
    post.start()
    (job_id,) = post.ended("/503")
    times = []
    for number in range(1, len(PAUSES)):
        assert post.tried(job_id, number).webhook_status == "pending"
        times.append(post.due_at(job_id) - post.now)
        post.now = post.due_at(job_id)
        post.started[0].ring()
    assert times == list(PAUSES[1:])
    assert post.tried(job_id, len(PAUSES)).webhook_status == "failed"
    requests = post.receiver.got("/503")
    assert len(requests) == len(PAUSES)
    assert {request.headers["webhook-id"] for request in requests} == {f"evt_{job_id}"}
    assert len({request.body for request in requests}) == 1
    stamps = [int(request.headers["webhook-timestamp"]) - NOW for request in requests]
    assert stamps == [0, 5, 305, 2_105, 9_305, 27_305, 63_305]
    for request in requests:
        verify(request)


@pytest.mark.parametrize(
    ("path", "became", "answered"),
    [
        ("/hook", "delivered", 204),
        ("/206", "delivered", 206),
        ("/410", "failed", 410),
        ("/redirect", "pending", 307),
        ("/404", "pending", 404),
    ],
)
def test_what_is_not_2xx_was_not_taken_and_no_redirect_is_followed(
    post: Post, path: str, became: str, answered: int
) -> None:
    post.start()
    (job_id,) = post.ended(path)
    job = post.tried(job_id)
    assert (job.webhook_status, job.webhook_tries) == (became, 1)
    assert job.state is JobState.COMPLETED
    assert post.deliveries()[job_id].last_status == answered
    assert len(post.receiver.requests) == 1


def test_what_gives_no_answer_was_not_taken(post: Post) -> None:
    post.start(bounds=SHORT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    ids = [
        *post.ended("/hang"),
        *post.ended(post.served.url.replace("http:", "https:") + "/tls"),
        *post.ended("http://127.0.0.1:1/nobody"),
    ]
    for job_id in ids:
        job = post.tried(job_id)
        assert (job.webhook_status, job.webhook_tries) == ("pending", 1)
        assert post.due_at(job_id) == post.now + PAUSES[1]
    assert post.receiver.got("/tls") == []


def test_a_forbidden_address_is_a_failure_without_a_connection(post: Post) -> None:
    post.start(policy=OutboundPolicy())
    with trap("127.0.0.1") as listener:
        (job_id,) = post.ended(f"http://localhost:{listener.port}/hook")
        assert post.tried(job_id).webhook_status == "pending"
        assert listener.connections() == 0


def test_a_slow_receiver_delays_no_other(post: Post) -> None:
    post.start()
    slow = post.ended(post.served.url.replace("127.0.0.1", "localhost") + "/hang", 40)
    post.receiver.wait_for("/hang", MOST_TO_ONE)
    (quick,) = post.ended("/hook")
    assert post.tried(quick, timeout=5).webhook_status == "delivered"
    assert len(post.receiver.got("/hang")) == MOST_TO_ONE
    assert {post.get(job_id).webhook_tries for job_id in slow} == {0}


def test_a_receiver_with_many_gets_all_of_them_once(post: Post) -> None:
    post.start()
    ids = post.ended("/hook", 30)

    def all_taken() -> bool:
        post.now += 0.05
        post.started[0].ring()
        return len(post.receiver.got("/hook")) >= 30

    eventually(all_taken, 15)
    assert all(post.tried(job_id).webhook_status == "delivered" for job_id in ids)
    seen = [request.headers["webhook-id"] for request in post.receiver.got("/hook")]
    assert sorted(seen) == sorted(f"evt_{job_id}" for job_id in ids)


def test_what_was_taken_while_the_database_is_away_is_written_when_it_is_back(post: Post) -> None:
    post.start()
    (job_id,) = post.ended("/held")
    post.receiver.wait_for("/held", 1)
    post.flaky.away = True
    post.receiver.let_go()
    eventually(lambda: post.flaky.refused, 5)
    post.flaky.away = False
    assert post.tried(job_id).webhook_status == "delivered"
    assert len(post.receiver.got("/held")) == 1


def test_a_stop_lets_what_is_under_way_end_and_begins_nothing_more(post: Post) -> None:
    worker = post.start()
    (under_way,) = post.ended("/held")
    post.receiver.wait_for("/held", 1)
    worker.stop_claiming()
    (later,) = post.ended("/hook")
    post.receiver.let_go()
    worker.stop(10)
    assert post.get(under_way).webhook_status == "delivered"
    assert (post.get(later).webhook_tries, post.receiver.got("/hook")) == (0, [])


def test_what_a_worker_left_is_sent_again_when_its_claim_ran_out(post: Post) -> None:
    worker = post.start()
    (job_id,) = post.ended("/held")
    post.receiver.wait_for("/held", 1)
    began = time.monotonic()
    worker.stop(0.1)
    assert time.monotonic() - began < 3
    eventually(lambda: post.receiver.left == 1, 5)
    assert post.get(job_id).webhook_tries == 0
    post.receiver.let_go()
    post.now += CLAIM_SECONDS + 0.1
    post.start()
    post.receiver.wait_for("/held", 2)
    post.receiver.let_go()
    job = post.tried(job_id)
    assert (job.webhook_status, job.webhook_tries) == ("delivered", 1)


def test_a_webhook_that_does_not_open_counts_as_tried(post: Post) -> None:
    post.start()
    post.sealer = Sealer(Keyring.generate())
    (job_id,) = post.ended("/hook")
    assert post.tried(job_id).webhook_status == "pending"
    assert post.receiver.got("/hook") == []


def test_a_worker_tells_each_end_once_as_openais_sdk_expects_it(
    bench: Bench, receiver: Running
) -> None:
    simulator = receiver.simulator
    assert isinstance(simulator, Receiver)
    ids = [bench.submit(route=route) for route in ("chat", "responses") for _ in range(5)]
    fails = bench.submit(sim={"status": 400})
    slow = bench.submit()
    for job_id in (*ids, fails, slow):
        path = "/held" if job_id == slow else "/hook?token=x"
        hook(bench.database, bench.sealer, job_id, receiver.url + path)
    worker = bench.start_worker()
    bench.ended(*ids, fails, slow)
    requests = simulator.wait_for("/hook", len(ids) + 1)
    events = {event["id"]: event for event in map(unwrapped, requests)}
    assert len(events) == len(requests) == len(ids) + 1
    kinds = ["chat.completion.completed"] * 5 + ["response.completed"] * 5
    kinds.append("chat.completion.failed")
    for job_id, kind in zip((*ids, fails), kinds, strict=True):
        prefix = "resp_" if kind.startswith("response") else "chatcmpl-"
        completed_at = bench.job(job_id).completed_at
        assert completed_at is not None
        assert events[f"evt_{job_id}"] == {
            "id": f"evt_{job_id}",
            "object": "event",
            "type": kind,
            "created_at": int(completed_at),
            "data": {"id": prefix + job_id},
        }
    with pytest.raises(InvalidWebhookSignatureError):
        unwrapped(requests[0], webhooks.PREFIX + "A" * 32)
    eventually(lambda: bench.job(ids[0]).webhook_status == "delivered", 5)
    # A stop waits for the one that is under way, and its receiver takes it.
    simulator.wait_for("/held", 1)
    worker.send(signal.SIGTERM)
    eventually(lambda: bench.workers_listed() == 0, 5)
    simulator.let_go()
    assert worker.process.wait(10) == 0
    assert bench.job(slow).webhook_status == deliveries.DELIVERED
    log = worker.log.read_text()
    assert SECRET not in log
    assert "token=x" not in log
