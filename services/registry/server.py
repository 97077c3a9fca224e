"""gunicorn inside this process: an arbiter that forks gevent workers.

Each worker assembles its own parts after the fork and starts them when it begins to serve.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import gevent
from gevent import monkey, socket
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.wsgi import ClosingIterator

from services.registry import problems
from services.registry.app import serve
from services.registry.bootstrap import assemble
from services.registry.log import GatheredLines
from services.registry.parts import Parts
from services.registry.request_ids import Application
from services.registry.sockets import HeadFirst
from services.registry.timely import TimelyBody
from shared import collector, tracing
from shared.config import Settings
from shared.crypto import Sealer
from shared.errors import StoreUnavailable
from shared.telemetry import announce_ready
from shared.upstream.policy import OutboundPolicy

CONNECTIONS: Final = 4_000  # of one worker; each is a greenlet
WANTED_FILES: Final = 8_192
SPARE_FILES: Final = 200
TICK_SECONDS: Final = 0.1
KEEPALIVE_SECONDS: Final = 75  # longer than clients keep idle connections: a POST must not race
DRAIN_SECONDS: Final = 10.0  # of the 15 s that the runner gives
SILENCE_SECONDS: Final = 60  # a worker whose loop stands still for so long is replaced

_close_now: Final[Callable[[int], None]] = monkey.get_original("os", "close")

logger = logging.getLogger(__name__)


class HouseLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's words through our logging; the access lines are our own (`request_ids`)."""

    def setup(self, cfg: Any) -> None:
        """Take no handler: the root's is ours."""
        self.error_log.propagate = True
        self.error_log.handlers.clear()
        self.access_log.disabled = True

    def access(self, *_: object) -> None:
        """Nothing: written by the application."""

    def reopen_files(self) -> None:
        """No files."""

    def close_on_exec(self) -> None:
        """No files."""


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """Serves requests on one event loop; stops by letting the requests under way end."""

    sockets: list[Any]
    wsgi: Application

    def patch(self) -> None:
        """Give the listeners to this process's loop.

        `__main__` has patched already; doing it again would give the log gevent's locks.
        """
        self.sockets = [
            socket.socket(one.FAMILY, socket.SOCK_STREAM, fileno=one.sock.detach())
            for one in self.sockets
        ]

    def run(self) -> None:
        """Serve until told to stop."""
        server: Server = self.app
        serving: set[object] = set()
        self.wsgi = _counted(self.wsgi, serving)
        listeners = [
            StreamServer(one, self._handler(one), spawn=Pool(self.worker_connections))
            for one in self.sockets
        ]
        server.started()
        for listener in listeners:
            if self.cfg.workers > 1:
                listener.max_accept = 1  # leave some to the other workers
            listener.start()
        if self.age == 1:  # a replacement's copy of the descriptor leads nowhere any more
            server.announce()
        while self.alive:
            self.notify()
            gevent.sleep(TICK_SECONDS)
        for listener in listeners:
            _close(listener)
        gevent.sleep(TICK_SECONDS)  # those that came last have not sent their requests yet
        server.stopping()
        self._drain(server, serving)
        server.stopped()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Serve one request."""
        seconds, body = self.app.body_seconds, req.body
        answered, req.body = HeadFirst(sock, seconds), TimelyBody(body, seconds)
        try:
            return super().handle_request(listener_name, req, answered, addr)
        finally:
            answered.end()
            req.body = body  # whose rest gunicorn reads before the next request

    def _handler(self, listener: Any) -> Callable[[Any, Any], None]:
        listener.setblocking(1)
        named = _Named(listener.getsockname())
        return lambda client, address: self.handle(named, client, address)

    def _drain(self, server: Server, serving: set[object]) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while serving and time.monotonic() < until:
            self.notify()
            gevent.sleep(TICK_SECONDS)
        if serving:
            logger.warning("the stop cuts requests off", extra={"count": len(serving)})
            server.release()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what never became a request, in the form of all other errors."""
        del req, addr
        if isinstance(exc, ParseException):
            logger.info("no HTTP request", extra={"reason": str(exc)[:200]})
        else:
            logger.error("a request ended in a defect", exc_info=exc)
        with contextlib.suppress(OSError):
            client.sendall(problems.raw(malformed=isinstance(exc, ParseException)))


