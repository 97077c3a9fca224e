"""Start of the registry: settings, store and keyring are checked, then gunicorn takes over."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Final

from services.registry.log import GatheredLines
from services.registry.server import Server
from shared import config, tracing
from shared.errors import ConfigurationError
from shared.queues import require_redis_url
from shared.store.opening import open_store
from shared.telemetry import configure_logging
from shared.upstream.policy import OutboundPolicy

EX_CONFIG: Final = 78


def main(environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM; the exit status is 78 for an unusable configuration."""
    try:
        settings = config.load(environ)
        tracing.check(environ)
        # Only a look: every worker opens connections of its own after the fork.
        database, sealer = open_store(settings, partial(require_redis_url, settings))
        database.dispose()
    except ConfigurationError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201 - before there is a log
        return EX_CONFIG
    configure_logging("registry", settings.log_level, settings.log_format)
    log = GatheredLines.in_place_of_all()
    Server(settings, sealer, OutboundPolicy.from_settings(settings), environ, log).run()
    return 0
