"""OpenAI's Python package: every failure arrives as the right exception, and is tried once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.api import Api
from tests.e2e.clients.test_openai_jobs import MESSAGES, submit
from tests.simulators import Mode, Running, refusing
from tests.system import System

Break = Callable[[Running], None]


def raised(
    wanted: type[openai.APIStatusError], call: Callable[..., Any], *values: Any, **named: Any
) -> openai.APIStatusError:
    """What the call raises, which must be told whole and be final."""
    with pytest.raises(wanted) as caught:
        call(*values, **named)
    error = caught.value
    assert type(error) is wanted
    assert error.request_id == error.response.headers["x-request-id"]
    assert isinstance(error.body, dict)
    assert error.body["message"] in str(error)
    assert error.request.headers["x-stainless-retry-count"] == "0"
    return error


def told(error: openai.APIStatusError) -> tuple[str | None, str | None, str | None]:
    return error.code, error.type, error.param


def test_a_wrong_key(system: System) -> None:
    with openai.OpenAI(base_url=f"{system.url}/v1", api_key="dgm_wrong") as stranger:
        error = raised(openai.AuthenticationError, stranger.models.list)
    assert told(error) == ("invalid_api_key", "authentication_error", None)
    assert error.response.headers["www-authenticate"].startswith("Bearer")


def test_an_unknown_id(client: openai.OpenAI) -> None:
    unknown = "chatcmpl-01J00000000000000000000000"
    error = raised(openai.NotFoundError, client.chat.completions.retrieve, unknown)
    assert told(error) == ("not_found", "invalid_request_error", None)


def test_an_unknown_model(client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    error = raised(openai.NotFoundError, create, model="nobody-lists-this", messages=MESSAGES)
    assert told(error) == ("model_not_found", "invalid_request_error", "model")
    error = raised(openai.NotFoundError, client.models.retrieve, "no/such-model")
    assert error.code == "model_not_found"


def test_a_wrong_value(client: openai.OpenAI) -> None:
    body = {"background_options": {"on_interrupt": "maybe"}, "background": True}
    error = raised(openai.BadRequestError, submit, client, "a/b", "", **body)
    path = "background_options.on_interrupt"
    assert told(error) == ("invalid_value", "invalid_request_error", path)


def test_a_member_who_may_not(member: Callable[[str], openai.OpenAI]) -> None:
    ann = member("ann")
    error = raised(
        openai.PermissionDeniedError, ann.post, "/keys", body={"name": "x"}, cast_to=object
    )
    assert told(error) == ("insufficient_scope", "permission_error", None)


def test_a_provider_that_takes_no_jobs(
    client: openai.OpenAI, api: Api, upstream: Running, name: str
) -> None:
    slug = api.add_provider(name, upstream.url, enabled=False)["slug"]
    error = raised(openai.ConflictError, submit, client, f"{slug}/m", "")
    assert told(error) == ("provider_disabled", "invalid_request_error", "model")
    assert error.response.headers["x-should-retry"] == "false"


def test_a_key_that_comes_with_another_body(client: openai.OpenAI, model: str, name: str) -> None:
    key = {"Idempotency-Key": name}
    create = client.chat.completions.create
    create(model=model, messages=MESSAGES, extra_headers=key)
    error = raised(
        openai.UnprocessableEntityError,
        create,
        model=model,
        messages=MESSAGES,
        user="other",
        extra_headers=key,
    )
    assert told(error) == ("idempotency_key_reused", "invalid_request_error", "Idempotency-Key")


def test_a_full_queue(client: openai.OpenAI, full_queue: str, model: str) -> None:
    busy = client.with_options(base_url=f"{full_queue}/v1", max_retries=0)
    error = raised(openai.RateLimitError, submit, busy, model, "refused")
    assert told(error) == ("queue_full", "rate_limit_error", None)
    assert 1 <= int(error.response.headers["retry-after"]) <= 120


@pytest.mark.parametrize(
    ("mode", "wanted", "status", "code"),
    [
        (Mode.RATE_LIMITED, openai.RateLimitError, 429, "upstream_rate_limited"),
        (Mode.WRONG_KEY, openai.InternalServerError, 502, "upstream_authentication_failed"),
        (Mode.LOADING, openai.InternalServerError, 503, "upstream_loading"),
        (Mode.SERVER_ERROR, openai.InternalServerError, 502, "upstream_server_error"),
        (Mode.ROUTE_MISSING, openai.InternalServerError, 502, "upstream_route_missing"),
        (Mode.HTML, openai.InternalServerError, 502, "upstream_invalid_answer"),
        (Mode.ERROR_IN_200, openai.InternalServerError, 502, "upstream_refused"),
    ],
)
def test_an_upstream_that_fails(
    client: openai.OpenAI,
    model: str,
    upstream: Running,
    mode: Mode,
    wanted: type[openai.APIStatusError],
    status: int,
    code: str,
) -> None:
    upstream.set_mode(mode, "chat")
    create = client.chat.completions.create
    error = raised(wanted, create, model=model, messages=MESSAGES, user="once")
    assert (error.status_code, *told(error)) == (status, code, "upstream_error", None)
    assert error.response.headers["x-should-retry"] == "false"
    assert isinstance(error.body, dict)
    assert error.body["may_have_been_billed"] in (True, False)
    tries = 3 if mode in (Mode.RATE_LIMITED, Mode.LOADING) else 1
    assert 1 <= upstream.calls()["once"].begun <= tries


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (400, openai.BadRequestError),
        (413, openai.APIStatusError),
        (402, openai.InternalServerError),
    ],
)
def test_an_upstream_that_refuses(
    client: openai.OpenAI, model: str, status: int, wanted: type[openai.APIStatusError]
) -> None:
    asked = {"sim": {"status": status}}
    create = client.chat.completions.create
    error = raised(wanted, create, model=model, messages=MESSAGES, extra_body=asked)
    shown = status if status != 402 else 502
    assert (error.status_code, error.code) == (shown, "upstream_refused")


def test_a_dead_host(client: openai.OpenAI, api: Api, name: str) -> None:
    create = client.chat.completions.create
    with refusing() as url:
        slug = api.add_provider(name, url)["slug"]
        error = raised(openai.InternalServerError, create, model=f"{slug}/m", messages=MESSAGES)
    assert (error.status_code, *told(error)) == (
        502,
        "upstream_unreachable",
        "upstream_error",
        None,
    )


def test_an_upstream_that_is_too_slow(
    client: openai.OpenAI, api: Api, upstream: Running, name: str
) -> None:
    options = {"options": {"first_byte_timeout": 0.2}}
    slug = api.add_provider(name, upstream.url, **options)["slug"]
    upstream.set_mode(Mode.SILENT, "chat")
    create = client.chat.completions.create
    error = raised(openai.InternalServerError, create, model=f"{slug}/m", messages=MESSAGES)
    assert (error.status_code, *told(error)) == (504, "upstream_timeout", "upstream_error", None)
    assert isinstance(error.body, dict)
    assert error.body["phase"] == "first_byte"


def test_a_deadline_that_is_over(client: openai.OpenAI, model: str) -> None:
    asked = {"sim": {"latency": 20}, "background_options": {"timeout": 0.3}}
    create = client.chat.completions.create
    error = raised(
        openai.InternalServerError, create, model=model, messages=MESSAGES, extra_body=asked
    )
    assert (error.status_code, *told(error)) == (504, "deadline_exceeded", "server_error", None)
