"""Pages of lists: `limit`, `after` and `order`, by ids that sort by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request

from services.registry.schemas import OneOf, Strict, Text, Whole

T = TypeVar("T")

MOST = 100
USUAL = 20


class PageQuery(Strict):
    """The query arguments of every list."""

    limit = Whole(1, MOST, in_query=True, metadata={"description": "how many to return"})
    after = Text(metadata={"description": "the id after which the page begins"})
    order = Text(
        validate=OneOf(("asc", "desc")),
        load_default="asc",
        metadata={"description": "oldest first, or newest first"},
    )


def page(
    rows: Sequence[T],
    key: Callable[[T], str],
    *,
    limit: int | None,
    after: str | None,
    order: str,
) -> tuple[list[T], bool]:
    """The rows of one page, and whether more follow; no `limit` means all."""
    ordered = sorted(rows, key=key, reverse=order == "desc")
    if after is not None:
        ordered = [r for r in ordered if (key(r) < after if order == "desc" else key(r) > after)]
    if limit is None:
        return ordered, False
    return ordered[:limit], len(ordered) > limit


def envelope(data: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """OpenAI's list object."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def link(
    data: Sequence[dict[str, Any]], *, has_more: bool, after: str | None = None
) -> dict[str, str]:
    """The `Link` header of a page that is not the last (RFC 8288).

    The next one begins after the last id, or after another cursor.
    """
    if not has_more:
        return {}
    cursor = data[-1]["id"] if after is None else after
    arguments = {**request.args.to_dict(flat=False), "after": cursor}
    return {"Link": f'<{request.path}?{urlencode(arguments, doseq=True)}>; rel="next"'}
