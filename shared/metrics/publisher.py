"""Leaves a snapshot of this process every few seconds, from a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from shared.metrics.folder import Folder, Slot
from shared.metrics.snapshot import Snapshot, taken

PUBLISH_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Publisher:
    """The snapshots of one process of this kind; in the registry its thread is a greenlet."""

    def __init__(
        self,
        registry: CollectorRegistry,
        folder: Folder,
        kind: str,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._kind = kind
        self._now = now
        self._slot: Slot | None = None
        self._failing = False
        self._one_at_a_time = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Take a place and start the thread; without a place only this process has its figures."""
        self._slot = self._folder.claim(self._kind)
        if self._slot is not None:
            self._thread.start()

    def stop(self) -> None:
        """End the thread and give the place free."""
        self._stopping.set()
        if self._slot is not None:
            self._thread.join(timeout=2)
            self._slot.leave()
            self._slot = None

    def snapshot(self) -> Snapshot:
        """The figures as they are now, left for others too.

        So whichever process answers the next scrape, no counter is smaller then.
        """
        with self._one_at_a_time:
            slot = self._slot
            name = self._kind if slot is None else slot.name
            found = taken(self._registry, name, now=self._now())
            if slot is not None:
                self._leave(slot, found)
            return found

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.snapshot()
            except Exception:
                logger.exception("no snapshot was taken")
            self._stopping.wait(PUBLISH_SECONDS)

    def _leave(self, slot: Slot, found: Snapshot) -> None:
        try:
            slot.write(found)
        except OSError as fault:
            if not self._failing:
                extra = {"place": slot.name, "reason": str(fault)}
                logger.warning("metrics cannot be left for the scrape", extra=extra)
            self._failing = True
            return
        self._failing = False
