"""The hostile upstream of promise 14: a server for every way to misbehave that we know.

`http://127.0.0.1:PORT/<behaviour>/v1` misbehaves on the models route and on the chat route alike;
what is about the connection itself has a port of its own. `GET /behaviours` tells all endpoints, a
port of its own for each, and the CA of the TLS ones.

    with spawned_hostile() as hostile:
        hostile.endpoints["header-drip"]
"""

from tests.simulators.hostile._running import HostileRemote, spawned_hostile
from tests.simulators.hostile._server import BEHAVIOURS, Hostile

__all__ = [
    "BEHAVIOURS",
    "Hostile",
    "HostileRemote",
    "spawned_hostile",
]
