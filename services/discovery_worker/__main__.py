"""`python -m services.discovery_worker`: configured by environment variables, stopped by SIGTERM.

Exits with 78 (EX_CONFIG of sysexits.h) when the configuration is unusable, every fault on stderr.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Final

# httpx would load its own command line, with rich and pygments: 6 MiB and 0.15 s for nothing.
sys.modules["httpx._main"] = None  # type: ignore[assignment] # "it is absent", to Python

from services.discovery_worker import tasks
from services.discovery_worker.discovery import Discovery
from shared import config, queues, telemetry, tracing
from shared.celery_worker import make_worker
from shared.errors import ConfigurationError
from shared.store.opening import open_store

EX_CONFIG: Final = 78
DATABASE_CONNECTIONS: Final = 1  # all work is done by one thread


def main() -> int:
    """Run until told to stop; the exit code."""
    try:
        settings = config.load(os.environ)
        tracing.check(os.environ)
        telemetry.configure_logging("discovery-worker", settings.log_level, settings.log_format)
        redis = partial(queues.require_redis_url, settings)
        database, sealer = open_store(settings, redis, pool_size=DATABASE_CONNECTIONS)
        celery = queues.make_celery(settings, "discovery_worker")
        traces = tracing.start(os.environ, "discovery-worker")
        discovery = Discovery(settings, database, sealer, on_crash=_end_in_order, tracing=traces)
    except ConfigurationError as fault:
        print("\n".join(fault.faults), file=sys.stderr)  # noqa: T201 - there is no logging yet
        return EX_CONFIG
    tasks.register(celery, discovery)

    def start() -> None:
        discovery.start()
        telemetry.announce_ready(os.environ)

    worker = make_worker(
        celery, settings, queue=queues.QUEUE_DISCOVERY, start=start, stop=discovery.stop
    )
    worker.start()
    traces.stop()
    database.dispose()
    return int(worker.exitcode or 0)


def _end_in_order() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
