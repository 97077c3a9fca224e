"""How a worker's figures get out: through the folder, and at a port of its own where one is set."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from shared.config import Settings
from shared.errors import ConfigurationError
from shared.metrics.exporter import Exporter
from shared.metrics.folder import Folder
from shared.metrics.publisher import Publisher


class WorkerMetrics:
    """Both ways for one process of this kind; raises ConfigurationError if the port is taken."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, kind: str) -> None:
        self._publisher = Publisher(registry, Folder(settings.metrics_dir), kind)
        self._exporter: Exporter | None = None
        if settings.metrics_listen:
            try:
                self._exporter = Exporter(
                    settings.metrics_listen, settings.metrics_token, self._publisher.snapshot
                )
            except OSError as fault:
                raise ConfigurationError(
                    [
                        "DRAGOMAN_METRICS_LISTEN: expected an address and port that are free, got "
                        f'"{settings.metrics_listen}": {fault.strerror or fault}'
                    ]
                ) from None

    def start(self) -> None:
        """Begin to leave snapshots, and to answer scrapes."""
        self._publisher.start()
        if self._exporter is not None:
            self._exporter.start()

    def stop(self) -> None:
        """End both."""
        if self._exporter is not None:
            self._exporter.stop()
        self._publisher.stop()