class _Named:
    """What gunicorn asks of a listener for each connection, also after the listener was closed."""

    def __init__(self, name: object) -> None:
        self._name = name

    def getsockname(self) -> object:
        """The address that was listened on."""
        return self._name


def _close(listener: StreamServer) -> None:
    """Stop listening, and take first whoever is connected: the kernel would reset them.

    In one go: what gevent makes of `close` closes with the next turn of its loop, 20 ms later under
    load, and whoever connected until then was reset.
    """
    listener.stop_accepting()
    while (accepted := listener.do_read()) is not None:
        listener.do_handle(*accepted)
    _close_now(listener.socket.detach())
    listener.close()


def _counted(application: Application, serving: set[object]) -> Application:
    """`application` with a mark in `serving` for each request whose answer has not gone out."""

    def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        mark = object()
        serving.add(mark)
        try:
            answer = application(environ, start_response)
        except BaseException:
            serving.discard(mark)
            raise
        return ClosingIterator(answer, [lambda: serving.discard(mark)])

    return counted


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """What gunicorn asks: its settings, the application, and what a worker does around it."""

    def __init__(
        self,
        settings: Settings,
        sealer: Sealer,
        policy: OutboundPolicy,
        environ: Mapping[str, str],
        log: GatheredLines,
    ) -> None:
        self.body_seconds = settings.body_seconds
        self._settings = settings
        self._sealer = sealer
        self._policy = policy
        self._environ = environ
        self._log = log
        self._parts: Parts | None = None
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings; it reads none from files or the environment."""
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        for name, value in {
            "bind": f"{shown}:{self._settings.port}",
            "workers": self._settings.registry_workers,
            "worker_class": Worker,
            "worker_connections": _connections(),
            "logger_class": HouseLogger,
            "keepalive": KEEPALIVE_SECONDS,
            "timeout": SILENCE_SECONDS,
            "graceful_timeout": int(DRAIN_SECONDS) + 3,
            "forwarded_allow_ips": "",
            "control_socket_disable": True,
            "proc_name": "dragoman-registry",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """The application of one worker, after the fork."""
        traces = tracing.start(self._environ, "registry")
        self._parts = assemble(self._settings, self._sealer, self._policy, traces)
        return serve(self._parts)

    def started(self) -> None:
        """A worker begins to serve."""
        self._log.begin()
        collector.spare_what_lives()
        parts = self._own()
        parts.notices.start()
        parts.bell.start()
        parts.relay.start()
        parts.waiting.start()
        parts.streams.start()
        parts.hearing.start()
        parts.authenticator.start()
        parts.publisher.start()

    def announce(self) -> None:
        """Tell the runner that requests are served."""
        announce_ready(self._environ)

    def stopping(self) -> None:
        """No new requests come: end those that only wait for news; their clients may ask again."""
        parts = self._own()
        for waiting in (parts.refreshes, parts.checks, parts.followers):
            waiting.release()
        parts.waiting.release_watchers()
        parts.streams.release()

    def release(self) -> None:
        """End what still waits when the time to stop is over."""
        try:
            self._own().waiting.release()
        except StoreUnavailable:
            logger.warning("calls that wait could not be cancelled")
        gevent.sleep(TICK_SECONDS)  # their answers go out

    def stopped(self) -> None:
        """A worker has ended its requests."""
        parts = self._own()
        try:
            parts.relay.stop()
        except StoreUnavailable:
            logger.warning("the relay's lease runs out by itself")
        parts.notices.stop()
        parts.publisher.stop()
        parts.tracing.stop()
        parts.transactions.close()
        self._log.end()

    def _own(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("no worker of this process has loaded the application")
        return self._parts


def _connections() -> int:
    """How many connections a worker may hold: what the limit of open files leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_FILES:
        soft = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft - SPARE_FILES < CONNECTIONS:
        logger.warning("the limit of open files lowers the connections", extra={"limit": soft})
    return max(min(CONNECTIONS, soft - SPARE_FILES), 1)
