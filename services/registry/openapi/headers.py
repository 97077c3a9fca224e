"""The headers of requests and of answers, for the OpenAPI document.

The routes read and write them themselves, where no schema sees it; a contract test holds what they
answer against these tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.registry import request_ids, sessions
from services.registry.shaping import TEXT, WHOLE, Shape, words

Operation = tuple[str, str]  # the method in small letters, the path as the document has it

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
PROVIDERS: Final = "/v1/providers"
_JOBS: Final = (f"{CHAT}/{{job_id}}", f"{RESPONSES}/{{job_id}}")
_PROVIDER: Final = f"{PROVIDERS}/{{reference}}"
_CHECK: Final = f"{PROVIDERS}/checks/{{check_id}}"
_LISTS: Final = (
    *(PROVIDERS, f"{_PROVIDER}/models", f"{_PROVIDER}/events", "/v1/models", CHAT),
    *(f"{CHAT}/{{job_id}}/messages", "/v1/events", "/v1/keys", "/v1/usage", "/v1/audit"),
)
_SAFE: Final = ("get", "head", "options")

_WAIT: Final = "`wait=N` waits up to N seconds (60 at most)"
_PREFER: Final = ("Prefer", {**TEXT, "example": "wait=30"}, f"{_WAIT}; RFC 7240")
_PREFER_ASYNC: Final = (
    "Prefer",
    {**TEXT, "example": "respond-async"},
    f"`respond-async` answers 202 at once; {_WAIT}; RFC 7240",
)
_IDEMPOTENCY: Final = (
    "Idempotency-Key",
    {**TEXT, "maxLength": 255},
    "anything of yours: the same key and body are one job, however often they are sent",
)
_IF_NONE_MATCH: Final = (
    "If-None-Match",
    {**TEXT, "example": 'W/"3"'},
    "the `ETag` that you have: 304 while it is the current one",
)
_IF_MATCH: Final = (
    "If-Match",
    {**TEXT, "example": 'W/"3"'},
    "the `ETag` that you read: 412 when somebody changed it since",
)
_LAST_EVENT: Final = (
    "Last-Event-ID",
    {**TEXT, "example": "41"},
    "the number of the last one that you got: the stream goes on behind it; nothing else reads it",
)
_REQUEST_ID: Final = (
    request_ids.HEADER,
    TEXT,
    "an id of yours for this request, in the answer and in the log; a new one stands for what is "
    "not 1 to 128 printable ASCII characters",
)
_CSRF: Final = (
    sessions.HEADER,
    TEXT,
    "the token of the console's page; needed with its session, never with a key",
)

SENT: Final[Mapping[Operation, tuple[tuple[str, Shape, str], ...]]] = {
    ("post", CHAT): (_PREFER_ASYNC, _IDEMPOTENCY),
    ("post", RESPONSES): (_PREFER_ASYNC, _IDEMPOTENCY),
    **{("get", job): (_PREFER, _IF_NONE_MATCH, _LAST_EVENT) for job in _JOBS},
    ("get", _PROVIDER): (_IF_NONE_MATCH,),
    ("patch", _PROVIDER): (_IF_MATCH,),
    ("post", f"{_PROVIDER}/refresh"): (_PREFER,),
    ("post", f"{PROVIDERS}/test"): (_PREFER_ASYNC,),
    ("get", _CHECK): (_PREFER,),
    ("get", "/v1/events"): (_PREFER, _LAST_EVENT),
}

ANSWERED: Final[Mapping[str, tuple[Shape, str]]] = {
    "ETag": (
        {**TEXT, "example": 'W/"3"'},
        "the version, for `If-Match` and `If-None-Match`; of a provider its revision, a dot, and a "
        "digest of what discovery found, of which `If-Match` asks for the revision alone",
    ),
    "Location": (TEXT, "where it is found; a path"),
    "Link": (TEXT, 'of a page that is not the last: `<…>; rel="next"`'),
    "Retry-After": (WHOLE, "seconds until it is worth asking again; 120 at most"),
    "Preference-Applied": (TEXT, "what of `Prefer` was honoured"),
    "Idempotent-Replayed": (words("true"), "the key was known: this is the job of that time"),
    "WWW-Authenticate": (TEXT, "of 401: `Bearer`"),
    "x-should-retry": (words("false"), "repeating is no use; OpenAI's SDKs obey"),
    request_ids.HEADER: (TEXT, "by which the log finds this request"),
    **{
        f"x-ratelimit-{what}-{of}": (shape, f"{about}; only of keys with such a limit")
        for of in ("requests", "tokens")
        for what, shape, about in (
            ("limit", WHOLE, f"{of} that the key may use"),
            ("remaining", WHOLE, f"{of} that are left"),
            ("reset", {**TEXT, "example": "6m0s"}, "when the count begins anew"),
        )
    },
}

_SUBMITTED: Final = ("Location", "ETag", "Preference-Applied", "Idempotent-Replayed")
_SHOWN: Final = ("ETag", "Retry-After", "Preference-Applied")
GIVEN: Final[Mapping[Operation, Mapping[str, tuple[str, ...]]]] = {
    **{("get", path): {"200": ("Link",)} for path in _LISTS},
    **{
        ("post", path): {"200": _SUBMITTED, "202": (*_SUBMITTED, "Retry-After")}
        for path in (CHAT, RESPONSES)
    },
    **{("get", job): {"200": _SHOWN, "304": ("ETag", "Preference-Applied")} for job in _JOBS},
    **{("post", f"{job}/cancel"): {"200": ("ETag",)} for job in _JOBS},
    ("post", _JOBS[0]): {"200": ("ETag", "Retry-After")},
    ("post", PROVIDERS): {"201": ("Location", "ETag")},
    ("get", _PROVIDER): {"200": ("ETag",), "304": ("ETag",)},
    ("patch", _PROVIDER): {"200": ("ETag",)},
    ("post", f"{_PROVIDER}/refresh"): {
        "200": ("Preference-Applied",),
        "202": ("Preference-Applied",),
    },
    ("post", f"{PROVIDERS}/test"): {
        "200": ("Preference-Applied",),
        "202": ("Location", "Retry-After", "Preference-Applied"),
    },
    ("get", _CHECK): {"200": ("Retry-After", "Preference-Applied")},
    ("get", "/v1/events"): {"200": ("Link", "Preference-Applied")},
    ("post", "/v1/keys"): {"201": ("Location",)},
}
_PROBLEM: Final = ("Retry-After", "WWW-Authenticate", "x-should-retry")


def describe(document: dict[str, Any]) -> None:
    """Add what requests may send and answers carry to an OpenAPI document."""
    for path, method, operation in operations(document):
        sent = [*SENT.get((method, path), ()), _REQUEST_ID]
        if path.startswith("/v1/") and method not in _SAFE:
            sent.append(_CSRF)
        operation.setdefault("parameters", []).extend(
            {"name": name, "in": "header", "required": False, "schema": shape, "description": about}
            for name, shape, about in sent
        )
        given = GIVEN.get((method, path), {})
        for status, answer in operation["responses"].items():
            if "$ref" not in answer:
                answer["headers"] = _headers([*given.get(status, ()), *_everywhere(method, path)])
    for problem in document["components"]["responses"].values():
        limited = [name for name in ANSWERED if name.startswith("x-ratelimit-")]
        problem["headers"] = _headers([*_PROBLEM, *limited, request_ids.HEADER])
    document["components"]["headers"] = {
        name: {"schema": shape, "description": about} for name, (shape, about) in ANSWERED.items()
    }


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of all that the document describes."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def _everywhere(method: str, path: str) -> Iterator[str]:
    for name in ANSWERED:
        counted = name.endswith("-requests") and path.startswith("/v1/")
        spent = name.endswith("-tokens") and method == "post" and path in (CHAT, RESPONSES)
        if counted or spent or name == request_ids.HEADER:
            yield name


def _headers(names: list[str]) -> dict[str, Shape]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
