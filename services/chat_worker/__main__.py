"""`python -m services.chat_worker`: configured by environment variables, stopped by SIGTERM.

Exits with 78 (EX_CONFIG of sysexits.h) when the configuration is unusable, every fault on stderr.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Final

# httpx would load its own command line, with rich and pygments: 6 MiB and 0.15 s for nothing.
sys.modules["httpx._main"] = None  # type: ignore[assignment] # "it is absent", to Python

from services.chat_worker import tasks
from services.chat_worker.worker import ChatWorker, raise_file_limit
from shared import collector, config, queues, telemetry, tracing
from shared.celery_worker import make_worker
from shared.errors import ConfigurationError
from shared.store.opening import open_store

EX_CONFIG: Final = 78
DATABASE_CONNECTIONS: Final = 3  # the keeper's, the webhooks' and the watchdog's


def main() -> int:
    """Run until told to stop; the exit code."""
    try:
        settings = config.load(os.environ)
        tracing.check(os.environ)
        telemetry.configure_logging("chat-worker", settings.log_level, settings.log_format)
        raise_file_limit()
        redis = partial(queues.require_redis_url, settings)
        database, sealer = open_store(settings, redis, pool_size=DATABASE_CONNECTIONS)
        celery = queues.make_celery(settings, "chat_worker")
        traces = tracing.start(os.environ, "chat-worker")
        worker = ChatWorker(
            settings, celery=celery, database=database, sealer=sealer, tracing=traces
        )
    except ConfigurationError as error:
        print("\n".join(error.faults), file=sys.stderr)  # noqa: T201 - there is no logging yet
        return EX_CONFIG
    tasks.register(celery, worker)

    def start() -> None:
        worker.start()
        collector.spare_what_lives()
        telemetry.announce_ready(os.environ)

    runner = make_worker(celery, settings, queue=queues.QUEUE_CHAT, start=start, stop=worker.stop)
    runner.start()
    traces.stop()
    database.dispose()
    return int(runner.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
