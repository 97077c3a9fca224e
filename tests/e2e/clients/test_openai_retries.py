"""OpenAI's Python package repeats what got lost: with a key that costs one call."""

from __future__ import annotations

from typing import Any

import openai

from tests.e2e.clients.test_openai_jobs import MESSAGES
from tests.losing import losing
from tests.simulators import Running
from tests.simulators.counting import text_of
from tests.system import System


def test_a_call_whose_answers_get_lost_is_made_once_and_answered(
    system: System, client: openai.OpenAI, model: str, upstream: Running, name: str
) -> None:
    with losing(system.url, 2) as way:
        answer = client.with_options(base_url=f"{way.url}/v1").chat.completions.with_raw_response
        raw = answer.create(
            model=model, messages=MESSAGES, user="once", extra_headers={"Idempotency-Key": name}
        )
    assert raw.retries_taken == 2
    assert raw.headers["Idempotent-Replayed"] == "true"
    assert raw.parse().choices[0].message.content == "answer to once"
    assert upstream.calls()["once"].begun == 1


def test_a_job_whose_acceptance_gets_lost_is_accepted_once(
    system: System, client: openai.OpenAI, model: str, name: str
) -> None:
    with losing(system.url, 1) as way:
        job: Any = client.with_options(base_url=f"{way.url}/v1").chat.completions.create(
            model=model,
            messages=MESSAGES,
            extra_body={"background": True},
            extra_headers={"Idempotency-Key": name},
        )
    assert [one.id for one in client.chat.completions.list(model=model)] == [job.id]


def test_a_stream_whose_beginning_gets_lost_is_played_again_from_its_first_chunk(
    system: System, client: openai.OpenAI, model: str, upstream: Running, name: str
) -> None:
    with losing(system.url, 1) as way:
        chunks = client.with_options(base_url=f"{way.url}/v1").chat.completions.create(
            model=model,
            messages=MESSAGES,
            user="stream",
            stream=True,
            extra_body={"sim": {"words": 5, "every": 0.02}},
            extra_headers={"Idempotency-Key": name},
        )
        heard = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert heard == text_of(5)
    assert upstream.calls()["stream"].begun == 1
