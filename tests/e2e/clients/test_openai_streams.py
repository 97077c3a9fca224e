"""OpenAI's Python package: streams, in the foreground, in the background and resumed."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from openai import Stream
from openai.types.chat import ChatCompletionChunk

from tests.clients.silent_stream import SAID, silent_stream
from tests.e2e.clients.test_openai_jobs import MESSAGES, WEATHER, ended
from tests.simulators import Mode, Running
from tests.simulators.counting import text_of

WORDS = 12


def stream(client: openai.OpenAI, model: str, mark: str = "", **fields: Any) -> Any:
    """A stream of `WORDS` words; `fields` go into the body."""
    sim = {"words": WORDS, **fields.pop("sim", {})}
    return client.chat.completions.create(
        model=model, messages=MESSAGES, user=mark, stream=True, extra_body={"sim": sim, **fields}
    )


def resumed(client: openai.OpenAI, job_id: str, after: int) -> Stream[ChatCompletionChunk]:
    """The rest of a job's stream."""
    return client.get(
        f"/chat/completions/{job_id}",
        cast_to=ChatCompletionChunk,
        stream=True,
        stream_cls=Stream[ChatCompletionChunk],
        options={"params": {"stream": "true", "starting_after": str(after)}},
    )


def numbers(chunks: list[Any]) -> list[int]:
    return [chunk.sequence_number for chunk in chunks]


def text(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI, model: str) -> None:
    chunks = list(stream(client, model))
    assert text(chunks) == text_of(WORDS)
    assert numbers(chunks) == list(range(len(chunks)))
    assert len(chunks) == WORDS + 2  # the role and the end
    assert {(chunk.object, chunk.model) for chunk in chunks} == {("chat.completion.chunk", model)}
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_comes_last_where_it_was_asked_for(client: openai.OpenAI, model: str) -> None:
    chunks = list(stream(client, model, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 10
    assert text(chunks[:-1]) == text_of(WORDS)


def test_the_packages_own_accumulation_of_a_stream_makes_the_completion(
    client: openai.OpenAI, model: str
) -> None:
    with client.chat.completions.stream(
        model=model, messages=MESSAGES, user="helper", tools=[WEATHER]
    ) as events:
        final = events.get_final_completion()
    (choice,) = final.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert (call.id, call.function.name) == ("call-helper-0", "weather")
    assert call.function.arguments == '{"place": "Gare de l\'Est", "days": 3}'


def test_a_failure_before_the_first_chunk_is_raised_by_the_call(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    upstream.set_mode(Mode.RATE_LIMITED, "chat")
    with pytest.raises(openai.RateLimitError) as caught:
        stream(client, model)
    assert caught.value.code == "upstream_rate_limited"


def test_a_failure_behind_the_first_chunk_is_raised_by_the_iteration(
    client: openai.OpenAI, model: str
) -> None:
    chunks: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(stream(client, model, sim={"ending": "cut", "end_after": 3}))
    assert (caught.value.code, caught.value.type) == ("upstream_stream_broken", "upstream_error")
    assert numbers(chunks) == [0, 1, 2]


def test_closing_a_foreground_stream_ends_its_call(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    with stream(client, model, sim={"hold_before": 3}) as chunks:
        next(chunks)
    upstream.wait_until(lambda s: s.closed_early == 1, timeout=4)


def test_a_background_stream_that_was_left_goes_on_and_is_resumed(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    with stream(client, model, background=True, sim={"hold_before": 6}) as began:
        heard = [next(began) for _ in range(4)]
    job_id = heard[0].id
    with resumed(client, job_id, 3) as again:
        heard += [next(again), next(again)]
        assert client.chat.completions.retrieve(job_id).status == "in_progress"  # type: ignore[attr-defined]
        upstream.release()
        heard += list(again)
    assert numbers(heard) == list(range(WORDS + 2))
    done = ended(client, job_id)
    assert text(heard) == done.choices[0].message.content == text_of(WORDS)
    assert upstream.stats().begun == 1


def test_a_job_that_was_not_streamed_is_replayed_as_two_chunks(
    client: openai.OpenAI, model: str
) -> None:
    job: Any = client.chat.completions.create(
        model=model, messages=MESSAGES, user="whole", extra_body={"background": True}
    )
    ended(client, job.id)
    chunks = list(resumed(client, job.id, -1))
    assert numbers(chunks) == [0, 1]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert text(chunks) == "answer to whole"
    assert chunks[1].choices[0].finish_reason == "stop"


def test_the_pings_of_a_silent_stream_are_passed_over() -> None:
    """A blank line behind a ping would crash the package, once it has seen an `id:`."""
    answer = {"content-type": "text/event-stream"}
    silent = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=silent_stream(), headers=answer)
    )
    with openai.OpenAI(
        api_key="none", base_url="http://silent", http_client=httpx2.Client(transport=silent)
    ) as client:
        assert text(list(resumed(client, "any", -1))) == "".join(SAID)
