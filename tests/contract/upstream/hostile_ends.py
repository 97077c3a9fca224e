"""How a chat and a look at the model list end against each hostile behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOST: Final = "interrupted"  # what a chat worker makes of a lost connection


@dataclass(frozen=True, slots=True)
class Ends:
    """The chat's code and the list's verdict and code; `says` stands in both messages.

    `phase` is the bound that ran out, `wait` the Retry-After in seconds.
    """

    chat: str
    verdict: str
    listing: str
    says: str
    phase: str | None = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What is read all the same: the ids of the list, how many were dropped, a piece of the chat.

    `verdict` and `says` where only the chat is answered.
    """

    ids: tuple[str, ...] = ("harmless",)
    dropped: int = 0
    chat: str = "I mean no harm."
    verdict: str = "ok"
    says: str = ""


def timeout(phase: str, says: str) -> Ends:
    return Ends("upstream_timeout", "unreachable", "upstream_timeout", says, phase=phase)


def tls(says: str) -> Ends:
    return Ends("upstream_tls_failed", "unreachable", "upstream_tls_failed", says)


def lost(says: str) -> Ends:
    return Ends(LOST, "unreachable", "upstream_unreachable", says)


def broken(says: str) -> Ends:
    code = "upstream_stream_broken"
    return Ends(code, "invalid_response", code, says)


def invalid(says: str) -> Ends:
    code = "upstream_invalid_answer"
    return Ends(code, "invalid_response", code, says)


def refused(says: str) -> Ends:
    return Ends("upstream_refused", "invalid_response", "upstream_refused", says)


def status(code: str, verdict: str, says: str, wait: float | None = None) -> Ends:
    return Ends(code, verdict, code, says, wait=wait)


LATE: Final = timeout("first_byte", "no answer within")
BUSY: Final = "status 429 (too many requests): Slow down."
NO_JSON: Final = invalid("bytes that are no JSON")
SMILE: Final = "\U0001f600"
SCRIPTS: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "harmless",
)

ENDS: Final[dict[str, Ends | Answers]] = {
    # the connection
    "never-accept": timeout("connect", "within the connect timeout"),
    "accept-then-silence": LATE,
    # a RST may arrive before the request left, or after
    "reset-on-connect": lost("127.0.0.1"),
    "close-on-connect": lost("connection was lost"),
    "tls-stall": timeout("connect", "within the connect timeout"),
    "tls-reset": tls("closed during the handshake"),
    "no-tls": tls("use http://"),
    "tls-expired": tls("expired"),
    "tls-wrong-host": tls("not valid for '127.0.0.1'"),
    # framing
    "silence": LATE,
    "header-drip": LATE,
    "endless-1xx": LATE,
    "body-drip": timeout("total", "none that was complete within"),
    "stall-in-body": timeout("idle", "stood still"),
    "reset-in-headers": lost("connection was lost"),
    "reset-in-body": broken("broke off"),
    "length-too-large": broken("broke off"),
    "no-last-chunk": broken("broke off"),
    "100000-headers": invalid("break its rules (more than 128 headers)"),
    "1mb-header": invalid("break its rules (over 64 KiB of head or framing)"),
    "http-0.9": invalid("break its rules (no status line); if the server speaks TLS"),
    "bad-status-line": invalid("break its rules (no status line)"),
    "length-too-small": invalid("break its rules"),
    "length-twice": invalid("break its rules (a faulty head)"),
    "bad-chunk-size": invalid("break its rules (a faulty body)"),
    "endless-body": invalid("a body over"),
    "huge-length": invalid("a body over"),
    # statuses
    "status-204": invalid("an empty body"),
    "empty-200": invalid("an empty body"),
    "redirect-to-metadata": refused("redirects are not followed"),
    "redirect-loop": refused("redirects are not followed"),
    "status-401": status("upstream_authentication_failed", "auth_failed", "status 401"),
    "status-404": status("upstream_route_missing", "no_models_route", "status 404: no page"),
    "rate-limit": status("upstream_rate_limited", "rate_limited", BUSY),
    "rate-limit-absurd": status("upstream_rate_limited", "rate_limited", BUSY, wait=900),
    "rate-limit-words": status("upstream_rate_limited", "rate_limited", BUSY),
    "rate-limit-past": status("upstream_rate_limited", "rate_limited", BUSY, wait=1),
    "error-500-html": status("upstream_server_error", "server_error", "status 500."),
    "status-503": status("upstream_server_error", "server_error", "status 503: Busy."),
    "wrong-content-type": invalid("an HTML page"),
    "page-as-json": NO_JSON,
    "error-in-200": refused("a 200 that carries an error: The backend failed."),
    "gzip-bomb": invalid("a compressed body"),
    "gzip": invalid("a compressed body"),
    "lying-encoding": Answers(),
    "sse-without-done": invalid("a stream that was not asked for"),
    "sse-endless-comments": invalid("a stream that was not asked for"),
    "key-echo": status("upstream_authentication_failed", "auth_failed", "Bad key ***, ***, ***!"),
    "key-echo-in-200": Answers(chat="*** ***"),
    # bodies
    "deep-json": invalid("nested more than 64 deep"),
    "wide-json": invalid("more values than an answer can have"),
    "nan": NO_JSON,
    "infinity": NO_JSON,
    "5000-digits": NO_JSON,
    "invalid-utf8": NO_JSON,
    "truncated-json": NO_JSON,
    "not-an-object": invalid("JSON that is n"),
    "duplicate-keys": Answers(),
    "surrogate-and-nul": Answers(dropped=1, chat="NUL \ufffd"),
    "bom": Answers(),
    "split-utf8": Answers(ids=(f"split-{SMILE}",), chat=SMILE),
    # model lists
    "million-models": Answers(verdict="invalid_response", says="a body over 4 MiB"),
    "million-short-ids": Answers(verdict="invalid_response", says="more values than"),
    "100000-ids": Answers(tuple(f"{n:05x}" for n in range(5000)), dropped=95_000),
    "duplicate-ids": Answers(("twin", "harmless"), dropped=999),
    "empty-ids": Answers(dropped=7),
    "1mb-id": Answers(dropped=1),
    "dotdot-ids": Answers(("../../etc/passwd", "a/../b", "/", "..%2f", "harmless")),
    "html-ids": Answers(SCRIPTS),
}
