"""`/login` and `/logout`: a key for a session, and back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, g, redirect, request

from services.registry import answers, problems, sessions, trail
from services.registry.authentication import Session
from services.registry.console.attempts import Attempts
from services.registry.console.pages import HOME, LOGIN, Console, is_for_a_person, place
from shared import live
from shared.errors import CodedError, InsufficientScope, InvalidApiKey, RateLimited
from shared.store import audit, console_sessions
from shared.store.access import Caller
from shared.store.audit import Action

LOGOUT = "/logout"
_EXPECTED = "Expected an API key that is known, alive and not revoked. Paste the whole key."


def add(routes: Blueprint, console: Console) -> None:
    """Add the routes to those of the console."""
    attempts = Attempts()
    parts = console.parts

    def page(status: int = 200, fault: str | None = None) -> Response:
        wanted = place(request.values.get("next"))
        return console.render("login.html", status, fault=fault, next=wanted)

    @routes.get(LOGIN)
    def show_login() -> Any:
        """The form; whoever has a session already goes on."""
        try:
            parts.authenticator.session_of(request)
        except InvalidApiKey:
            return page()
        return redirect(place(request.args.get("next")), 303)

    @routes.post(LOGIN)
    def login() -> Any:
        """Begin a session; a script that asks for JSON gets the token for its changes."""
        try:
            sessions.demand_same_origin(request)
            caller = _caller_with(request.form.get("key", ""))
            attempts.succeeded(caller.key_id)
        except (InvalidApiKey, InsufficientScope, RateLimited) as error:
            return _refused(error)
        token = _begin(caller)
        secure = request.is_secure
        answer: Any = redirect(place(request.form.get("next")), 303)
        if not is_for_a_person():
            answer = answers.json_answer(
                {"object": "session", "csrf_token": sessions.csrf_token(token)}
            )
        sessions.set_cookie(answer, token, secure=secure)
        return answer

    def _caller_with(key: str) -> Caller:
        try:
            return parts.authenticator.caller_with(key)
        except InvalidApiKey:
            attempts.failed(request.remote_addr)
            actor, now = trail.actor(), parts.now()
            parts.transactions.write(
                lambda tx: audit.append(tx, actor, Action.SESSION_LOGIN_FAILED, at=now)
            )
            raise

    def _refused(error: CodedError) -> Response:
        told = problems.of_error(error)
        if not is_for_a_person():
            return told
        message = _EXPECTED if isinstance(error, InvalidApiKey) else error.message
        answer = page(told.status_code, message)
        if "Retry-After" in told.headers:
            answer.headers["Retry-After"] = told.headers["Retry-After"]
        return answer

    def _begin(caller: Caller) -> str:
        token, now = sessions.new_token(), parts.now()
        actor, before = trail.actor(caller), request.cookies.get(sessions.COOKIE)

        def begin(tx: sa.Connection) -> None:
            if before is not None:
                console_sessions.end(tx, console_sessions.digest(before))
            console_sessions.begin(
                tx,
                console_sessions.digest(token),
                key_id=caller.key_id,
                now=now,
                expires_at=now + sessions.LIFETIME,
            )
            audit.append(tx, actor, Action.SESSION_LOGIN, at=now, subject=caller.key_id)

        parts.transactions.write(begin)
        return token

    @routes.post(LOGOUT)
    @console.signed_in
    def logout() -> Any:
        """End the session, here at once and in other processes within two seconds."""
        session: Session = g.session
        digest, now = console_sessions.digest(session.token), parts.now()
        actor, key_id = trail.actor(), session.caller.key_id

        def end(tx: sa.Connection) -> None:
            if console_sessions.end(tx, digest):
                audit.append(tx, actor, Action.SESSION_LOGOUT, at=now, subject=key_id)

        parts.transactions.write(end)
        parts.authenticator.forget(digest)
        parts.notices.send(live.REVOKED, [digest])
        answer: Any = redirect(LOGIN, 303)
        sessions.clear_cookie(answer)
        return answer

    @routes.get(LOGOUT)
    def show_logout() -> Any:
        """Nothing ends by following a link: the first page has the button."""
        return redirect(HOME, 303)
