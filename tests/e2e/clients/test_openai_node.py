"""OpenAI's Node package, the newest and the major before it: one script, judged case by case."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api import Api
from tests.clients.installed import Clients
from tests.clients.silent_stream import SAID, silent_stream
from tests.eventually import eventually
from tests.losing import losing
from tests.simulators import Calls, CountingSimulator, running
from tests.simulators.counting import text_of
from tests.system import System
from tests.webhook_receiver import SECRET, Receiver

ODD = "org/name-7b:q4_K_M"
PACKAGES = ("openai", "openai-6")  # their names in tests/clients/node/package.json
WORDS = 7
CHUNKS = WORDS + 2


@pytest.fixture(scope="module")
def webhook(system: System) -> dict[str, Any]:
    """A webhook as it came, and its secret."""
    receiver = Receiver()
    with running(receiver) as there, running(CountingSimulator()) as sim:
        slug = system.api.add_provider("with webhooks", sim.url)["slug"]
        options = {"webhook": {"url": f"{there.url}/node", "secret": SECRET}}
        system.api.submit(f"{slug}/sim-model", background_options=options)
        (request,) = receiver.wait_for("/node", 1)
    headers = dict(request.headers)
    return {"body": request.body.decode(), "headers": headers, "secret": SECRET}


@pytest.fixture(scope="module")
def runs(
    system: System, clients: Clients, full_queue: str, webhook: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Package → case → what the script told; under "calls" the upstream's count of some."""
    with ThreadPoolExecutor(len(PACKAGES)) as pool:
        found = pool.map(
            lambda package: _run(package, system, clients, full_queue, webhook), PACKAGES
        )
        return dict(zip(PACKAGES, found, strict=True))


