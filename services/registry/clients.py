"""The other end of a connection that is being served."""

from __future__ import annotations

import contextlib
import os
import socket

from flask import Request
from gevent import monkey

Client = socket.socket | None  # None where the server does not tell


def of(request: Request) -> Client:
    """The socket of the client that sent this request."""
    client: Client = request.environ.get("gunicorn.socket")
    return client


def hung_up(client: Client) -> bool:
    """Whether the other side of this connection has closed it.

    Bytes of a next request hide a hang-up; who sends those is still there, mostly.
    """
    if client is None:
        return False
    patience = client.gettimeout()
    # Nothing else runs between these lines: the request that owns the socket waits for an event.
    client.settimeout(0)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        client.settimeout(patience)


def cut(client: Client) -> None:
    """Break the connection: whoever is sending on it fails at once, as after a hang-up."""
    if client is None:
        return
    # On a plain copy: gevent's own `shutdown` would tell the sender of a bad descriptor instead.
    plain = monkey.get_original("socket", "socket")
    with contextlib.suppress(OSError), plain(fileno=os.dup(client.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)
