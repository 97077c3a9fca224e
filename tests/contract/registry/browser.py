"""A browser as the registry sees one: it keeps cookies, and says where its requests come from."""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.test import Client, TestResponse

from services.registry.request_ids import RequestIds
from tests.contract.registry.conftest import Registry

PERSON = "text/html,application/xhtml+xml,*/*;q=0.8"


class Browser:
    """One browser with its cookies."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.client = Client(RequestIds(registry.app, registry.parts.figures), use_cookies=True)
        self.csrf = ""

    def open(self, method: str, path: str, **options: Any) -> TestResponse:
        """One request of a page; `headers` come on top of a person's own."""
        headers = {"Accept": PERSON, "Sec-Fetch-Site": "same-origin", **options.pop("headers", {})}
        sent = {name: value for name, value in headers.items() if value is not None}
        return self.client.open(path, method=method, headers=sent, **options)

    def get(self, path: str, **headers: Any) -> TestResponse:
        return self.open("GET", path, headers=headers)

    def login(self, who: str = "admin", **form: str) -> TestResponse:
        """Log in with this key of the registry's; the cookie is kept."""
        data = {"key": self.registry.keys.get(who, who), **form}
        return self.open("POST", "/login", data=data)

    def call(self, method: str, path: str, body: Any = None, **headers: Any) -> TestResponse:
        """What a script of a page sends: JSON, the cookie, and the token of its changes."""
        sent = {"Accept": "*/*", "X-CSRF-Token": self.csrf or None, **headers}
        if body is not None:
            sent = {"Content-Type": "application/json", **sent}
        data = None if body is None else json.dumps(body)
        return self.open(method, path, data=data, headers=sent)

    def sign_in(self, who: str = "admin") -> Browser:
        """Log in as a script does, which gets the token of its changes."""
        headers = {"Accept": "application/json"}
        data = {"key": self.registry.keys.get(who, who)}
        answer = self.open("POST", "/login", data=data, headers=headers)
        assert answer.status_code == 200, answer.text
        self.csrf = answer.get_json()["csrf_token"]
        return self

    @property
    def token(self) -> str:
        """The session's token."""
        cookie = self.client.get_cookie("dragoman_session")
        return "" if cookie is None else cookie.value


def cookie_of(answer: TestResponse) -> dict[str, str]:
    """The attributes of the one cookie that an answer sets, in small letters."""
    (line,) = answer.headers.get_all("Set-Cookie")
    parts = [part.strip().partition("=") for part in line.split(";")]
    return {name.lower(): value for name, _, value in parts}


def alert_of(answer: TestResponse) -> str:
    """What a page says that went wrong."""
    found = re.search(r'role="alert"[^>]*>(.*?)</', answer.text, re.DOTALL)
    return "" if found is None else found[1].strip()
