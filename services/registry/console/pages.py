"""How a page is made: its template, who may see it, and what its answer must carry."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from flask import Response, g, redirect, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.wrappers import Response as AnyResponse

from services.registry import sessions
from services.registry.authentication import Session
from services.registry.console import addresses, times
from services.registry.console.assets import Assets
from services.registry.parts import Parts
from shared.errors import InsufficientScope, InvalidApiKey

TEMPLATES: Final = Path(__file__).with_name("templates")
FRAGMENT: Final = "X-Fragment"  # names the part of a page that a script fetches anew
LOGIN: Final = "/login"
HOME: Final = "/"
LONGEST_PLACE: Final = 2_000  # characters of a path to go back to
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

View = TypeVar("View", bound=Callable[..., Any])


class Console:
    """What all pages share: the parts, the templates, the files."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.assets = Assets()
        self.templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals["static"] = self.assets.url
        self.templates.filters |= {
            "utc": times.utc,
            "utc_words": times.utc_words,
            "host": addresses.host,
            "provider_page": addresses.provider_page,
        }

    def render(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page; its template also knows `caller`, `csrf_token`, `path` and `static(file)`.

        `caller` and `csrf_token` are None where nobody has logged in.
        """
        session: Session | None = g.get("session")
        html = self.templates.get_template(template).render(
            caller=None if session is None else session.caller,
            csrf_token=None if session is None else sessions.csrf_token(session.token),
            path=request.path,
            **context,
        )
        response = Response(html, status, content_type="text/html; charset=utf-8")
        if status == 200 and is_fragment():
            response.add_etag(weak=True)
            response.make_conditional(request)
        return response

    def signed_in(self, view: View) -> View:
        """The view, for whoever has logged in; others are sent to the login, and back after it.

        A script gets 401 instead: it must not lose what is typed.
        """
        return self._guarded(view, admin=False)

    def admins_only(self, view: View) -> View:
        """The view, for admins who have logged in; raises InsufficientScope for members."""
        return self._guarded(view, admin=True)

    def _guarded(self, view: View, *, admin: bool) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                session = self.parts.authenticator.session_of(request)
            except InvalidApiKey:
                if is_fragment() or not is_for_a_person():
                    raise
                return to_login()
            g.session, g.caller = session, session.caller
            if request.method not in sessions.SAFE:
                sessions.demand_own_page(request, session.token)
            if admin and not session.caller.is_admin:
                raise InsufficientScope(
                    "Expected an admin, got a member. Log in with a key that has the role `admin`."
                )
            return view(*args, **kwargs)

        return guarded  # type: ignore[return-value] # takes and gives what the view does


def is_fragment() -> bool:
    """Whether a script asks, every few seconds, for the parts of a page that change.

    What stands around them need not be in the answer.
    """
    return FRAGMENT in request.headers


def is_for_a_person() -> bool:
    """Whether whoever asks would rather have a page than JSON."""
    offered = ("text/html", "application/json")
    return bool(request.accept_mimetypes.best_match(offered) == "text/html")


def to_login() -> AnyResponse:
    """The way to the login page, which leads back to where the browser wanted to go."""
    wanted = HOME
    if request.method in sessions.SAFE:
        wanted = request.full_path.rstrip("?")
    query = "" if wanted == HOME else "?" + urlencode({"next": wanted})
    return redirect(LOGIN + query, 303)


def place(wanted: str | None) -> str:
    """Where to go after the login: a path of ours, else the first page."""
    if not wanted or len(wanted) > LONGEST_PLACE or not wanted.isprintable():
        return HOME
    # Browsers read `\` as `/`, and what begins with two of them is another host.
    if not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted:
        return HOME
    path = urlsplit(wanted).path
    return HOME if path in (LOGIN, "/logout") else wanted


def finish(response: Response) -> Response:
    """The answer with what every answer of the console carries."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