@pytest.fixture(params=PACKAGES)
def told(request: pytest.FixtureRequest, runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One package's cases."""
    return runs[request.param]


def _run(
    package: str, system: System, clients: Clients, busy_url: str, webhook: dict[str, Any]
) -> dict[str, Any]:
    api: Api = system.api
    with (
        running(CountingSimulator()) as sim,
        running(CountingSimulator(latency=30)) as slow,
        running(CountingSimulator(every=0.03)) as paced,
        losing(system.url, 1) as way,
    ):
        slug = api.add_provider(package, sim.url, options={"models": [ODD]})["slug"]
        disabled = api.add_provider(f"{package} off", sim.url, enabled=False)["slug"]

        def listed() -> bool:
            return api.http.get(f"/v1/models/{slug}/{ODD}").status_code == 200

        eventually(listed, 5)
        asked = {
            "package": package,
            "url": system.url,
            "busy_url": busy_url,
            "losing_url": way.url,
            "key": system.admin_key,
            "slug": slug,
            "model": f"{slug}/sim-model",
            "odd_model": f"{slug}/{ODD}",
            "slow_model": api.add_provider(f"{package} slow", slow.url)["slug"] + "/sim-model",
            "paced_model": api.add_provider(f"{package} paced", paced.url)["slug"] + "/sim-model",
            "disabled_model": f"{disabled}/sim-model",
            "webhook": webhook,
            "silent_stream": silent_stream().decode(),
        }
        cases = clients.run_node("openai.cjs", asked)
        sim.wait_until(lambda s: s.in_flight == 0, timeout=5)
        return {**cases, "asked": asked, "calls": sim.calls()}


def test_a_plain_completion(told: dict[str, Any]) -> None:
    answer = told["plain"]
    assert answer["choices"][0]["message"]["content"] == "answer to node"
    assert (answer["model"], answer["usage"]["total_tokens"]) == (told["asked"]["model"], 10)


def test_tool_calls(told: dict[str, Any]) -> None:
    (choice,) = told["tools"]["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "weather"


def test_a_stream_says_all_and_ends_with_the_usage(told: dict[str, Any]) -> None:
    stream = told["stream"]
    assert stream["text"] == text_of(WORDS)
    assert stream["numbers"] == list(range(CHUNKS + 1))
    assert stream["last"]["choices"] == []
    assert stream["last"]["usage"]["total_tokens"] == 10


def test_the_packages_own_accumulation_of_a_stream_makes_the_completion(
    told: dict[str, Any],
) -> None:
    (choice,) = told["accumulated stream"]["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (call["id"], choice["finish_reason"]) == ("call-node-0", "tool_calls")
    assert call["function"]["arguments"] == '{"place": "Gare de l\'Est", "days": 3}'


def test_the_pings_of_a_silent_stream_are_passed_over(told: dict[str, Any]) -> None:
    assert told["silent stream"] == "".join(SAID)


def test_a_stream_that_breaks_is_an_error_behind_its_chunks(told: dict[str, Any]) -> None:
    stream = told["failing stream"]
    assert stream["chunks"] == [0, 1, 2]
    assert stream["error"]["kind"] == "APIError"
    assert stream["error"]["code"] == "upstream_stream_broken"


def test_a_background_stream_that_was_left_is_resumed_without_gap_or_duplicate(
    told: dict[str, Any],
) -> None:
    stream = told["left stream"]
    assert stream["numbers"] == list(range(CHUNKS))
    assert stream["text"] == stream["content"] == text_of(WORDS)
    assert told["calls"]["left"].begun == 1


def test_a_job_is_made_and_retrieved(told: dict[str, Any]) -> None:
    made, done = told["job"]["made"], told["job"]["done"]
    assert (made["status"], made["choices"], made["id"]) == ("queued", [], done["id"])
    assert (done["status"], done["metadata"]) == ("completed", {"run": "node"})
    assert done["choices"][0]["message"]["content"] == "answer to job"


def test_a_job_is_cancelled_with_its_call(told: dict[str, Any]) -> None:
    job = told["cancelled job"]
    assert (job["status"], job["error"]["code"]) == ("cancelled", "cancelled")
    calls: Calls = told["calls"].get("cancelled", Calls())
    assert calls.begun == calls.closed_early


def test_lists_page_by_themselves_and_are_narrowed_by_metadata(told: dict[str, Any]) -> None:
    assert len(told["list"]["made"]) == 5
    assert told["list"]["found"] == told["list"]["made"]


def test_a_job_is_changed_read_back_and_deleted(told: dict[str, Any]) -> None:
    changed = told["changed job"]
    assert changed["metadata"] == {"run": "2"}
    assert [message["content"] for message in changed["input"]] == ["Hello"]
    assert changed["deleted"] == {
        "id": changed["id"],
        "object": "chat.completion.deleted",
        "deleted": True,
    }
    assert changed["gone"]["kind"] == "NotFoundError"


def test_models_are_listed_and_retrieved_whatever_their_ids_hold(told: dict[str, Any]) -> None:
    models, asked = told["models"], told["asked"]
    assert {asked["model"], asked["odd_model"]} <= set(models["ids"])
    assert (models["one"]["id"], models["one"]["owned_by"]) == (asked["odd_model"], asked["slug"])
    assert models["content"] == "answer to odd"


@pytest.mark.parametrize(
    ("case", "kind", "code", "type_", "param"),
    [
        ("401", "AuthenticationError", "invalid_api_key", "authentication_error", None),
        ("404", "NotFoundError", "not_found", "invalid_request_error", None),
        ("404 model", "NotFoundError", "model_not_found", "invalid_request_error", "model"),
        (
            "400",
            "BadRequestError",
            "invalid_value",
            "invalid_request_error",
            "background_options.on_interrupt",
        ),
        ("409", "ConflictError", "provider_disabled", "invalid_request_error", "model"),
        (
            "422",
            "UnprocessableEntityError",
            "idempotency_key_reused",
            "invalid_request_error",
            "Idempotency-Key",
        ),
        ("429 queue", "RateLimitError", "queue_full", "rate_limit_error", None),
        ("429 upstream", "RateLimitError", "upstream_rate_limited", "upstream_error", None),
        ("502", "InternalServerError", "upstream_server_error", "upstream_error", None),
        ("504", "InternalServerError", "deadline_exceeded", "server_error", None),
        ("stream", "InternalServerError", "upstream_server_error", "upstream_error", None),
    ],
)
def test_a_failure_is_the_right_error(
    told: dict[str, Any], case: str, kind: str, code: str, type_: str, param: str | None
) -> None:
    error = told["failures"][case]
    assert (error["kind"], error["code"]) == (kind, code)
    assert (error["type"], error["param"]) == (type_, param)
    if case[:3].isdigit():
        assert error["status"] == int(case[:3])
    assert error["message"].startswith(f"{error['status']} ")
    assert error["traced"]
    final = code.startswith("upstream_") or code in ("deadline_exceeded", "provider_disabled")
    assert (error["retry"] == "false") is final


def test_a_failure_that_forbids_it_is_not_repeated(told: dict[str, Any]) -> None:
    assert told["calls"]["once"].begun == 1


def test_a_call_whose_answer_got_lost_is_made_once_and_answered(told: dict[str, Any]) -> None:
    assert told["repeated call"] == {"content": "answer to lost", "replayed": "true"}
    assert told["calls"]["lost"].begun == 1


def test_a_webhook_is_verified_and_names_its_job(told: dict[str, Any]) -> None:
    webhook = told["webhook"]
    assert webhook["event"]["object"] == "event"
    assert webhook["event"]["type"] == "chat.completion.completed"
    assert (webhook["forged"], webhook["job"]) == ("InvalidWebhookSignatureError", "completed")


def test_responses_are_created_run_in_the_background_and_cancelled(told: dict[str, Any]) -> None:
    response = told["response"]
    assert (response["status"], response["output_text"]) == ("completed", "answer to node")
    assert told["response job"] == {
        "made": "queued",
        "job": "completed",
        "text": "answer to rj",
        "gone": "NotFoundError",
    }
    assert told["cancelled response"] == "cancelled"


def test_a_stream_of_events_that_was_left_is_resumed_without_gap_or_duplicate(
    told: dict[str, Any],
) -> None:
    stream = told["response stream"]
    assert stream["numbers"] == list(range(len(stream["numbers"])))
    assert stream["text"] == stream["content"] == "answer to "
    assert stream["last"] == "response.completed"
    assert stream["again"] == stream["numbers"][4:]
    assert stream["final"] == stream["content"]
