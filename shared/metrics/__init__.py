"""What Prometheus is shown of the processes of one machine.

Each process counts for itself, in a registry of prometheus_client of its own, and leaves a
snapshot of it in the folder that they share (`DRAGOMAN_METRICS_DIR`). Any registry process answers
a scrape with all of them, each under its label `process`. docs/decisions/0015 says why.
"""

from shared.metrics.exporter import Exporter
from shared.metrics.exposition import CONTENT_TYPE, Fact, page
from shared.metrics.folder import Folder, Slot
from shared.metrics.publisher import Publisher
from shared.metrics.snapshot import Snapshot, taken
from shared.metrics.worker import WorkerMetrics

__all__ = [
    "CONTENT_TYPE",
    "Exporter",
    "Fact",
    "Folder",
    "Publisher",
    "Slot",
    "Snapshot",
    "WorkerMetrics",
    "page",
    "taken",
]
