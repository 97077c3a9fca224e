"""Examples of the calls: bodies for the OpenAPI document, and the commands that send them.

A contract test sends them all.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.registry.openapi.headers import CHAT, PROVIDERS, RESPONSES, Operation, operations

SERVER: Final = "http://localhost:8642"
KEY: Final = '-H "Authorization: Bearer $DRAGOMAN_API_KEY"'
# What stands for the parameters of paths; `job_id` is a response's where the path is.
PLACES: Final[Mapping[str, str]] = {
    "reference": "acme",
    "model": "acme/llama3:latest",
    "job_id": "chatcmpl-01KAQ3V5S0R7Z8W2X4C6B9N1M3",
    "check_id": "chk_01KAQ3V5S0R7Z8W2X4C6B9N1M3",
    "key_id": "key_01KAQ3V5S0R7Z8W2X4C6B9N1M3",
}
_HELLO: Final = [{"role": "user", "content": "Hello!"}]
_LLAMA: Final = {"model": "acme/llama3:latest", "messages": _HELLO}
_CREATE: Final = """\
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8642/v1", api_key=KEY)
job = client.chat.completions.create(
    model="acme/llama3:latest",
    messages=[{"role": "user", "content": "Hello!"}],
    extra_body={"background": True},
)
print(job.id, job.status)"""
_RETRIEVE: Final = """\
job = client.chat.completions.retrieve(job.id, extra_headers={"Prefer": "wait=30"})
print(job.choices[0].message.content if job.choices else job.error)"""


@dataclass(frozen=True, slots=True)
class Example:
    """One way to make a call."""

    title: str
    body: Any = None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


EXAMPLES: Final[Mapping[Operation, tuple[Example, ...]]] = {
    ("post", PROVIDERS): (
        Example("A server without a key", {"name": "Acme", "endpoint": "localhost:11434"}),
        Example(
            "With a key and options",
            {
                "name": "Groq",
                "endpoint": "https://api.groq.com/openai/v1",
                "api_key": "gsk_0123456789abcdef",
                "tags": ["cloud"],
                "options": {"max_concurrency": 8},
            },
        ),
    ),
    ("get", PROVIDERS): (Example("Those that do not answer", query="?status=unreachable"),),
    ("patch", f"{PROVIDERS}/{{reference}}"): (
        Example("Four calls at a time", {"options": {"max_concurrency": 4}}),
        Example("Unless it was changed since", {"tags": ["eu"]}, headers={"If-Match": 'W/"2"'}),
    ),
    ("post", f"{PROVIDERS}/{{reference}}/refresh"): (
        Example("The new list", headers={"Prefer": "wait=10"}),
    ),
    ("post", f"{PROVIDERS}/resolve"): (
        Example("What a pasted URL stands for", {"endpoint": "localhost:8000/v1/models"}),
    ),
    ("post", f"{PROVIDERS}/test"): (
        Example(
            "All steps, with one chat",
            {"endpoint": "localhost:8000", "chat": True, "model": "llama3"},
        ),
    ),
    ("post", CHAT): (
        Example("The answer", _LLAMA),
        Example("As it is made", {**_LLAMA, "stream": True}),
        Example(
            "A job, once",
            {**_LLAMA, "background": True, "metadata": {"run": "42"}},
            headers={"Idempotency-Key": "run-42-line-1"},
        ),
    ),
    ("get", CHAT): (
        Example("Failed jobs of a run", query="?status=failed&metadata%5Brun%5D=42&order=desc"),
    ),
    ("get", f"{CHAT}/{{job_id}}"): (
        Example("Wait for its end", headers={"Prefer": "wait=30"}),
        Example("Its chunks behind number 41", query="?stream=true&starting_after=41"),
    ),
    ("post", f"{CHAT}/{{job_id}}"): (Example("Other metadata", {"metadata": {"run": "43"}}),),
    ("post", RESPONSES): (
        Example("The answer", {"model": "acme/llama3:latest", "input": "Hello!"}),
        Example("A job", {"model": "acme/llama3:latest", "input": "Hello!", "background": True}),
    ),
    ("get", "/v1/events"): (
        Example("As they happen", query="?after=0", headers={"Accept": "text/event-stream"}),
    ),
    ("post", "/v1/keys"): (
        Example(
            "A member's key with limits",
            {
                "name": "Ann's notebook",
                "owner": "ann",
                "limits": {"requests_per_minute": 60, "tokens_per_day": 1_000_000},
            },
        ),
    ),
    ("get", "/v1/usage"): (Example("By provider and day", query="?group_by=provider,day"),),
    ("get", "/v1/audit"): (Example("Who deleted providers", query="?action=provider.delete"),),
}
PYTHON: Final[Mapping[Operation, str]] = {
    ("post", CHAT): _CREATE,
    ("get", f"{CHAT}/{{job_id}}"): _RETRIEVE,
}


def describe(document: dict[str, Any]) -> None:
    """Add the examples of bodies, and commands as `x-codeSamples`, to an OpenAPI document."""
    for path, method, operation in operations(document):
        known = EXAMPLES.get((method, path), ())
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if known:
                content["examples"] = {one.title: {"value": one.body} for one in known}
        keyless = operation.get("security") == []
        samples = [
            {"lang": "Shell", "label": one.title, "source": curl(method, path, one, keyless)}
            for one in known or (Example("curl"),)
        ]
        if (method, path) in PYTHON:
            source = PYTHON[method, path]
            samples.append({"lang": "Python", "label": "OpenAI's package", "source": source})
        operation["x-codeSamples"] = samples


def place(path: str) -> str:
    """A path with an example in the place of each parameter."""
    for name, value in PLACES.items():
        path = path.replace(f"{{{name}}}", value)
    return path.replace("/responses/chatcmpl-", "/responses/resp_")


def curl(method: str, path: str, example: Example, keyless: bool) -> str:
    """The command that makes this call."""
    words = ["curl", "-s"] + (["-N"] if _streams(example) else [])
    if method not in ("get", "post") or (method == "post" and example.body is None):
        words += ["-X", method.upper()]
    address = SERVER + place(path) + example.query
    lines = [" ".join([*words, shlex.quote(address) if example.query else address])]
    lines += [] if keyless else [KEY]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in example.headers.items()]
    if example.body is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(_text(example.body))}"]
    return " \\\n  ".join(lines)


def _streams(example: Example) -> bool:
    asked = isinstance(example.body, dict) and example.body.get("stream")
    return bool(asked or "stream=true" in example.query or "Accept" in example.headers)


def _text(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)
