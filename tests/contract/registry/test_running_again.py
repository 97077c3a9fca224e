"""A job run again from its page: all that was asked for goes along, secrets unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.registry.chat.jobs import Jobs
from services.registry.chat.request import ChatReader
from services.registry.chat.submission import Submission
from shared import ids, webhooks
from shared.store import jobs
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry, chat_body, refused

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = {"url": "https://10.0.0.9/told", "secret": SECRET}


@pytest.fixture
def admin(registry: Registry) -> Browser:
    return Browser(registry).sign_in("admin")


@pytest.fixture
def ann(registry: Registry) -> Browser:
    return Browser(registry).sign_in("ann")


def submitted(registry: Registry, body: dict[str, Any]) -> str:
    """The id of a job of ann's whose answer nobody reads, so that no test waits for one."""
    chat = ChatReader().read(json.dumps(body).encode())
    caller = registry.parts.authenticator.caller_with(registry.keys["ann"])
    new = Submission(registry.parts).submit(ids.new(), chat, caller, request_id=None)
    return ids.COMPLETION + new.seen[0].id


def again(browser: Browser, job_id: str, **headers: str) -> str:
    """The id of the new job."""
    answer = browser.call("POST", f"/jobs/{job_id}/again", **headers)
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    return answer.headers["Location"].removeprefix("/jobs/")


def asked(registry: Registry, job_id: str) -> dict[str, Any]:
    """What a job was submitted with, opened."""
    bare, caller = job_id.removeprefix(ids.COMPLETION), caller_of(registry)
    with registry.database.read() as tx:
        job, sent = jobs.get(tx, bare, owner=None), jobs.sent_of(tx, bare)
    assert job is not None
    assert sent is not None
    hook = sent.webhook_sealed and webhooks.unpacked(
        registry.parts.sealer.open(
            sent.webhook_sealed, table=jobs.TABLE, row=bare, column=jobs.WEBHOOK
        )
    )
    return {
        "body": Jobs(registry.parts).request(job_id, caller),
        "webhook": hook and {"url": hook.url, "secret": hook.secret.reveal()},
        "timeout": round(job.deadline - job.created_at),
        "route": sent.route,
        "on_interrupt": sent.on_interrupt,
        "include_usage": sent.include_usage,
        **{name: getattr(job, name) for name in ("model", "metadata", "service_tier", "store")},
        **{name: getattr(job, name) for name in ("background", "on_unavailable", "owner")},
    }


def caller_of(registry: Registry) -> Any:
    return registry.parts.authenticator.caller_with(registry.keys["admin"])


def test_everything_that_was_asked_for_is_asked_for_again(
    registry: Registry, slug: str, ann: Browser
) -> None:
    job = registry.submit(
        f"{slug}/m",
        who="ann",
        seed=5,
        temperature=0.10,
        metadata={"run": "1"},
        service_tier="flex",
        store=False,
        background_options={
            "timeout": 77,
            "on_unavailable": "fail",
            "on_interrupt": "retry",
            "webhook": HOOK,
        },
    )
    new = again(ann, job["id"])
    assert new != job["id"]
    before = asked(registry, job["id"])
    assert before["webhook"] == HOOK
    assert before["on_interrupt"] == "retry"
    assert asked(registry, new) == before


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_runs_again_as_one_with_the_usage_that_was_asked_for(
    registry: Registry, slug: str, ann: Browser, options: dict[str, Any]
) -> None:
    body = chat_body(f"{slug}/m", stream=True, background=True, **options)
    job_id = submitted(registry, body)
    assert asked(registry, again(ann, job_id)) == asked(registry, job_id)


def test_a_foreground_call_runs_again_with_what_is_usual_in_the_background(
    registry: Registry, slug: str, ann: Browser
) -> None:
    body = chat_body(f"{slug}/m", stream=True, background_options={"timeout": 20})
    job_id = submitted(registry, body)
    usual = {"background": True, "store": True, "on_unavailable": "wait"}
    assert asked(registry, again(ann, job_id)) == asked(registry, job_id) | usual


def test_a_response_runs_again_as_a_response(registry: Registry, slug: str, ann: Browser) -> None:
    sent = {"model": f"{slug}/m", "input": "Hello", "instructions": "Be brief", "background": True}
    first = registry.post("/v1/responses", sent, who="ann").get_json()
    bare = first["id"].removeprefix("resp_")
    new = again(ann, f"chatcmpl-{bare}")
    assert asked(registry, new) == asked(registry, f"chatcmpl-{bare}")
    shown = registry.get(f"/v1/responses/resp_{new.removeprefix('chatcmpl-')}", who="ann")
    assert shown.get_json()["instructions"] == "Be brief"


def test_an_admin_who_runs_anothers_job_again_does_not_call_their_webhook_and_is_told_so(
    registry: Registry, slug: str, admin: Browser, ann: Browser
) -> None:
    job = registry.submit(f"{slug}/m", who="ann", background_options={"webhook": HOOK})
    new = asked(registry, again(admin, job["id"]))
    assert (new["owner"], new["webhook"]) == ("admin", None)
    told = "Run again as new leaves it out"
    assert told in admin.get(f"/jobs/{job['id']}").text
    assert told not in ann.get(f"/jobs/{job['id']}").text


def test_a_lost_answer_does_not_make_two_jobs_of_one(
    registry: Registry, slug: str, ann: Browser
) -> None:
    job = registry.submit(f"{slug}/m", who="ann")
    made = {again(ann, job["id"], **{"Idempotency-Key": f"k-{slug}"}) for _ in range(2)}
    assert len(made) == 1


def test_it_is_refused_without_the_pages_token_to_strangers_and_where_the_provider_is_gone(
    registry: Registry, slug: str, ann: Browser
) -> None:
    job = registry.submit(f"{slug}/m", who="ann")
    path, script = f"/jobs/{job['id']}/again", {"Accept": "application/json"}
    assert ann.call("POST", path, **{"X-CSRF-Token": "none"}).status_code == 403
    refused(Browser(registry).call("POST", path, **script), 401, "invalid_api_key")
    ben = Browser(registry).sign_in("ben")
    refused(ben.call("POST", path, **script), 404, "not_found")
    registry.call("DELETE", f"/v1/providers/{slug}")
    refused(ann.call("POST", path, **script), 404, "model_not_found")
