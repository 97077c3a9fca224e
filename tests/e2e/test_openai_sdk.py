"""The official SDK works unchanged: jobs, and the right exception for each failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.api import TERMINAL, Api
from tests.eventually import eventually
from tests.simulators import Mode, Running, refusing
from tests.system import System

MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(system: System) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{system.url}/v1", api_key=system.admin_key) as made:
        yield made


def test_a_plain_completion(client: openai.OpenAI, api: Api, upstream: Running, name: str) -> None:
    slug = api.add_provider(name, upstream.url)["slug"]
    answer = client.chat.completions.create(
        model=f"{slug}/sim-model", messages=MESSAGES, user="sdk"
    )
    assert answer.choices[0].message.content == "answer to sdk"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10


def test_a_background_job_is_created_and_retrieved(
    client: openai.OpenAI, api: Api, upstream: Running, name: str
) -> None:
    slug = api.add_provider(name, upstream.url)["slug"]
    upstream.hold()
    job: Any = client.chat.completions.create(
        model=f"{slug}/sim-model", messages=MESSAGES, user="sdk", extra_body={"background": True}
    )
    assert (job.status, job.choices) == ("queued", [])
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    upstream.release()

    def ended() -> Any:
        now: Any = client.chat.completions.retrieve(job.id)
        return now if now.status in TERMINAL else None

    done = eventually(ended, 10)
    assert (done.id, done.status) == (job.id, "completed")
    assert done.choices[0].message.content == "answer to sdk"


def test_models_are_listed(client: openai.OpenAI, api: Api, upstream: Running, name: str) -> None:
    provider = api.add_provider(name, upstream.url)
    api.discovered(provider["id"], "ok", 5)
    assert f"{provider['slug']}/sim-model" in [model.id for model in client.models.list()]


def test_an_unknown_id_raises_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.retrieve("chatcmpl-01J00000000000000000000000")
    assert caught.value.code == "not_found"


def test_a_wrong_key_raises_authentication_error(system: System) -> None:
    with (
        openai.OpenAI(base_url=f"{system.url}/v1", api_key="dgm_wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.models.list()
    assert caught.value.code == "invalid_api_key"


def test_an_unknown_model_raises_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody-lists-this", messages=MESSAGES)
    assert caught.value.code == "model_not_found"


def test_a_wrong_value_raises_bad_request_with_its_path(client: openai.OpenAI) -> None:
    body = {"background_options": {"on_interrupt": "maybe"}, "background": True}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="a/b", messages=MESSAGES, extra_body=body)
    assert (caught.value.code, caught.value.param) == (
        "invalid_value",
        "background_options.on_interrupt",
    )


@pytest.mark.parametrize(
    ("mode", "raised", "code"),
    [
        (Mode.RATE_LIMITED, openai.RateLimitError, "upstream_rate_limited"),
        (Mode.WRONG_KEY, openai.InternalServerError, "upstream_authentication_failed"),
        (Mode.LOADING, openai.InternalServerError, "upstream_loading"),
        (Mode.SERVER_ERROR, openai.InternalServerError, "upstream_server_error"),
    ],
)
def test_an_upstream_failure_raises_once_and_is_not_retried_by_the_sdk(
    client: openai.OpenAI,
    api: Api,
    upstream: Running,
    name: str,
    mode: Mode,
    raised: type[openai.APIStatusError],
    code: str,
) -> None:
    upstream.set_mode(mode, "chat")
    slug = api.add_provider(name, upstream.url)["slug"]
    with pytest.raises(raised) as caught:
        client.chat.completions.create(model=f"{slug}/sim-model", messages=MESSAGES, user="once")
    assert caught.value.code == code
    tries = 3 if mode in (Mode.RATE_LIMITED, Mode.LOADING) else 1
    assert 1 <= upstream.calls()["once"].begun <= tries


def test_a_dead_host_raises_internal_server_error(
    client: openai.OpenAI, api: Api, name: str
) -> None:
    with refusing() as url:
        slug = api.add_provider(name, url)["slug"]
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model=f"{slug}/sim-model", messages=MESSAGES)
    assert caught.value.code == "upstream_unreachable"
    assert caught.value.status_code == 502
