"""Whether the system as a whole is ready: what `/health/ready` says."""

from __future__ import annotations

import asyncio
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from deploy.refusal import Refusal

HEALTHY_SECONDS = 15.0
_ASK_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


async def until_healthy(url: str) -> None:
    """Wait for 200 from `/health/ready`; raises Refusal, with its last answer, after 15 s."""
    last = "no answer"
    try:
        async with asyncio.timeout(HEALTHY_SECONDS):
            while True:
                try:
                    status, text = await asyncio.to_thread(_ask, url)
                except (OSError, HTTPException) as problem:
                    last = type(problem).__name__
                else:
                    if status == 200:
                        return
                    last = f"{status}: {text[:500]}"
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        raise Refusal(f"All processes started, but {url}/health/ready says {last}") from None


def _ask(url: str) -> tuple[int, str]:
    """Status and body. An HTTP library would be half of what the runner imports and keeps."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()
