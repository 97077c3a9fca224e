"""Streams that are silent for long, by `openai` and `langchain-openai`: one line of JSON each.

Runs in the clients' environment. Standard input: {"url", "key", "model", "slow_model", "pause"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
from langchain_openai import ChatOpenAI
from openai import Stream
from openai.types.chat import ChatCompletionChunk


def text(chunks: Iterable[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def main() -> None:
    asked = json.load(sys.stdin)
    options = {"base_url": f"{asked['url']}/v1", "api_key": asked["key"], "max_retries": 0}
    client, slow = openai.OpenAI(**options), asked["slow_model"]
    sim = {"words": 6, "pause": asked["pause"], "pause_before": 3}
    messages: Any = [{"role": "user", "content": "Hello"}]

    def begun(**fields: Any) -> Any:
        body = {"sim": sim, **fields}
        return client.chat.completions.create(
            model=asked["model"], messages=messages, stream=True, extra_body=body
        )

    def resumed() -> str:
        with begun(background=True) as stream:
            job_id = next(stream).id
        rest = client.get(
            f"/chat/completions/{job_id}",
            cast_to=ChatCompletionChunk,
            stream=True,
            stream_cls=Stream[ChatCompletionChunk],
            options={"params": {"stream": "true", "starting_after": "0"}},
        )
        return text(rest)

    def late_response() -> str:
        with client.responses.stream(model=slow, input="Hello") as events:
            return events.get_final_response().output_text

    def late() -> str:
        return text(client.chat.completions.create(model=slow, messages=messages, stream=True))

    def langchain() -> str:
        model: Any = ChatOpenAI(model=asked["model"], extra_body={"sim": sim}, **options)
        return "".join(piece.content for piece in model.stream("Hello"))

    cases: dict[str, Callable[[], str]] = {
        "stream": lambda: text(begun()),
        "resumed stream": resumed,
        "late stream": late,
        "late response": late_response,
        "langchain": langchain,
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        begun_cases = {name: pool.submit(work) for name, work in cases.items()}
        for name, case in begun_cases.items():
            problem = case.exception()
            told = f"{type(problem).__name__}: {problem}" if problem else case.result()
            print(json.dumps({"case": name, "told": told}), flush=True)


if __name__ == "__main__":
    main()
