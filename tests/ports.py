"""Ports for servers that are told where to listen."""

from __future__ import annotations

import random
import socket
from typing import Final

# Below those that Linux, macOS and Windows give to connections: a port of theirs that is free now
# may be some other test's, or its client's, when the server starts seconds later.
RANGE: Final = range(10_000, 32_000)
TRIES: Final = 100


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens; raises OSError when none was found."""
    # Not the shared generator: a test that seeds it would get the ports of another process.
    tried = random.SystemRandom().sample(RANGE, TRIES)
    for port in tried[:-1]:
        try:
            return _bound(port)
        except OSError:
            continue
    return _bound(tried[-1])


def _bound(port: int) -> int:
    with socket.create_server(("127.0.0.1", port)):
        return port
