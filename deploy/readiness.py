"""Whether the system as a whole is ready: what `/health/ready` says."""

from __future__ import annotations

import asyncio

import httpx

from deploy.refusal import Refusal

HEALTHY_SECONDS = 15.0


async def until_healthy(url: str) -> None:
    """Wait for 200 from `/health/ready`; raises Refusal, with its last answer, after 15 s."""
    last = "no answer"
    # Proxies of the environment have no business between us and our own port.
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
        try:
            async with asyncio.timeout(HEALTHY_SECONDS):
                while True:
                    try:
                        answer = await client.get("/health/ready")
                    except httpx.TransportError as problem:
                        last = type(problem).__name__
                    else:
                        if answer.status_code == 200:
                            return
                        last = f"{answer.status_code}: {answer.text[:500]}"
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Refusal(f"All processes started, but {url}/health/ready says {last}") from None
