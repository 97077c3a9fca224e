"""Two registries on one database: the runner's and another, and who of them relays the events."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import sqlalchemy as sa

from services.registry.relay import DUTY
from shared.store.database import Database, database_now
from shared.store.schema import leader
from tests.api import Api
from tests.campaigns.stage import Extra, Stage
from tests.system import free_port

READY_SECONDS = 60.0
_LEADS = re.compile(r"this process relays the events holder=(\S+) pid=(\d+)")


@dataclass(slots=True)
class Registries:
    """Both of them; `urls` stay the same over all restarts."""

    setting: Stage
    database: Database
    second: Extra
    urls: tuple[str, str]
    killed: list[tuple[float, str]] = field(default_factory=list)  # when, which holder

    def holder(self) -> str | None:
        """Who has the duty now."""
        with self.database.read() as tx:
            query = sa.select(leader.c.holder).where(
                leader.c.name == DUTY, leader.c.lease_until >= database_now()
            )
            return tx.execute(query).scalar_one_or_none()

    def leader(self) -> tuple[str, psutil.Process] | None:
        """Who has the duty, and its process as the logs name it; None while nobody has it."""
        if (holder := self.holder()) is None:
            return None
        for log in (self.setting.system.log, self.second.log):
            for match in _LEADS.finditer(log.read_text(encoding="utf-8", errors="replace")):
                if match[1] == holder and psutil.pid_exists(pid := int(match[2])):
                    return holder, psutil.Process(pid)
        return None

    def kill_leader(self, *, whole: bool) -> str:
        """SIGKILL the process that leads, with its arbiter when `whole`; what came of it."""
        found = self.leader()
        if found is None or found[0] in (holder for _, holder in self.killed):
            return "(nobody leads)"
        holder, process = found
        arbiter = process.parent()
        assert arbiter is not None
        if whole:
            arbiter.kill()
        process.kill()
        self.killed.append((time.monotonic(), holder))
        if whole and arbiter.pid == self.second.pid:
            self.second.end(signal.SIGKILL)
            self.second.start()
        return f"({process.pid}{' and its arbiter' if whole else ''})"


@contextmanager
def registries(setting: Stage, database: Database, folder: Path) -> Iterator[Registries]:
    """Start the second one and wait until it serves; ends it, also after an error."""
    port = free_port()
    environ = {**setting.environ, "DRAGOMAN_PORT": str(port)}
    second = Extra("services.registry", environ, folder / "second-registry.log")
    second.start()
    try:
        url = f"http://127.0.0.1:{port}"
        with Api(url, setting.system.admin_key) as api:
            api.healthy(READY_SECONDS)
        yield Registries(setting, database, second, (setting.system.url, url))
    finally:
        second.end(signal.SIGTERM)
