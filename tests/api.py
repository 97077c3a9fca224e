"""Dragoman's HTTP interface as the tests use it: any client could do the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx

from tests.eventually import eventually

CHAT = "/v1/chat/completions"
TERMINAL = frozenset({"completed", "failed", "cancelled"})


def chat_body(model: str, mark: str = "", **fields: Any) -> dict[str, Any]:
    """A chat request; `mark` travels in `user`, by which the counting simulator counts."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
    if mark:
        body["user"] = mark
    return body


class Api:
    """One caller with one key. Close it, or use it as a context manager."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
            # Beyond 20 idle connections httpcore closes some, and among them ones that another
            # thread was given but has not used yet.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        )

    def add_provider(self, name: str, endpoint: str, **fields: Any) -> dict[str, Any]:
        """The new provider's document; raises AssertionError unless it was created."""
        body = {"name": name, "endpoint": endpoint, **fields}
        answer = self.http.post("/v1/providers", json=body)
        assert answer.status_code == 201, f"{answer.status_code}: {answer.text}"
        document: dict[str, Any] = answer.json()
        return document

    def chat(self, model: str, mark: str = "", **fields: Any) -> httpx.Response:
        """A plain call, answered when it ends."""
        return self.http.post(CHAT, json=chat_body(model, mark, **fields))

    def submit(self, model: str, mark: str = "", **fields: Any) -> str:
        """The id of a new background job; raises AssertionError unless it was accepted."""
        body = chat_body(model, mark, background=True, **fields)
        answer = self.http.post(CHAT, json=body)
        assert answer.status_code == 202, f"{answer.status_code}: {answer.text}"
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        answer = self.http.get(f"{CHAT}/{job_id}")
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        document: dict[str, Any] = answer.json()
        return document

    def ended(self, job_ids: Iterable[str], timeout: float) -> dict[str, dict[str, Any]]:
        """Id → job, once all are terminal; TimeoutError naming how many are not."""
        done: dict[str, dict[str, Any]] = {}
        waiting = list(job_ids)

        def all_ended() -> bool:
            for job_id in tuple(waiting):
                job = self.job(job_id)
                if job["status"] not in TERMINAL:
                    return False
                done[job_id] = job
                waiting.remove(job_id)
            return True

        try:
            eventually(all_ended, timeout, every=0.05)
        except TimeoutError:
            rest = [self.job(job_id) for job_id in waiting[:3]]
            raise TimeoutError(
                f"{len(waiting)} of {len(waiting) + len(done)} jobs did not end within "
                f"{timeout:g} s; for example {rest}"
            ) from None
        return done

    def discovered(self, provider_id: str, status: str, timeout: float) -> dict[str, Any]:
        """The provider, once its discovery shows `status`."""

        def settled() -> dict[str, Any] | None:
            document: dict[str, Any] = self.http.get(f"/v1/providers/{provider_id}").json()
            return document if document["discovery"]["status"] == status else None

        try:
            return eventually(settled, timeout)
        except TimeoutError:
            last = self.http.get(f"/v1/providers/{provider_id}").json()["discovery"]
            raise TimeoutError(f"expected {status}, got {last}") from None

    def healthy(self, timeout: float) -> None:
        """Wait until the registry says that it is ready; TimeoutError after `timeout` seconds."""

        def ready() -> bool:
            try:
                return self.http.get("/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        eventually(ready, timeout, every=0.1)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
