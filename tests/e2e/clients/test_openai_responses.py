"""OpenAI's Python package: responses, whole, in the background, streamed and resumed."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.eventually import eventually
from tests.simulators import Mode, Running

TOOL: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    "strict": False,
}


def ended(client: openai.OpenAI, response_id: str) -> Any:
    def look() -> Any:
        now = client.responses.retrieve(response_id)
        return now if now.status not in ("queued", "in_progress") else None

    return eventually(look, 10)


def test_a_response_is_created(client: openai.OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="Hello", instructions="Be kind", user="r1")
    assert (made.object, made.status, made.output_text) == ("response", "completed", "answer to r1")
    assert made.usage is not None
    assert made.usage.total_tokens == 10
    assert client.responses.retrieve(made.id).output == made.output


def test_a_background_response_is_retrieved_and_deleted(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    upstream.hold()
    made = client.responses.create(model=model, input="Hello", user="r2", background=True)
    assert (made.status, made.background, made.output) == ("queued", True, [])
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    upstream.release()
    assert ended(client, made.id).output_text == "answer to r2"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_background_response_is_cancelled(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    upstream.hold()
    made = client.responses.create(model=model, input="Hello", user="r3", background=True)
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    assert client.responses.cancel(made.id).status == "cancelled"
    upstream.wait_until(lambda s: s.in_flight == 0, timeout=3)
    upstream.release()
    assert client.responses.retrieve(made.id).status == "cancelled"


def test_a_foreground_response_cannot_be_cancelled(client: openai.OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="Hello")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.cancel(made.id)
    assert caught.value.param == "id"


def test_functions_are_called_and_their_output_goes_back(client: openai.OpenAI, model: str) -> None:
    asked: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    first = client.responses.create(model=model, input=asked, tools=[TOOL], user="r4")
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, call.call_id) == ("weather", "call-r4-0")
    asked += first.output
    asked.append({"type": "function_call_output", "call_id": call.call_id, "output": "Fine."})
    assert client.responses.create(model=model, input=asked, user="r4").output_text


def test_the_packages_own_accumulation_of_events_makes_the_response(
    client: openai.OpenAI, model: str
) -> None:
    with client.responses.stream(model=model, input="Hello", user="r5") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == "answer to r5"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == "answer to r5"
    with client.responses.stream(model=model, input="Hello", user="r6", tools=[TOOL]) as stream:
        (call,) = stream.get_final_response().output
    assert call.type == "function_call"
    assert call.arguments == '{"place": "Gare de l\'Est", "days": 3}'


def test_a_background_stream_is_resumed_anywhere_while_running_and_afterwards(
    client: openai.OpenAI, model: str, upstream: Running, second_registry: str
) -> None:
    upstream.hold()
    stream = client.responses.create(
        model=model, input="Hello", user="r7", background=True, stream=True
    )
    first: Any = next(iter(stream))
    assert (first.type, first.sequence_number) == ("response.created", 0)
    stream.close()  # a background job never notices
    response_id = first.response.id
    running = client.responses.retrieve(response_id, stream=True, starting_after=0)
    upstream.release()
    rest = list(running)
    assert rest[-1].type == "response.completed"
    assert [event.sequence_number for event in rest] == list(range(1, len(rest) + 1))
    with openai.OpenAI(base_url=f"{second_registry}/v1", api_key=client.api_key) as other:
        for number in range(len(rest) + 1):
            again = other.responses.retrieve(response_id, stream=True, starting_after=number)
            assert list(again) == rest[number:]
    with client.responses.stream(response_id=response_id, starting_after=4) as helper:
        events = list(helper)
        assert helper.get_final_response().output_text == "answer to r7"
    assert events[0].sequence_number == 5


def test_a_failed_response_is_told_by_the_package(
    client: openai.OpenAI, model: str, upstream: Running
) -> None:
    upstream.set_mode(Mode.SERVER_ERROR, "chat")
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model=model, input="Hello", stream=True)
    assert caught.value.code == "upstream_server_error"
    made = client.responses.create(model=model, input="Hello", background=True, stream=True)
    last: Any = list(made)[-1]
    assert last.type == "response.failed"
    assert last.response.error.code == "upstream_server_error"


def test_what_cannot_be_done_raises_bad_request_with_its_path(
    client: openai.OpenAI, model: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="Hello", previous_response_id="resp_1")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "previous_response_id")
