"""The OpenAPI document describes what the tests do: it knows every answer that clients were given.

What they were given is in the log of the running system; alone, this test makes a few requests.
"""

from __future__ import annotations

import re
from typing import Any

from tests.api import CHAT, Api
from tests.eventually import eventually
from tests.system import System

_REQUEST = re.compile(r"request_ids: request method=(\S+) path=(\S+) status=(\d+) ")
_API = ("/v1/", "/health/", "/metrics")  # beside it are pages for people, and the description


def described(document: dict[str, Any], method: str, path: str, status: int) -> bool:
    """Whether the document has this operation with this status."""
    for template, item in document["paths"].items():
        pattern = re.escape(template).replace(r"\{model\}", ".+")
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", pattern), path):
            responses = item.get(method.lower(), {}).get("responses", {})
            if str(status) in responses or (status >= 400 and "default" in responses):
                return True
    return False


def test_every_answer_that_was_given_is_described(api: Api, system: System, name: str) -> None:
    provider = api.add_provider(name, "http://127.0.0.1:9")
    api.chat(f"{provider['slug']}/m")
    job_id = api.submit(f"{provider['slug']}/m")
    api.http.get(f"{CHAT}/{job_id}")
    api.http.delete(f"{CHAT}/{job_id}")
    document = api.http.get("/openapi.json").json()

    def logged() -> set[tuple[str, str, int]] | None:
        log = system.log.read_text("utf-8", errors="replace")
        found = {(method, path, int(status)) for method, path, status in _REQUEST.findall(log)}
        return found if ("DELETE", f"{CHAT}/{job_id}", 200) in found else None

    given = eventually(logged, 10)  # a registry gathers its lines for a moment
    unknown = {
        f"{method} {path} {status}"
        for method, path, status in given
        if status not in (404, 405) and path.startswith(_API)
        if not described(document, method, path, status)
    }
    assert unknown == set()
