"""Sessions of the console: what a browser holds, and what must come with it.

The cookie's token is 256 random bits, of which the database knows the SHA-256. It is worth what
the key is worth that logged in, for 12 hours at most, and only in requests of the console's own
pages: browsers send cookies with requests that other sites make up, too. So a request that
changes anything also carries a token that only our pages know, and no request may come from
another site (https://owasp.org/www-community/attacks/csrf).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from flask import Request, Response

from shared.errors import InsufficientScope

COOKIE: Final = "dragoman_session"
HEADER: Final = "X-CSRF-Token"
FIELD: Final = "csrf_token"  # of the console's own forms
LIFETIME: Final = 12 * 3600  # seconds
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LABEL: Final = b"dragoman.csrf.v1"


def new_token() -> str:
    """What a browser gets as its cookie."""
    return secrets.token_urlsafe(32)


def csrf_token(token: str) -> str:
    """What pages get to send along with changes; it tells nothing of the session's token."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), _LABEL, hashlib.sha256).hexdigest()


def set_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Give the browser its session."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=LIFETIME,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Strict",
    )


def clear_cookie(response: Response) -> None:
    """Take the session from the browser."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="Strict")


def demand_own_page(request: Request, token: str) -> None:
    """Let only pass what a page of ours sent; raises InsufficientScope."""
    demand_same_origin(request)
    if request.method in SAFE:
        return
    sent = request.headers.get(HEADER)
    if sent is None and request.mimetype == "application/x-www-form-urlencoded":
        sent = request.form.get(FIELD)
    expected = csrf_token(token)
    if sent is None or not hmac.compare_digest(
        sent.encode("utf-8", "surrogatepass"), expected.encode()
    ):
        raise InsufficientScope(
            f"Expected the header `{HEADER}` of a page of this console, got "
            f"{'none' if sent is None else 'another one'}. Reload the page, or call with "
            "`Authorization: Bearer <key>` instead of a login."
        )


def demand_same_origin(request: Request) -> None:
    """Refuse what a browser says that another site asked for; raises InsufficientScope.

    `Sec-Fetch-Site` is the browser's own word, which scripts cannot forge; `none` is what people
    type. Browsers without it, and those that see plain http, send `Origin` with every change.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        # Host and port: the scheme may be unknown, behind a proxy that is not trusted to tell it.
        host = request.environ.get("HTTP_HOST", "")
        own = origin is None or origin.partition("://")[2].lower() == host.lower()
    if not own:
        raise InsufficientScope(
            "Expected a request from a page of this console, got one from another site. "
            "Call with `Authorization: Bearer <key>` instead of a login."
        )
