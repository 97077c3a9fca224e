"""Calls, pages and streams of the HTTP API, over one connection that is kept."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from cli.connection import Server
from cli.failures import Refused, Unreachable
from cli.routes import CHAT, LONGEST_WAIT, MOST_A_PAGE, Document

_CONNECT: Final = 5.0
_ANSWER: Final = 60.0
_MARGIN: Final = 15.0  # seconds beyond what the server was asked to wait


def timeout(read: float) -> httpx.Timeout:
    """The bounds of a call whose answer may take `read` seconds to begin."""
    return httpx.Timeout(_ANSWER, connect=_CONNECT, read=read)


class Api:
    """One caller. Close it, or use it as a context manager. All raise Refused and Unreachable."""

    def __init__(self, server: Server, transport: httpx.BaseTransport | None = None) -> None:
        self.server = server
        self._http = httpx.Client(
            base_url=server.url,
            headers=identity(server),
            timeout=timeout(_ANSWER),
            trust_env=not server.is_local,  # no proxy on the way to this machine
            verify=_trusted(server),
            transport=transport,
        )

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        wait: int | None = None,
        patience: float = _ANSWER,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer, which is a success. `wait`: seconds that the server may wait, at most 60."""
        sent = dict(headers or {})
        if wait is not None:
            sent["Prefer"] = f"wait={min(wait, LONGEST_WAIT)}"
            patience = min(wait, LONGEST_WAIT) + _MARGIN
        with self._telling():
            answer = self._http.request(
                method,
                path,
                json=body,
                params=_given(query),
                headers=sent,
                timeout=timeout(patience),
            )
        return succeeded(answer)

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> Document:
        """The document that `call` is answered with; empty where the answer has none."""
        return document(self.call(method, path, body, **options))

    def get(
        self, path: str, *, wait: int | None = None, patience: float = _ANSWER, **query: Any
    ) -> Document:
        """The document at a path; arguments of the query that are None are left out."""
        return self.send("GET", path, query=query, wait=wait, patience=patience)

    def is_dragoman(self) -> bool:
        """Whether the server describes itself as Dragoman."""
        try:
            about = self.get("/openapi.json").get("info")
        except (Refused, Unreachable):
            return False
        return isinstance(about, dict) and about.get("title") == "Dragoman"

    def pages(self, path: str, *, most: int | None = None, **query: Any) -> Iterator[Document]:
        """The entries of a list, page by page as they are wanted, `most` at most."""
        left = most
        while left is None or left > 0:
            limit = MOST_A_PAGE if left is None else min(left, MOST_A_PAGE)
            page = self.get(path, **query, limit=limit)
            yield from page["data"]
            if not page["has_more"] or not page["data"]:
                return
            query["after"] = page["last_id"]
            left = None if left is None else left - len(page["data"])

    @contextmanager
    def stream(self, body: Mapping[str, Any]) -> Iterator[Iterator[Document]]:
        """The chunks of a chat; leaving the block hangs up, which cancels a foreground call."""
        with (
            self._telling(),
            self._http.stream("POST", CHAT, json=body, timeout=timeout(_ANSWER)) as answer,
        ):
            if answer.is_error:
                answer.read()
            yield chunks(succeeded(answer).iter_bytes(), answer)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as problem:
            raise unreachable(self.server, problem) from problem

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def identity(server: Server) -> dict[str, str]:
    """What every request carries."""
    return {"Authorization": f"Bearer {server.key}", "User-Agent": "dragoman-cli"}


def unreachable(server: Server, problem: Exception) -> Unreachable:
    """The failure of a call that got no answer."""
    return Unreachable(
        f"Expected an answer of {server.url}, got none: {str(problem) or type(problem).__name__}. "
        "Is it running (`./dragoman ps`), and is DRAGOMAN_URL right?"
    )


def succeeded(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it tells an error; raises Refused, or Unreachable for another server's."""
    if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
        return answer
    request_id = answer.headers.get("x-request-id")
    try:
        error = answer.json()["error"]
        told = error if isinstance(error, dict) else {"message": str(error)}
    except (ValueError, KeyError, TypeError):
        raise Unreachable(
            f"Expected an answer of Dragoman at {answer.request.url.copy_with(query=None)}, got "
            f"status {answer.status_code} without its error document. Check DRAGOMAN_URL."
        ) from None
    raise Refused(
        answer.status_code,
        told,
        request_id=request_id,
        retry_after=seconds(answer.headers.get("Retry-After")),
    )


def document(answer: httpx.Response) -> Document:
    """The JSON object of a success; raises Unreachable where there is none."""
    if answer.status_code == httpx.codes.NO_CONTENT:
        return {}
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Unreachable(
            f"Expected a JSON object of {answer.request.url.copy_with(query=None)}, got something "
            "else. Check DRAGOMAN_URL."
        )
    return body


def chunks(parts: Iterable[bytes], answer: httpx.Response) -> Iterator[Document]:
    """The chunks of a stream up to its end; raises Refused where it tells an error.

    API.md section 7: a stream that just ends was cut off.
    """
    for line in lines(parts):
        found = chunk_of(line, answer)
        if found is None:
            continue
        if not found:
            return
        yield found
    raise Unreachable("Expected the end of the stream, got a closed connection.")


def chunk_of(line: bytes, answer: httpx.Response) -> Document | None:
    """The chunk in a line of a stream; None: it holds none; empty: the stream's regular end."""
    if not line.startswith(b"data:"):
        return None
    data = line.removeprefix(b"data:").strip()
    if data == b"[DONE]":
        return {}
    chunk: Document = json.loads(data)
    if "error" in chunk and "choices" not in chunk:
        raise Refused(
            answer.status_code, chunk["error"], request_id=answer.headers.get("x-request-id")
        )
    return chunk


def lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream. Only LF ends one: JSON may hold U+2028, which httpx splits at."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole


def _trusted(server: Server) -> ssl.SSLContext | bool:
    """Whom to believe; `SSL_CERT_FILE` counts on this machine, too."""
    if server.is_local and server.url.startswith("https:"):
        return httpx.create_ssl_context()
    return True


def seconds(header: str | None) -> float | None:
    """What a `Retry-After` in seconds says."""
    return float(header) if header and header.isdigit() else None


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value not in (None, ())}
