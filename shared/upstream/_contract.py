"""What callers hand in and get back; imports no HTTP library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.domain import DiscoveryStatus
from shared.errors import DragomanError
from shared.telemetry import Secret


@dataclass(frozen=True, slots=True)
class Target:
    """One provider as the client needs it.

    No `api_key` means no Authorization header at all. A `ca_certificate` (PEM text, one or more
    certificates) is trusted instead of the system's, not beside them.
    """

    chat_url: str
    models_url: str
    api_key: Secret | None
    verify_tls: bool = True
    ca_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The longest waits, in seconds.

    `connect` covers DNS, all addresses and TLS together; `first_byte` runs from the sent request
    to the head of the answer, or to the first chunk of a stream; `idle` is the longest gap inside
    the body; `total` covers all.
    """

    connect: float = 5
    first_byte: float = 120
    idle: float = 60
    total: float = 600


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A chat completion as it came: a JSON object with a `choices` list and no `error`.

    NUL and lone surrogates are replaced by U+FFFD. Times are in seconds since the call began;
    `connect_seconds` is None when a kept connection was used.
    """

    body: dict[str, Any]
    status: int
    request_id: str | None
    connect_seconds: float | None
    first_byte_seconds: float
    total_seconds: float


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a streamed chat completion ended well, once all its chunks were handed over.

    `whole` is the completion of a server that ignored `stream`, held to the rules of ChatAnswer;
    then no chunk came. Times are in seconds since the call began; `first_byte_seconds` is when the
    first chunk came (with `whole`: the head), `connect_seconds` is None on a kept connection.
    """

    status: int
    request_id: str | None
    connect_seconds: float | None
    first_byte_seconds: float
    total_seconds: float
    chunks: int
    whole: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One entry of a provider's list; `context_length` is in tokens, `created` in Unix seconds."""

    id: str
    created: int | None
    owned_by: str | None
    context_length: int | None
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelList:
    """A provider's models in its order; `dropped` counts unusable and surplus entries."""

    models: tuple[ListedModel, ...]
    dropped: int


class DiscoveryFailure(DragomanError):
    """The model list could not be had.

    `status` is the verdict (`no_models_route` is healthy), `code` the code of the error tree
    behind it, `upstream_status` the HTTP status that came, `retry_after` in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: DiscoveryStatus,
        code: str,
        upstream_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.upstream_status = upstream_status
        self.retry_after = retry_after


class Obstacle(DragomanError):
    """What stood in the way of one step: `message` says what came, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ConnectionLost(DragomanError):
    """The connection ended after the request was sent and before the answer's head was complete.

    Ambiguous: the provider may have done, and billed, the work. Whoever runs the job decides
    whether that makes it `interrupted` or another try.
    """

    sent = True
    may_have_been_billed = True

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
