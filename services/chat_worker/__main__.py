"""`python -m services.chat_worker`: one chat worker, configured by the environment."""

from __future__ import annotations

import os
import socket
import sys

from services.chat_worker import app as chat_app
from services.chat_worker.worker import ChatWorker, raise_file_limit
from shared import config, queues, telemetry
from shared.errors import ConfigurationError
from shared.store.opening import open_store

EXIT_CONFIGURATION = 78  # EX_CONFIG
TASK_SLOTS = 2  # no task waits, so two are plenty


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    telemetry.configure_logging("chat-worker")
    try:
        settings = config.load(os.environ)
        telemetry.configure_logging("chat-worker", settings.log_level)
        raise_file_limit()
        celery = queues.make_celery(settings, "chat_worker")
        database, sealer = open_store(settings, pool_size=3)
    except ConfigurationError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201 - read by whoever started this
        return EXIT_CONFIGURATION
    worker = ChatWorker(settings, celery=celery, database=database, sealer=sealer)
    chat_app.add_tasks(celery, worker)
    chat_app.own(celery, worker, on_ready=lambda: telemetry.announce_ready(os.environ))
    runner = celery.Worker(
        pool="threads",
        concurrency=TASK_SLOTS,
        queues=[queues.QUEUE_CHAT],
        hostname=f"chat@{socket.gethostname()}",
        loglevel=settings.log_level,
        without_gossip=True,
        without_heartbeat=True,
        without_mingle=True,
        quiet=True,
    )
    runner.start()
    return int(runner.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
