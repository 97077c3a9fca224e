"""JSON answers and their validators: `ETag` is `W/"<version>"`, a counter in the row.

Of what has a part with another writer it is `W/"<version>.<digest of that part>"`: the whole names
what a client holds, and `If-Match` asks for the version alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from flask import Request, Response


def json_answer(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`document` as JSON; it may hold `msgspec.Raw` parts, which go out unchanged."""
    return Response(msgspec.json.encode(document), status, headers, content_type="application/json")


def empty(status: int = 204, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body, and so without a type of one."""
    response = Response(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def etag(version: int | str) -> str:
    """The weak validator of a row's version, or of that and another part."""
    return f'W/"{version}"'


def is_known(request: Request, version: int | str) -> bool:
    """Whether If-None-Match says that the client holds this very version."""
    return "If-None-Match" in request.headers and request.if_none_match.contains_weak(str(version))


def holds(request: Request) -> Callable[[int], bool] | None:
    """Whether the client holds a version, as If-None-Match says; None when it does not say."""
    if "If-None-Match" not in request.headers:
        return None
    tags = request.if_none_match
    return lambda version: tags.contains_weak(str(version))


def not_modified(version: int | str, headers: Mapping[str, str] | None = None) -> Response:
    """304: the client's copy is current."""
    return empty(304, {"ETag": etag(version), **(headers or {})})


def precondition(request: Request) -> Callable[[int], bool]:
    """Whether If-Match lets a change of this version happen; always, when it is not sent.

    Reads the request now: the answer may be used in another thread.
    """
    if "If-Match" not in request.headers:
        return lambda version: True
    tags = request.if_match
    versions = {tag.partition(".")[0] for tag in tags.as_set(include_weak=True)}
    return lambda version: tags.star_tag or str(version) in versions
