"""What a system that has started says: whether it is ready, and whether it knows a key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from deploy.refusal import Refusal

HEALTHY_SECONDS = 15.0
_ASK_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
_NONE: Mapping[str, str] = {}


async def until_healthy(url: str) -> None:
    """Wait for 200 from `/health/ready`; raises Refusal, with its last answer, after 15 s."""
    last = "no answer"
    try:
        async with asyncio.timeout(HEALTHY_SECONDS):
            while True:
                try:
                    status, text = await asyncio.to_thread(_ask, url, "/health/ready")
                except (OSError, HTTPException) as problem:
                    last = type(problem).__name__
                else:
                    if status == 200:
                        return
                    last = f"{status}: {text[:500]}"
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        raise Refusal(f"All processes started, but {url}/health/ready says {last}") from None


async def is_refused(url: str, key: str) -> bool:
    """Whether this API key was revoked, or its time is over; not where nobody could say so."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        status, _ = await asyncio.to_thread(_ask, url, "/v1/me", headers)
    except (OSError, HTTPException):
        return False
    return status == HTTPStatus.UNAUTHORIZED


def _ask(url: str, path: str, headers: Mapping[str, str] = _NONE) -> tuple[int, str]:
    """Status and body. An HTTP library would be half of what the runner imports and keeps."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()
