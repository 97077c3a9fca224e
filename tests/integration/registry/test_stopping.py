"""A registry that stops refuses new connections, and answers all that it let in."""

from __future__ import annotations

import http.client
import signal
import threading
from collections import Counter

from tests.eventually import eventually
from tests.integration.registry.conftest import Stage

CALLERS = 24
PATH = "/health/live"


def test_no_connection_is_reset_while_it_stops_however_many_come(bare: Stage) -> None:
    bare.valkey.start()
    seen: Counter[str] = Counter()
    with bare.process() as process:
        port = int(process.url.rpartition(":")[2])

        def call_until_refused() -> None:
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                try:
                    connection.request("GET", PATH, headers={"Connection": "close"})
                    seen[str(connection.getresponse().status)] += 1
                except ConnectionRefusedError:
                    return
                except OSError as fault:
                    seen[type(fault).__name__] += 1
                finally:
                    connection.close()

        callers = [threading.Thread(target=call_until_refused) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        eventually(lambda: seen["200"] > 2 * CALLERS, 20)
        process.popen.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(20)
        assert process.popen.wait(20) == 0
    assert set(seen) == {"200"}, seen
