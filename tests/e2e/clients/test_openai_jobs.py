"""OpenAI's Python package: chats, and jobs by the methods that it has for stored completions."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.api import TERMINAL
from tests.e2e.clients.conftest import NewClient
from tests.eventually import eventually
from tests.simulators import Running
from tests.system import System

MESSAGES: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def submit(client: openai.OpenAI, model: str, mark: str, **fields: Any) -> Any:
    """A background job."""
    body = {"background": True, **fields}
    return client.chat.completions.create(
        model=model, messages=MESSAGES, user=mark, extra_body=body
    )


def ended(client: openai.OpenAI, job_id: str) -> Any:
    """The job, once it is terminal."""
    waiting = {"Prefer": "wait=10"}
    job: Any = client.chat.completions.retrieve(job_id, extra_headers=waiting)
    assert job.status in TERMINAL
    return job


def test_a_plain_completion(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=MESSAGES, user="sdk")
    assert answer.choices[0].message.content == "answer to sdk"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10
    assert (answer.object, answer.model) == ("chat.completion", model)


def test_a_plain_completion_of_the_asynchronous_client(system: System, model: str) -> None:
    async def main() -> str | None:
        async with openai.AsyncOpenAI(
            base_url=f"{system.url}/v1", api_key=system.admin_key
        ) as client:
            answer = await client.chat.completions.create(
                model=model, messages=MESSAGES, user="async"
            )
            return answer.choices[0].message.content

    assert asyncio.run(main()) == "answer to async"


def test_tool_calls_arrive_as_the_upstream_made_them(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, user="sdk", tools=[WEATHER]
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.id) == ("weather", "call-sdk-0")


def test_a_background_job_is_created_and_retrieved(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    upstream.hold()
    job = submit(client, model, "sdk")
    assert (job.status, job.choices) == ("queued", [])
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    now: Any = client.chat.completions.retrieve(job.id)
    assert now.status == "in_progress"
    upstream.release()
    done = ended(client, job.id)
    assert (done.id, done.status) == (job.id, "completed")
    assert done.choices[0].message.content == "answer to sdk"


def test_a_running_job_is_cancelled_and_its_call_with_it(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    upstream.hold()
    job = submit(client, model, "cancelled")
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    cancelled: Any = client.post(f"/chat/completions/{job.id}/cancel", cast_to=ChatCompletion)
    assert (cancelled.id, cancelled.status) == (job.id, "cancelled")
    assert cancelled.error["code"] == "cancelled"
    upstream.wait_until(lambda s: s.closed_early == 1, timeout=2)
    again: Any = client.post(f"/chat/completions/{job.id}/cancel", cast_to=ChatCompletion)
    assert again == cancelled


def test_lists_page_by_themselves_and_are_narrowed_by_metadata(
    client: openai.OpenAI, model: str
) -> None:
    run = {"run": model}
    made = [submit(client, model, f"n{n}", metadata=run).id for n in range(5)]
    submit(client, model, "other", metadata={"run": "other"})
    pages = client.chat.completions.list(model=model, metadata=run, limit=2)
    assert len(pages.data) == 2
    assert [job.id for job in pages] == made
    newest = client.chat.completions.list(model=model, metadata=run, limit=2, order="desc")
    assert [job.id for job in newest] == made[::-1]


def test_a_plain_completion_is_listed_only_where_it_was_stored(
    client: openai.OpenAI, model: str
) -> None:
    client.chat.completions.create(model=model, messages=MESSAGES)
    kept = client.chat.completions.create(model=model, messages=MESSAGES, store=True)
    assert [job.id for job in client.chat.completions.list(model=model)] == [kept.id]


def test_metadata_is_updated(client: openai.OpenAI, model: str) -> None:
    job = submit(client, model, "sdk", metadata={"run": "1"})
    updated = client.chat.completions.update(job.id, metadata={"run": "2", "kept": "yes"})
    assert updated.metadata == {"run": "2", "kept": "yes"}
    assert client.chat.completions.retrieve(job.id).metadata == updated.metadata


def test_the_input_is_read_back_page_by_page(client: openai.OpenAI, model: str) -> None:
    asked: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "World"},
    ]
    job: Any = client.chat.completions.create(
        model=model, messages=asked, extra_body={"background": True}
    )
    pages = client.chat.completions.messages.list(job.id, limit=2)
    assert len(pages.data) == 2
    read = list(pages)
    assert [message.role for message in read] == ["system", "user", "user"]
    assert read[2].content == "World"
    assert read[1].content_parts is not None
    assert len({message.id for message in read}) == 3


def test_a_job_is_deleted_and_gone(client: openai.OpenAI, model: str, upstream: Running) -> None:
    upstream.hold()
    job = submit(client, model, "deleted")
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    deleted = client.chat.completions.delete(job.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (
        job.id,
        "chat.completion.deleted",
        True,
    )
    upstream.wait_until(lambda s: s.closed_early == 1, timeout=2)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(job.id)


def test_models_are_listed_and_retrieved_whatever_their_ids_hold(
    client: openai.OpenAI, api: Any, upstream: Running, name: str
) -> None:
    odd = "org/name-7b:q4_K_M"
    fields = {"options": {"models": [odd]}}
    slug = api.add_provider(name, upstream.url, **fields)["slug"]

    def listed() -> bool:
        return f"{slug}/{odd}" in [model.id for model in client.models.list()]

    eventually(listed, 5)
    found = client.models.retrieve(f"{slug}/{odd}")
    assert (found.id, found.object, found.owned_by) == (f"{slug}/{odd}", "model", slug)
    answer = client.chat.completions.create(model=found.id, messages=MESSAGES, user="odd")
    assert answer.choices[0].message.content == "answer to odd"


def test_owners_do_not_meet(member: NewClient, model: str) -> None:
    ann, ben = member("ann"), member("ben")
    job = submit(ann, model, "ann")
    assert [one.id for one in ann.chat.completions.list(model=model)] == [job.id]
    assert list(ben.chat.completions.list(model=model)) == []
    with pytest.raises(openai.NotFoundError):
        ben.chat.completions.retrieve(job.id)
