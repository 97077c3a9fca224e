"""`langchain-openai` against a running Dragoman: one line of JSON for each case.

Runs in the clients' environment. Standard input: {"url", "key", "model"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

BROKEN = {"sim": {"words": 5, "ending": "cut", "end_after": 3}}


def weather(place: str, days: int) -> str:
    """Tell the weather."""
    return f"{place}: {days} days of sun"


class Trip(BaseModel):
    """A trip."""

    place: str
    days: int


class Chats:
    """Models of one Dragoman, as a program makes them."""

    def __init__(self, url: str, key: str, model: str) -> None:
        self._options = {"base_url": f"{url}/v1", "api_key": key, "model": model}

    def model(self, mark: str, **fields: Any) -> Any:
        return ChatOpenAI(**{**self._options, **fields}, model_kwargs={"user": mark})

    def invoked(self) -> Any:
        answer = self.model("lc").invoke("Hello")
        return {"content": answer.content, "usage": answer.usage_metadata}

    def streamed(self) -> Any:
        first, *rest = self.model("lc", stream_usage=True).stream("Hello")
        for piece in rest:
            first += piece
        return {"content": first.content, "usage": first.usage_metadata, "pieces": 1 + len(rest)}

    def asynchronous(self) -> Any:
        """All in one loop: the models share a client of its connections."""

        async def work() -> Any:
            answers = await self.model("many").abatch(["Hello"] * 5)
            pieces = [piece.content async for piece in self.model("lc").astream("Hello")]
            return {"batch": [answer.content for answer in answers], "stream": "".join(pieces)}

        return asyncio.run(work())

    def called_tools(self) -> Any:
        return self.model("lc").bind_tools([tool(weather)]).invoke("Hello").tool_calls

    def structured(self) -> Any:
        asked = self.model("lc").with_structured_output(Trip, method="function_calling")
        return asked.invoke("Hello").model_dump()

    def responses(self) -> Any:
        """The same over `/v1/responses`."""
        model = self.model("lc", use_responses_api=True)
        first, *rest = model.stream("Hello")
        for piece in rest:
            first += piece
        called = model.bind_tools([tool(weather)]).invoke("Hello").tool_calls
        return {"whole": model.invoke("Hello").text, "stream": first.text, "called": called}

    def background(self) -> Any:
        """A job, by the client that a model holds."""
        completions = self.model("lc").root_client.chat.completions
        job = completions.create(
            model=self._options["model"],
            messages=[{"role": "user", "content": "x"}],
            extra_body={"background": True},
        )
        done = completions.retrieve(job.id, extra_headers={"Prefer": "wait=10"})
        return [job.status, done.status]

    def unknown_model(self) -> Any:
        return failure(lambda: self.model("lc", model="nobody-lists-this").invoke("Hello"))

    def failing(self) -> Any:
        model = self.model("once", extra_body={"sim": {"status": 500}})
        return failure(lambda: model.invoke("Hello"))

    def breaking(self) -> Any:
        return failure(lambda: list(self.model("lc", extra_body=BROKEN).stream("Hello")))


def failure(work: Callable[[], Any]) -> Any:
    """OpenAI's class of what is raised, of which langchain has its own kinds, and its code."""
    try:
        work()
    except openai.APIError as error:
        kinds = [kind for kind in type(error).__mro__ if kind.__module__.startswith("openai")]
        return [kinds[0].__name__, error.code]
    return None


def main() -> None:
    chats = Chats(**json.load(sys.stdin))
    for case in (name for name in vars(Chats) if not name.startswith("_") and name != "model"):
        print(json.dumps({"case": case, "told": getattr(chats, case)()}), flush=True)


if __name__ == "__main__":
    main()
